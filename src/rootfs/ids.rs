//! Users and groups get the numbers of the lock, whatever order scripts run in.
//!
//! There are two makers of system users in Debian's packages: adduser, which takes numbers
//! from a pool file (adduser.conf(5), UID_POOL), and systemd-sysusers, for which a
//! file in /etc/sysusers.d hides the package's own of the same name (sysusers.d(5)). Others call useradd and groupadd,
//! which shims give the numbers to.

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
/// With the names of all that have not, and where to write them down.
pub fn check(passwd: &str, group: &str, ids: &Ids) -> Result<()> {
    let users = astray(passwd, &ids.users);
    let groups = astray(group, &ids.groups);
    if let Some((name, id, Some(wanted))) = users.iter().chain(&groups).find(|a| a.2.is_some()) {
        return Err(Error::build(format!("`{name}` got the number {id}; the lock says {wanted}"))
            .hint("its maintainer script makes it by other means than adduser, systemd-sysusers, useradd or groupadd: let it call one of them by its name, not by a path, and name no number"));
    }
    // A user's own group comes with the user.
    let groups = groups.iter().filter(|group| users.iter().all(|user| user.0 != group.0));
    let list = |key: &str, names: Vec<&str>| match names.as_slice() {
        [] => String::new(),
        names => format!("{key} = {names:?}\n"),
    };
    let missing = list("users", users.iter().map(|user| user.0).collect())
        + &list("groups", groups.map(|group| group.0).collect());
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::build("packages made users or groups that have no number in the lock")
        .detail(missing)
        .hint("add them to the role that needs the package (roles/*.toml), then build again"))
}

/// A name, the number that it has, and the number that it should have.
type Astray<'a> = (&'a str, u32, Option<u32>);

fn astray<'a>(text: &'a str, known: &BTreeMap<String, u32>) -> Vec<Astray<'a>> {
    let entry = |line: &'a str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse::<u32>().ok()?;
        // Debian's own group `users` has the fixed number 100 (base-passwd).
        let fixed = !DYNAMIC.contains(&id) || (name, id) == ("users", 100);
        let wanted = known.get(name).copied();
        (!fixed && wanted != Some(id)).then_some((name, id, wanted))
    };
    text.lines().filter_map(entry).collect()
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
        assert!(error.to_string().contains(r#"users = ["munin"]"#));
        let moved = check("sshd:x:102:65534::/:/bin/sh\n", "", &ids()).unwrap_err();
        assert!(moved.message().contains("the lock says 501"));
        check("sshd:x:501:65534::/:/bin/sh\nbin:x:2:2::/:\n", "users:x:100:\n", &ids()).unwrap();
    }
}
