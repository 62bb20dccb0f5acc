//! The numbers of system users and groups, which never change once given.
//!
//! A file on a server's disk belongs to a number, not to a name. So a number
//! stays with its name in every image for ever, even when no package needs it.

use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// The numbers that are given: above those that Debian's own base uses, below
/// those of people (Policy 9.2.2 leaves 100 to 999 to packages).
pub const RANGE: RangeInclusive<u32> = 500..=899;

/// Numbers by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ids {
    /// Users.
    pub users: BTreeMap<String, u32>,
    /// Groups; each user has one of its name and number.
    pub groups: BTreeMap<String, u32>,
}

/// Gives numbers to the names that have none yet, in their order by name.
///
/// # Errors
/// When there is no number left, or a user's number is another group's.
pub fn allocate_ids(
    previous: &Ids,
    users: &BTreeSet<String>,
    groups: &BTreeSet<String>,
) -> Result<Ids> {
    let mut ids = previous.clone();
    for user in users {
        let number = match (ids.users.get(user), ids.groups.get(user)) {
            (Some(number), _) => *number,
            // A group that became a user's, too: its number was kept free for that.
            (None, Some(number)) => *number,
            (None, None) => next_free(&ids)?,
        };
        ids.users.insert(user.clone(), number);
        ids.groups.entry(user.clone()).or_insert(number);
    }
    for group in groups {
        if !ids.groups.contains_key(group) {
            let number = next_free(&ids)?;
            ids.groups.insert(group.clone(), number);
        }
    }
    Ok(ids)
}

/// The lowest number that is neither a user's nor a group's.
fn next_free(ids: &Ids) -> Result<u32> {
    let taken: BTreeSet<u32> = ids.users.values().chain(ids.groups.values()).copied().collect();
    RANGE.into_iter().find(|number| !taken.contains(number)).ok_or_else(|| {
        Error::input(format!(
            "there is no free number for a user or group in {} to {}",
            RANGE.start(),
            RANGE.end()
        ))
        .hint("remove names that no image ever used from [users] and [groups] of imagebuild.lock")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_keeps_its_number_for_ever() {
        let first =
            allocate_ids(&Ids::default(), &names(&["mysql", "haproxy"]), &names(&["kvm"])).unwrap();
        assert_eq!(
            (first.users["haproxy"], first.users["mysql"], first.groups["kvm"]),
            (500, 501, 502)
        );
        let second = allocate_ids(&first, &names(&["aaa", "kvm"]), &names(&["zzz"])).unwrap();
        assert_eq!((second.users["haproxy"], second.users["aaa"]), (500, 503));
        assert_eq!(
            (second.users["kvm"], second.groups["kvm"], second.groups["zzz"]),
            (502, 502, 504)
        );
    }

    #[test]
    fn the_numbers_end() {
        let many: BTreeSet<String> = (0..401).map(|i| format!("u{i}")).collect();
        let error = allocate_ids(&Ids::default(), &many, &names(&[])).unwrap_err();
        assert_eq!(error.message(), "there is no free number for a user or group in 500 to 899");
    }
}
