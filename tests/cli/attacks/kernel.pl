# Asks the kernel for what no maintainer script needs. All arguments are wrong ones, so that
# nothing happens where it is not refused.

# x86_64, asm/unistd_64.h
my %CALLS = (
    ptrace => 101, pivot_root => 155, acct => 163, mount => 165, umount2 => 166, swapon => 167,
    swapoff => 168, reboot => 169, iopl => 172, init_module => 175, delete_module => 176, syslog => 103,
    kexec_load => 246, add_key => 248, request_key => 249, keyctl => 250, unshare => 272,
    perf_event_open => 298, open_by_handle_at => 304, setns => 308, process_vm_readv => 310,
    process_vm_writev => 311, finit_module => 313, kexec_file_load => 320, bpf => 321,
    userfaultfd => 323, io_uring_setup => 425, io_uring_enter => 426, io_uring_register => 427,
    open_tree => 428, move_mount => 429, fsopen => 430, fsconfig => 431, fsmount => 432,
    fspick => 433, clone3 => 435, pidfd_getfd => 438, mount_setattr => 442, open_tree_attr => 467,
);
my ($EPERM, $ENOSYS) = (1, 38);

sub refused {
    my ($what, @call) = @_;
    my $result = syscall($call[0], map { $_ // 0 } @call[1 .. 5]);
    my $error = $! + 0;
    exit 0 if $what =~ /clone/ and $result == 0;
    bad("$what gives $result, error $error") unless $result == -1 and ($error == $EPERM or $error == $ENOSYS);
}

for my $name (sort keys %CALLS) {
    my @wrong = $name eq 'unshare' ? (0x10000000) : (-1, 1, -1, -1, -1);
    refused($name, $CALLS{$name}, @wrong);
    # The same call by the x32 ABI, whose numbers have this bit.
    refused("$name of x32", $CALLS{$name} | 0x40000000, @wrong);
}
for my $flag (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000) {
    refused(sprintf('unshare %x', $flag), 272, $flag);
    refused(sprintf('clone %x', $flag), 56, $flag | 17);
}
refused('TIOCSTI', 16, 0, 0x5412, 0);
refused('TIOCSTI with more bits', 16, 0, 0x100005412, 0);
refused('TIOCLINUX', 16, 0, 0x541c, 0);
# PTRACE_SEIZE, which does not stop it.
refused('ptrace of process 1', 101, 0x4206, 1);
for my $type (qw(tmpfs proc sysfs devtmpfs cgroup2 debugfs overlay)) {
    refused("mount $type", 165, $type, '/mnt', $type, 0);
}
for my $at ('/', '/proc', '/dev') {
    refused("remount $at", 165, 0, $at, 0, 0x1020);
}
for my $kind (0x2000, 0x6000) {
    refused("mknod $kind", 133, '/run/node', $kind | 0600, 0x0101);
    unlink '/run/node';
}

sub walk {
    my ($folder) = @_;
    opendir(my $handle, $folder) or return;
    for my $name (grep { !/^\.\.?$/ } readdir $handle) {
        my $path = "$folder/$name";
        next if -l $path or $path =~ m{^/proc/\d+$};
        if (-d $path) { walk($path) }
        # O_WRONLY | O_NONBLOCK; nothing is written.
        elsif (-f $path and sysopen(my $file, $path, 0x801)) { bad("$path can be written") }
    }
}
walk('/proc');

# linux/capability.h
my %CAPABILITIES = (
    dac_read_search => 2, linux_immutable => 9, net_admin => 12, net_raw => 13, ipc_owner => 15,
    sys_module => 16, sys_rawio => 17, sys_ptrace => 19, sys_admin => 21, sys_boot => 22,
    sys_resource => 24, sys_time => 25, sys_tty_config => 26, mknod => 27, mac_admin => 33,
    syslog => 34, perfmon => 38, bpf => 39, checkpoint_restore => 40,
);
open(my $status, '<', '/proc/self/status');
my %status = map { /^(\w+):\s+(\S+)/ ? ($1, $2) : () } <$status>;
for my $set (qw(CapInh CapPrm CapEff CapBnd CapAmb)) {
    for my $name (sort keys %CAPABILITIES) {
        bad("$name is in $set") if hex($status{$set}) >> $CAPABILITIES{$name} & 1;
    }
}
bad('privileges can be gained') unless $status{NoNewPrivs} == 1;
bad('no filter of system calls') unless $status{Seccomp} == 2;
