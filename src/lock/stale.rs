//! Why a lock does not fit the spec, in words.

use super::file::{Lock, Requests};
use std::collections::{BTreeMap, BTreeSet};

impl Lock {
    /// What is asked for and not locked, or locked and not asked for: a line for each
    /// name, however many sets it is in.
    pub fn misfits(&self, requests: &Requests) -> Vec<String> {
        let mut lacking: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut left: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let sets: BTreeSet<&String> = self.sets.keys().chain(requests.sets.keys()).collect();
        let none = Vec::new();
        for set in sets {
            let locked = self.sets.get(set).map_or(&none, |set| &set.requests);
            let asked = requests.sets.get(set).unwrap_or(&none);
            for name in asked.iter().filter(|name| !locked.contains(name)) {
                lacking.entry(name).or_default().push(set);
            }
            for name in locked.iter().filter(|name| !asked.contains(name)) {
                left.entry(name).or_default().push(set);
            }
        }
        let line = |what: &str, (name, sets): (&str, Vec<&str>)| {
            format!("{what}: {name} ({})", some(&sets))
        };
        let lacking = lacking.into_iter().map(|entry| line("asked for, but not locked", entry));
        let left = left.into_iter().map(|entry| line("locked, but not asked for", entry));
        lacking.chain(left).chain(self.numberless(requests)).collect()
    }

    fn numberless(&self, requests: &Requests) -> Vec<String> {
        let users = requests.users.iter().filter(|name| !self.ids.users.contains_key(*name));
        let groups = requests.groups.iter().filter(|name| !self.ids.groups.contains_key(*name));
        let users = users.map(|name| format!("no number is locked for the user {name}"));
        users
            .chain(groups.map(|name| format!("no number is locked for the group {name}")))
            .collect()
    }
}

/// The first names of a list, and how many more there are.
fn some(names: &[&str]) -> String {
    match names {
        [first, second, _, _, rest @ ..] => {
            format!("{first}, {second} and {} more", rest.len() + 2)
        }
        few => few.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::file::Set;

    #[test]
    fn a_name_is_told_once() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut lock = Lock::default();
        let mut requests = Requests::default();
        for name in ["a/1", "a/2", "a/3", "a/4"] {
            let locked = Set { requests: set(&["old"]), packages: Vec::new() };
            lock.sets.insert(name.to_owned(), locked);
            requests.sets.insert(name.to_owned(), set(&["new"]));
        }
        requests.sets.insert("b/1".to_owned(), set(&["old"]));
        requests.users.insert("munin".to_owned());
        assert_eq!(
            lock.misfits(&requests),
            [
                "asked for, but not locked: new (a/1, a/2 and 2 more)",
                "asked for, but not locked: old (b/1)",
                "locked, but not asked for: old (a/1, a/2 and 2 more)",
                "no number is locked for the user munin",
            ]
        );
    }
}
