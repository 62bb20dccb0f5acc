//! The promises of `promises.toml`, from which docs/promises.md is rendered, so that
//! what is promised and what is tested cannot drift apart.

use serde::Deserialize;

/// The list, as it was when the program was built.
const LIST: &str = include_str!("promises.toml");

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// `A4.1`, `All.2`.
    pub number: String,
    /// What is promised.
    pub text: String,
    /// The longest time from the fault until web users get good answers again, in words.
    pub ours: Option<String>,
    /// The same, with the timers of the book.
    pub book: Option<String>,
}

/// The promises of one architecture, or of all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromiseGroup {
    /// The heading.
    pub title: String,
    /// In the order of their numbers.
    pub promises: Vec<Promise>,
    /// A sentence about them.
    pub note: Option<String>,
}

/// All promises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// By architecture; those of all are the last.
    pub groups: Vec<PromiseGroup>,
}

impl Promises {
    /// Those of `promises.toml`.
    pub fn built_in() -> Promises {
        // A test reads it: a program with another list is not released.
        toml::from_str(LIST).unwrap_or_default()
    }

    /// The promise with this number.
    pub fn get(&self, number: &str) -> Option<&Promise> {
        self.all().find(|promise| promise.number == number)
    }

    /// All numbers, in their order.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        self.all().map(|promise| promise.number.as_str())
    }

    fn all(&self) -> impl Iterator<Item = &Promise> {
        self.groups.iter().flat_map(|group| &group.promises)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_promises_numbered_from_one() {
        toml::from_str::<Promises>(LIST).unwrap();
        let promises = Promises::built_in();
        let names = ["A1", "A2", "A3", "A4", "A5", "A6", "All"];
        assert_eq!(promises.groups.len(), names.len());
        for (group, name) in promises.groups.iter().zip(names) {
            for (place, promise) in group.promises.iter().enumerate() {
                assert_eq!(promise.number, format!("{name}.{}", place + 1));
            }
            assert!(!group.promises.is_empty(), "{name}");
        }
        assert_eq!(promises.get("A4.1").unwrap().ours.as_deref(), Some("1.5 s"));
        assert_eq!(promises.get("A4.0"), None);
    }
}
