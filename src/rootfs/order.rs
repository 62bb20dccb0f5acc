//! In which order packages are unpacked and configured.
//!
//! dpkg unpacks in the order of its command line, but a package's Pre-Depends must
//! be configured before it is unpacked at all (Debian Policy 7.2): mariadb-server's
//! preinst, say, calls adduser. So there is a bootstrap set that everything may
//! rely on, then rounds.

use std::collections::{BTreeMap, BTreeSet};

/// What the order depends on, of one package.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it is Essential: everything may rely on it without saying so.
    pub essential: bool,
    /// Packages of the set that its Depends and Pre-Depends led to.
    pub depends: Vec<String>,
    /// Those of them that Pre-Depends led to.
    pub pre_depends: Vec<String>,
    /// Names of which it needs one, each: the groups of its Depends and Pre-Depends.
    pub needs: Vec<Vec<String>>,
    /// Other names that it answers to.
    pub provides: Vec<String>,
}

/// The packages that need none but each other: what is left when those that lack
/// something have been taken out, again and again.
pub fn self_contained(nodes: &[Node]) -> BTreeSet<String> {
    let mut left: Vec<&Node> = nodes.iter().collect();
    loop {
        let names: BTreeSet<&String> =
            left.iter().flat_map(|node| node.provides.iter().chain([&node.name])).collect();
        let has_all = |node: &&Node| {
            node.needs.iter().all(|group| group.iter().any(|name| names.contains(name)))
        };
        let before = left.len();
        left.retain(has_all);
        if left.len() == before {
            return left.into_iter().map(|node| node.name.clone()).collect();
        }
    }
}

/// One round of dpkg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Packages to configure before anything of this round is unpacked.
    pub configure: Vec<String>,
    /// Packages to unpack, in this order.
    pub unpack: Vec<String>,
}

/// The whole order: the bootstrap set, then rounds, then `--configure --pending`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Essential packages, the helpers that maintainer scripts of other packages
    /// call, and all that these depend on.
    pub bootstrap: Vec<String>,
    /// What comes after.
    pub rounds: Vec<Round>,
}

/// Called by many scripts through Pre-Depends; taken into the bootstrap set, so
/// that its configuration can hold the lock's ids before any of them runs.
const HELPERS: [&str; 1] = ["adduser"];

/// The order for these packages.
pub fn order(nodes: &[Node]) -> Order {
    let by_name: BTreeMap<&str, &Node> = nodes.iter().map(|n| (n.name.as_str(), n)).collect();
    let roots = nodes.iter().filter(|n| n.essential || HELPERS.contains(&n.name.as_str()));
    let bootstrap = closure(roots.map(|n| n.name.as_str()), &by_name);
    let mut configured: BTreeSet<&str> = bootstrap.clone();
    let mut left: Vec<&Node> =
        nodes.iter().filter(|n| !bootstrap.contains(n.name.as_str())).collect();
    let mut rounds = Vec::new();
    let mut configure: BTreeSet<&str> = BTreeSet::new();
    while !left.is_empty() {
        // What is not among them stands in the base, configured.
        let stands = |p: &str| configured.contains(p) || !by_name.contains_key(p);
        let is_ready = |n: &Node| n.pre_depends.iter().all(|p| stands(p));
        let (mut ready, mut waiting): (Vec<&Node>, Vec<&Node>) =
            left.iter().partition(|n| is_ready(n));
        if ready.is_empty() {
            // A loop of Pre-Depends, which Debian forbids: dpkg will say what is wrong.
            ready = std::mem::take(&mut waiting);
        }
        rounds.push(Round {
            configure: configure.iter().map(|name| (*name).to_owned()).collect(),
            unpack: ready.iter().map(|n| n.name.clone()).collect(),
        });
        let wanted = waiting.iter().flat_map(|n| n.pre_depends.iter().map(String::as_str));
        let closed = closure(wanted.filter(|p| !configured.contains(p)), &by_name);
        configure = closed.difference(&configured).copied().collect();
        // Only what is unpacked by now can be configured; the rest waits a round.
        let unpacked: BTreeSet<&str> = ready.iter().map(|n| n.name.as_str()).collect();
        configure.retain(|name| unpacked.contains(name));
        configured.extend(configure.iter().copied());
        left = waiting;
    }
    Order { bootstrap: bootstrap.into_iter().map(str::to_owned).collect(), rounds }
}

/// These packages and all that they depend on.
fn closure<'a>(
    roots: impl Iterator<Item = &'a str>,
    by_name: &BTreeMap<&'a str, &'a Node>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut stack: Vec<&str> = roots.collect();
    while let Some(name) = stack.pop() {
        let Some(node) = by_name.get(name) else { continue };
        if found.insert(node.name.as_str()) {
            stack.extend(node.depends.iter().map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, essential: bool, depends: &[&str], pre_depends: &[&str]) -> Node {
        let all = depends.iter().chain(pre_depends).map(|s| (*s).to_owned()).collect();
        let pre_depends = pre_depends.iter().map(|s| (*s).to_owned()).collect();
        let (needs, provides) = (Vec::new(), Vec::new());
        Node { name: name.to_owned(), essential, depends: all, pre_depends, needs, provides }
    }

    #[test]
    fn what_lacks_something_is_not_self_contained() {
        let node = |name: &str, needs: &[&[&str]], provides: &[&str]| Node {
            needs: needs.iter().map(|g| g.iter().map(|s| (*s).to_owned()).collect()).collect(),
            provides: provides.iter().map(|s| (*s).to_owned()).collect(),
            ..node(name, false, &[], &[])
        };
        let nodes = [
            node("files", &[&["awk"]], &[]),
            node("mawk", &[], &["awk"]),
            node("either", &[&["elsewhere", "mawk"]], &[]),
            node("lacks", &[&["elsewhere"]], &["virtual"]),
            node("follows", &[&["virtual"]], &[]),
            node("loop1", &[&["loop2"]], &[]),
            node("loop2", &[&["loop1"]], &[]),
        ];
        let kept: Vec<String> = self_contained(&nodes).into_iter().collect();
        assert_eq!(kept, ["either", "files", "loop1", "loop2", "mawk"]);
    }

    #[test]
    fn pre_depends_are_configured_before_the_next_round() {
        let order = order(&[
            node("base", true, &["libc"], &[]),
            node("common", false, &["libc"], &[]),
            node("libc", false, &[], &[]),
            node("server", false, &[], &["common"]),
            node("tool", false, &["server"], &["base"]),
        ]);
        assert_eq!(order.bootstrap, ["base", "libc"]);
        let round = |configure: &[&str], unpack: &[&str]| Round {
            configure: configure.iter().map(|s| (*s).to_owned()).collect(),
            unpack: unpack.iter().map(|s| (*s).to_owned()).collect(),
        };
        assert_eq!(
            order.rounds,
            [round(&[], &["common", "tool"]), round(&["common"], &["server"])]
        );
    }

    #[test]
    fn what_stands_in_the_base_is_configured() {
        let order = order(&[
            node("common", false, &["libc"], &["dpkg"]),
            node("db", false, &[], &["common", "libc"]),
        ]);
        let unpacked: Vec<_> = order.rounds.iter().map(|round| round.unpack.clone()).collect();
        assert_eq!(unpacked, [["common"], ["db"]]);
        assert_eq!(order.rounds[1].configure, ["common"]);
    }

    #[test]
    fn a_loop_of_pre_depends_ends() {
        let order = order(&[node("a", false, &[], &["b"]), node("b", false, &[], &["a"])]);
        assert_eq!(order.rounds.len(), 1);
    }
}
