//! Users and groups get the numbers of the lock, whatever order scripts run in.
//!
//! There are two makers of system users in Debian: adduser, which takes numbers
//! from a pool file (adduser.conf(5), UID_POOL), and systemd-sysusers, for which a
//! file in /etc/sysusers.d hides the package's own of the same name (sysusers.d(5)).

use crate::error::{Error, Result};
use crate::lock::ids::Ids;
use std::collections::BTreeMap;
use std::fmt::Write;

/// System ids that scripts hand out: below are Debian's fixed ones, above people.
const DYNAMIC: std::ops::Range<u32> = 100..1000;

/// `name:number` lines, as adduser's pools want them.
pub fn pool(ids: &BTreeMap<String, u32>) -> String {
    ids.iter().map(|(name, id)| format!("{name}:{id}\n")).collect()
}

/// A package's sysusers.d file with the lock's numbers in place of `-`.
pub fn with_numbers(text: &str, ids: &Ids) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let numbered = number(line, ids);
        // Writing to a String cannot fail.
        let _infallible = writeln!(out, "{}", numbered.as_deref().unwrap_or(line));
    }
    out
}

/// The line `TYPE NAME ID rest` with a number, where it leaves the number open.
fn number(line: &str, ids: &Ids) -> Option<String> {
    let line = line.trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    let (name, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (id, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let known = match kind.trim_end_matches('!') {
        "u" => ids.users.get(name)?,
        "g" => ids.groups.get(name)?,
        _ => return None,
    };
    let id = match id.split_once(':') {
        None if id == "-" => known.to_string(),
        Some(("-", group)) => format!("{known}:{group}"),
        _ => return None,
    };
    Some(format!("{kind} {name} {id} {rest}").trim_end().to_owned())
}

/// Checks that every system user and group of a finished tree has the lock's number.
///
/// # Errors
/// With the name of the first one that has not, and where to write it down.
pub fn check(passwd: &str, group: &str, ids: &Ids) -> Result<()> {
    for (what, key, text, known) in
        [("user", "users", passwd, &ids.users), ("group", "groups", group, &ids.groups)]
    {
        for line in text.lines() {
            let mut fields = line.split(':');
            let name = fields.next().unwrap_or_default();
            let Some(id) = fields.nth(1).and_then(|id| id.parse::<u32>().ok()) else { continue };
            // Debian's own group `users` has the fixed number 100 (base-passwd).
            if !DYNAMIC.contains(&id)
                || (name, id) == ("users", 100)
                || known.get(name) == Some(&id)
            {
                continue;
            }
            return Err(unknown(what, key, name, id, known.get(name)));
        }
    }
    Ok(())
}

fn unknown(what: &str, key: &str, name: &str, id: u32, wanted: Option<&u32>) -> Error {
    match wanted {
        None => Error::build(format!("a package made the {what} `{name}`, which has no number in the lock"))
            .hint(format!("add \"{name}\" to `{key}` of the role that needs the package (roles/*.toml), then run `imagebuild lock`")),
        Some(wanted) => Error::build(format!("the {what} `{name}` got the number {id}; the lock says {wanted}"))
            .hint("its maintainer script makes it by other means than adduser or systemd-sysusers; please report this package"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Ids {
        let map =
            |pairs: &[(&str, u32)]| pairs.iter().map(|(n, i)| ((*n).to_owned(), *i)).collect();
        Ids {
            users: map(&[("sshd", 501), ("messagebus", 500)]),
            groups: map(&[("messagebus", 500), ("kvm", 502)]),
        }
    }

    #[test]
    fn sysusers_lines_get_the_numbers_of_the_lock() {
        let text = "# c\nu messagebus - \"System Message Bus\" /nonexistent\nu sshd -:nogroup \"sshd user\" /run/sshd\ng kvm - -\ng adm 4 -\nu! other - -\nm sshd adm\n";
        assert_eq!(
            with_numbers(text, &ids()),
            "# c\nu messagebus 500 \"System Message Bus\" /nonexistent\nu sshd 501:nogroup \"sshd user\" /run/sshd\ng kvm 502 -\ng adm 4 -\nu! other - -\nm sshd adm\n"
        );
    }

    #[test]
    fn a_user_without_a_number_is_refused() {
        let error = check("munin:x:103:103::/:/bin/sh\n", "", &ids()).unwrap_err();
        assert!(error.message().contains("`munin`"));
        let moved = check("sshd:x:102:65534::/:/bin/sh\n", "", &ids()).unwrap_err();
        assert!(moved.message().contains("the lock says 501"));
        check("sshd:x:501:65534::/:/bin/sh\nbin:x:2:2::/:\n", "users:x:100:\n", &ids()).unwrap();
    }
}
