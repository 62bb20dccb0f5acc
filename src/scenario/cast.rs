//! Parts: names for machines whose role in a story is known only when it starts, such
//! as the server that holds the floating address just then.

use super::Name;
use crate::spec::Floating;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How the machine for a part is found, when the scenario starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It holds this floating address.
    HolderOf(Name),
    /// It takes this floating address over, when its holder fails.
    StandbyOf(Name),
}

impl Part {
    /// The floating address by which it is found.
    pub fn floating(&self) -> &Name {
        match self {
            Part::HolderOf(floating) | Part::StandbyOf(floating) => floating,
        }
    }

    /// The machine that plays it while `holder` has the address; none, if nobody could
    /// take it over. Holders are listed in the order of keepalived's priorities.
    pub fn machine<'a>(&self, floating: &'a Floating, holder: &'a str) -> Option<&'a str> {
        match self {
            Part::HolderOf(_) => Some(holder),
            Part::StandbyOf(_) => {
                floating.holders.iter().map(String::as_str).find(|one| *one != holder)
            }
        }
    }
}

/// Who plays which part: machines by the names that a scenario uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cast(pub BTreeMap<String, String>);

impl Cast {
    /// The machine that a name means: a part's, else the machine of that name.
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
        let (holder, standby) = (Part::HolderOf(name()), Part::StandbyOf(name()));
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
