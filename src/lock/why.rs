//! Why a package is in a set: the shortest way to it from what was asked for.

use super::file::{ESSENTIAL, Lock};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

impl Lock {
    /// The names from a request of the set to the package, each depending on the
    /// next; the first is [`ESSENTIAL`] when no request leads there. Nothing when
    /// the set does not hold the package.
    pub fn why(&self, set: &str, package: &str) -> Option<Vec<String>> {
        let set = self.sets.get(set)?;
        let inside: BTreeSet<&str> = set.packages.iter().map(String::as_str).collect();
        inside.get(package)?;
        let mut from: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        let mut queue = VecDeque::new();
        for request in set.requests.iter().filter(|name| inside.contains(name.as_str())) {
            from.insert(request, None);
            queue.push_back(request.as_str());
        }
        while let Some(name) = queue.pop_front() {
            let depends = self.packages.get(name).map_or(&[][..], |package| &package.depends);
            // Edges are those of all sets: only the ones within this set count.
            for next in depends.iter().filter(|next| inside.contains(next.as_str())) {
                if !from.contains_key(next.as_str()) {
                    from.insert(next, Some(name));
                    queue.push_back(next);
                }
            }
        }
        let mut way = vec![package.to_owned()];
        let mut at = package;
        while let Some(Some(before)) = from.get(at) {
            way.push((*before).to_owned());
            at = before;
        }
        if !from.contains_key(package) {
            way.push(ESSENTIAL.to_owned());
        }
        way.reverse();
        Some(way)
    }
}
