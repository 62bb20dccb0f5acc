//! What a program inside may ask of the kernel: few capabilities, none that it gains later,
//! and no system call that no package needs.
//!
//! All of it belongs to a thread. Process 1 keeps its rights, as it mounts between two
//! programs; each program is started by a thread that has given them up, since between fork
//! and exec nothing can be done without `unsafe`.

use nix::errno::Errno;
use nix::libc;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};
use std::collections::BTreeMap;
use std::io::{Error, Result};

/// What dpkg and maintainer scripts need: files of all owners, `chroot`, `su`, `setcap`.
const SCRIPTS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::SETFCAP)
    // PAM refuses `su` to root itself without it, where audit is on and the user namespace
    // is the machine's.
    .union(CapabilitySet::AUDIT_WRITE);

/// What validators need more: they make links, and daemons bind their ports to check them.
const NETWORK: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW).union(CapabilitySet::NET_BIND_SERVICE);

/// Gives up the calling thread's rights, for itself and for all that it starts; with
/// `network`, it may still do everything in its own network namespace.
///
/// # Errors
/// When the kernel cannot do it: then nothing may be started.
pub(super) fn confine(network: bool) -> Result<()> {
    let kept = if network { SCRIPTS.union(NETWORK) } else { SCRIPTS };
    set_no_new_privs(true)?;
    bound(kept)?;
    clear_ambient_capability_set()?;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })?;
    for program in [refusals().map_err(Error::other)?, unknown_calls()] {
        seccompiler::apply_filter(&program).map_err(Error::other)?;
    }
    Ok(())
}

/// Takes all others out of the bounding set, from which root's programs get theirs: also
/// those that this program does not know by name.
fn bound(kept: CapabilitySet) -> Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // The kernel has no more.
            Err(rustix::io::Errno::INVAL) => break,
            removed => removed?,
        }
    }
    Ok(())
}

/// Refused whatever the arguments are: mounts, other processes, keys of the session in which
/// the build was started, the kernel's own parts and its log, and what has most often been a
/// way into the kernel. io_uring would do file operations past this filter.
const CALLS: [libc::c_long; 46] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Since Linux 6.15; libc has no name for it yet.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// Namespaces: in a user namespace of its own, a program has all capabilities again.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What the compiler of filters gives.
type Compiled<T> = std::result::Result<T, seccompiler::BackendError>;

/// Answered with EPERM, as to one without the right to it: programs that only try go on.
fn refusals() -> Compiled<BpfProgram> {
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> =
        CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let flags = |bits: &[libc::c_int]| -> Compiled<Vec<SeccompRule>> {
        bits.iter().map(|bit| has(0, *bit)).collect()
    };
    rules.insert(libc::SYS_clone, flags(&NAMESPACES)?);
    // In the place of a signal for clone, a time namespace for unshare.
    let unshared: Vec<_> = NAMESPACES.into_iter().chain([libc::CLONE_NEWTIME]).collect();
    rules.insert(libc::SYS_unshare, flags(&unshared)?);
    // They type what a terminal's reader takes for its user's words.
    rules.insert(libc::SYS_ioctl, vec![is(1, libc::TIOCSTI)?, is(1, libc::TIOCLINUX)?]);
    rules.insert(libc::SYS_mknod, devices(1)?);
    rules.insert(libc::SYS_mknodat, devices(2)?);
    let refused = SeccompAction::Errno(Errno::EPERM as u32);
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()
}

/// Only 32 bits of these arguments count in the kernel, so only 32 are compared: else a bit
/// above them would be a way past (CVE-2019-10063).
fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Compiled<SeccompRule> {
    let width = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(argument, width, operator, value)?])
}

fn has(argument: u8, bit: libc::c_int) -> Compiled<SeccompRule> {
    let bit = u64::from(bit.cast_unsigned());
    rule(argument, SeccompCmpOp::MaskedEq(bit), bit)
}

fn is(argument: u8, value: u64) -> Compiled<SeccompRule> {
    rule(argument, SeccompCmpOp::Eq, value)
}

/// Device nodes, by the mode that is this argument.
fn devices(argument: u8) -> Compiled<Vec<SeccompRule>> {
    let kind = SeccompCmpOp::MaskedEq(u64::from(libc::S_IFMT));
    let of = |device: libc::mode_t| rule(argument, kind.clone(), u64::from(device));
    [libc::S_IFCHR, libc::S_IFBLK].into_iter().map(of).collect()
}

/// Bit 30 of a call's number means the x32 ABI, by whose numbers everything could be asked
/// for once more. What clone3(2) is asked for is in memory, which no filter sees: the C
/// library takes clone(2) where it is not known.
fn unknown_calls() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD_WORD, 0, 0, 0),
        line(JUMP_IF_GREATER_OR_EQUAL, 1, 0, 0x4000_0000),
        line(JUMP_IF_EQUAL, 0, 1, libc::SYS_clone3 as u32),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | Errno::ENOSYS as u32),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
