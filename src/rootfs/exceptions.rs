//! Where our tree may differ from what apt and dpkg leave behind: exact paths,
//! each with the reason. Everything else must be equal to the byte.
//!
//! The same list takes out what would differ from build to build.

use crate::sandbox::Op;
use std::path::Path;

/// What is done to an excepted path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is removed.
    Remove,
    /// It stays, but empty: a folder without entries, a file without bytes.
    Empty,
    /// Its paragraphs are sorted.
    SortParagraphs,
    /// Its lines are sorted.
    SortLines,
    /// Its accounts are sorted by number, and those of this file with them.
    SortAccounts(&'static str),
}

/// One exception.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// From the root, without a leading slash.
    pub path: &'static str,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: &'static str,
}

const fn remove(path: &'static str, reason: &'static str) -> Exception {
    Exception { path, action: Action::Remove, reason }
}

const fn empty(path: &'static str, reason: &'static str) -> Exception {
    Exception { path, action: Action::Empty, reason }
}

const LOG: &str = "a log of the build, with its times";
const UCF: &str = "ucf appends in the order of configuration; the order means nothing";
const OLD: &str = "the backup of a file that scripts edited; depends on their order";
const ACCOUNTS: &str = "scripts append users and groups in the order of configuration; they are looked up by name or number";
const HOST_KEY: &str = "a secret: belongs to one machine, comes with its seed";

/// The list.
pub const EXCEPTIONS: &[Exception] = &[
    remove("var/log/dpkg.log", LOG),
    remove("var/log/alternatives.log", LOG),
    remove("var/log/bootstrap.log", LOG),
    remove("var/log/apt", LOG),
    remove("var/log/munin/munin-node-configure.log", LOG),
    remove("var/log/fontconfig.log", LOG),
    empty("var/log/journal", "journals are made at boot, per machine id"),
    remove("var/cache/ldconfig/aux-cache", "holds inode numbers and times of the build's disk"),
    empty(
        "var/cache/debconf",
        "answers asked of nobody, and their times; no package is configured again in an image",
    ),
    remove("var/lib/apt", "apt's own state; an image has no apt to use it"),
    remove("var/cache/apt", "apt's own state; an image has no apt to use it"),
    remove("var/lib/systemd/random-seed", "a secret: belongs to one machine"),
    remove("var/lib/systemd/credential.secret", "a secret: belongs to one machine"),
    remove(
        "var/lib/systemd/catalog/database",
        "holds the build's time; `journalctl -x` does without",
    ),
    remove("var/lib/dbus/machine-id", "belongs to one machine"),
    remove("etc/machine-id", "belongs to one machine; the configuration layer has an empty one"),
    remove("etc/passwd-", OLD),
    remove("etc/group-", OLD),
    remove("etc/shadow-", OLD),
    remove("etc/gshadow-", OLD),
    remove("etc/subuid-", OLD),
    remove("etc/subgid-", OLD),
    remove("etc/.pwd.lock", "a lock file of the build"),
    remove("etc/ld.so.cache~", OLD),
    remove("etc/hostname", "the build's; the configuration layer has the server's"),
    remove("etc/resolv.conf", "the build's; the configuration layer has the server's"),
    remove("etc/ssh/ssh_host_rsa_key", HOST_KEY),
    remove("etc/ssh/ssh_host_rsa_key.pub", HOST_KEY),
    remove("etc/ssh/ssh_host_ecdsa_key", HOST_KEY),
    remove("etc/ssh/ssh_host_ecdsa_key.pub", HOST_KEY),
    remove("etc/ssh/ssh_host_ed25519_key", HOST_KEY),
    remove("etc/ssh/ssh_host_ed25519_key.pub", HOST_KEY),
    remove("etc/ssl/private/ssl-cert-snakeoil.key", HOST_KEY),
    remove("etc/ssl/certs/ssl-cert-snakeoil.pem", HOST_KEY),
    empty(
        "etc/munin/plugins",
        "munin-node's script links the plugins that suit the build's kernel and network cards; roles say which a server has",
    ),
    empty("var/lib/mysql", "the database is made at first boot, on its own volume"),
    remove("var/lib/dpkg/status-old", OLD),
    remove("var/lib/dpkg/diversions-old", OLD),
    remove("var/lib/dpkg/statoverride-old", OLD),
    remove("var/lib/ucf/hashfile.0", OLD),
    remove("var/lib/ucf/hashfile.1", OLD),
    remove("var/lib/ucf/hashfile.2", OLD),
    remove("var/lib/ucf/hashfile.3", OLD),
    remove("var/lib/ucf/hashfile.4", OLD),
    remove("var/lib/ucf/hashfile.5", OLD),
    remove("var/lib/ucf/hashfile.6", OLD),
    remove("var/lib/ucf/hashfile.7", OLD),
    remove("var/lib/ucf/registry.0", OLD),
    remove("var/lib/ucf/registry.1", OLD),
    remove("var/lib/ucf/registry.2", OLD),
    remove("var/lib/ucf/registry.3", OLD),
    remove("var/lib/ucf/registry.4", OLD),
    remove("var/lib/ucf/registry.5", OLD),
    remove("var/lib/ucf/registry.6", OLD),
    remove("var/lib/ucf/registry.7", OLD),
    remove("var/lib/dpkg/lock", "a lock file of the build"),
    remove("var/lib/dpkg/lock-frontend", "a lock file of the build"),
    remove("var/lib/dpkg/triggers/Lock", "a lock file of the build"),
    remove("var/lib/dpkg/available", "dselect's; dpkg makes it when it is missing, apt does not"),
    remove("var/lib/dpkg/cmethopt", "dselect's choice of a method, written by apt only"),
    Exception {
        path: "var/lib/dpkg/status",
        action: Action::SortParagraphs,
        reason: "dpkg appends packages in the order of unpacking; the order means nothing",
    },
    Exception { path: "etc/passwd", action: Action::SortAccounts("etc/shadow"), reason: ACCOUNTS },
    Exception { path: "etc/group", action: Action::SortAccounts("etc/gshadow"), reason: ACCOUNTS },
    Exception { path: "var/lib/ucf/hashfile", action: Action::SortLines, reason: UCF },
    Exception { path: "var/lib/ucf/registry", action: Action::SortLines, reason: UCF },
    Exception {
        path: "var/lib/dpkg/triggers/File",
        action: Action::SortLines,
        reason: "dpkg appends interests in the order of unpacking; the order means nothing",
    },
    empty("run", "not on disk: a tmpfs at boot"),
    empty("tmp", "not on disk: a tmpfs at boot"),
    empty("dev", "not on disk: devtmpfs at boot"),
    empty("proc", "not on disk: proc at boot"),
    empty("sys", "not on disk: sysfs at boot"),
    remove(
        "usr/sbin/policy-rc.d",
        "the build's: keeps services from starting; each server's systemd decides that",
    ),
];

/// The operations that apply the list to a tree (a path as seen in the sandbox).
pub fn operations(tree: &Path) -> Vec<Op> {
    EXCEPTIONS
        .iter()
        .map(|exception| {
            let path = tree.join(exception.path);
            match exception.action {
                Action::Remove => Op::Remove { path },
                Action::Empty => Op::Empty { path },
                Action::SortParagraphs => Op::SortParagraphs { path },
                Action::SortLines => Op::SortLines { path },
                Action::SortAccounts(shadow) => {
                    Op::SortAccounts { path, shadow: tree.join(shadow) }
                }
            }
        })
        .collect()
}
