//! Who may log in: the name of the admin, which no package and nothing of Debian's may own.

use crate::error::Result;
use crate::spec::check::context::Context;
use crate::spec::model::role::Role;
use std::collections::BTreeMap;
use toml::Spanned;

/// Users and groups that every Debian has: base-passwd's, and those of packages that it
/// is not without.
/// <https://salsa.debian.org/debian/base-passwd/-/blob/master/passwd.master>
const DEBIAN: [&str; 52] = [
    "adm",
    "audio",
    "backup",
    "bin",
    "cdrom",
    "clock",
    "crontab",
    "daemon",
    "dialout",
    "dip",
    "disk",
    "fax",
    "floppy",
    "games",
    "input",
    "irc",
    "kmem",
    "kvm",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "netdev",
    "news",
    "nobody",
    "nogroup",
    "operator",
    "plugdev",
    "polkitd",
    "proxy",
    "render",
    "root",
    "sasl",
    "sgx",
    "shadow",
    "src",
    "sshd",
    "staff",
    "sudo",
    "sync",
    "sys",
    "tape",
    "tty",
    "users",
    "utmp",
    "uucp",
    "uuidd",
    "video",
    "voice",
    "www-data",
    "keepalived_script",
];
/// How the names of users begin that packages make.
const PREFIXES: [&str; 2] = ["systemd-", "_"];

/// Checks the name of the user who may log in.
pub(crate) fn user(name: &Spanned<String>, context: &Context<'_>) -> Result<()> {
    if !is_name(name.get_ref()) {
        let message = format!("`{}` is not a name for a user", name.get_ref());
        return Err(context
            .sources
            .error(name.span(), message)
            .hint("use a-z, 0-9, `-` and `_`, a letter first, 32 characters at most"));
    }
    let Some(owner) = owner(name.get_ref(), context.roles) else { return Ok(()) };
    let message = format!("the admin cannot be `{}`: {owner}", name.get_ref());
    Err(context.sources.error(name.span(), message).hint("use a name of your own, or `admin`"))
}

/// As useradd(8) takes it.
fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    name.starts_with(first) && name.chars().all(plain) && name.len() <= 32
}

/// Whose name it is already, if it is someone's.
fn owner(name: &str, roles: &BTreeMap<String, Role>) -> Option<String> {
    if let Some(prefix) = PREFIXES.iter().find(|prefix| name.starts_with(**prefix)) {
        return Some(format!("names with `{prefix}` are for users of packages"));
    }
    if DEBIAN.contains(&name) {
        return Some("Debian has a user or a group of this name".to_owned());
    }
    let brings = |role: &&Role| role.users.iter().chain(&role.groups).any(|one| one == name);
    let role = roles.values().find(brings)?;
    Some(format!("packages of the role `{}` make a user of this name", role.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users() {
        for good in ["rose", "_rose", "r", "rose-2_b", &"r".repeat(32)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "Rose", "2rose", "-rose", "rose@desk", "rosé", &"r".repeat(33)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn names_that_are_taken() {
        let none = BTreeMap::new();
        for taken in DEBIAN.iter().chain(&["systemd-oom", "_apt"]) {
            assert!(owner(taken, &none).is_some(), "{taken}");
        }
        assert_eq!(owner("admin", &none), None);
    }
}
