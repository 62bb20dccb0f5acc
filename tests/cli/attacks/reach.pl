# Looks for anything of the host: by every descriptor, folder and file of every process, by
# every mount, first in the root of maintainer scripts and then in that around it.

sub names { opendir(my $folder, $_[0]) or return (); return grep { !/^\.\.?$/ } readdir $folder }

my $up = '/..' x 24;

sub look {
    bad("$MARK is there") if -e $MARK;
    for my $pid (grep { /^\d+$/ } names('/proc')) {
        for my $task ("/proc/$pid", map { "/proc/$pid/task/$_" } names("/proc/$pid/task")) {
            my @links = ("$task/root", "$task/cwd", "$task/exe");
            push @links, map { "$task/fd/$_" } names("$task/fd");
            push @links, map { "$task/map_files/$_" } names("$task/map_files");
            for my $link (@links) {
                my $to = readlink $link;
                next unless defined $to;
                bad("process 1 shows $link, $to") if $pid == 1;
                bad("$link, $to, leads to the host") if -e "$link$up$MARK" or -e "$link$MARK";
                bad("$link is $to") if index($to, $HOME_OF_TEST) >= 0;
            }
        }
    }
    for my $secret ('environ', 'mem', 'auxv', 'maps') {
        bad("process 1 shows its $secret") if open(my $file, '<', "/proc/1/$secret") and sysread($file, my $byte, 1);
    }
    for my $secret ('mem', 'fd/0', 'fd/1', 'fd/2') {
        bad("/proc/1/$secret can be written") if open(my $file, '>>', "/proc/1/$secret");
    }
    if (open(my $file, '<', '/proc/1/cmdline')) {
        my $line = join '', <$file>;
        bad("process 1 names a file of the host: $line") if index($line, '/') >= 0;
    }
    open(my $keys, '<', '/proc/keys');
    bad("a key of the host: $_") for <$keys>;
    open(my $mounts, '<', '/proc/self/mountinfo');
    for (<$mounts>) {
        my ($id, $parent, $device, $root, $at, $options) = split / /;
        bad("$at is a mount with the host's files") if -e "$at$MARK" or -e "$at$up$MARK";
        # Of the host's files only what the step makes can be changed.
        next if $at =~ m{^(/target)?/(dev|dev/shm|run|tmp|var/lib/dpkg)$} or $at =~ m{^(/target)?/?$};
        next if $at eq '/listing.json';
        bad("$at can be written") unless ",$options," =~ /,ro,/;
    }
    bad("/dev has @{[names('/dev')]}") if join(' ', sort(names('/dev'))) ne 'fd full null random shm stderr stdin stdout urandom zero';
    bad('the mode of a device of the host was set') if chmod 0666, '/dev/full';
    for my $signal (qw(KILL STOP TERM)) {
        kill $signal, 1;
    }
}

look();
# The way out of a chroot that root always has.
mkdir '/run/lower';
chroot '/run/lower';
chdir '..' for 1 .. 24;
chroot '.';
look();
