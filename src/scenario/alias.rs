//! Aliases: names for machines that are known only when a scenario starts, such as the
//! server that holds the floating address just then.

use super::Name;
use crate::spec::Floating;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How the machine of an alias is found, when the scenario starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alias {
    /// It holds this floating address.
    HolderOf(Name),
    /// It takes this floating address over, when its holder fails.
    StandbyOf(Name),
}

impl Alias {
    /// The floating address by which it is found.
    pub fn floating(&self) -> &Name {
        match self {
            Alias::HolderOf(floating) | Alias::StandbyOf(floating) => floating,
        }
    }

    /// The machine that it means while `holder` has the address; none, if nobody could
    /// take it over. Holders are listed in the order of keepalived's priorities.
    pub fn machine<'a>(&self, floating: &'a Floating, holder: &'a str) -> Option<&'a str> {
        match self {
            Alias::HolderOf(_) => Some(holder),
            Alias::StandbyOf(_) => {
                floating.holders.iter().map(String::as_str).find(|one| *one != holder)
            }
        }
    }
}

/// The machines that the aliases of a scenario mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases(pub BTreeMap<String, String>);

impl Aliases {
    /// The machine that a name means: an alias, else the machine of that name.
    pub fn machine<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Spec, Tree};
    use toml::Spanned;

    #[test]
    fn the_standby_is_the_next_that_does_not_hold_it() {
        let mut spec = Spec::load(Tree::embedded()).unwrap();
        let arch4 = spec.architectures.get_mut("arch4").unwrap();
        let web = arch4.floating.get_mut("web").unwrap();
        let name = || Spanned::new(0..0, "web".to_owned());
        let (holder, standby) = (Alias::HolderOf(name()), Alias::StandbyOf(name()));
        assert_eq!(standby.machine(web, "web1"), Some("web2"));
        assert_eq!(standby.machine(web, "web2"), Some("web1"));
        web.holders.push("web3".to_owned());
        assert_eq!(standby.machine(web, "web1"), Some("web2"));
        assert_eq!(standby.machine(web, "web2"), Some("web1"));
        assert_eq!(standby.machine(web, "web3"), Some("web1"));
        assert_eq!(holder.machine(web, "web3"), Some("web3"));
        web.holders.truncate(1);
        assert_eq!(standby.machine(web, "web1"), None);
    }
}
