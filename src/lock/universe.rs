//! All packages that could be installed: the indexes seen as one, by name.
//!
//! Of a name the highest version over all suites is the candidate, as apt does
//! with equal pins; a pin (a locked version) replaces it. Packages are read from
//! the text of the index when they are first asked for.

use super::depends::Relation;
use super::packages::{ARCHITECTURE, Index, Package};
use crate::error::Result;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Which index, and which entry in it.
type Entry = (usize, usize);

/// The packages of some indexes, with pins.
#[derive(Debug)]
pub struct Universe<'a> {
    indexes: &'a [Index],
    by_name: HashMap<&'a str, Vec<Entry>>,
    providers: HashMap<&'a str, Vec<Entry>>,
    pins: BTreeMap<String, Rc<Package>>,
    candidates: RefCell<HashMap<String, Option<Rc<Package>>>>,
    mentions: RefCell<HashMap<String, Entry>>,
}

impl<'a> Universe<'a> {
    /// The packages of these indexes; where two have the same version, the earlier wins.
    pub fn new(indexes: &'a [Index]) -> Universe<'a> {
        let mut by_name: HashMap<&str, Vec<Entry>> = HashMap::new();
        let mut providers: HashMap<&str, Vec<Entry>> = HashMap::new();
        for (number, index) in indexes.iter().enumerate() {
            for (entry, name) in index.names().enumerate() {
                by_name.entry(name).or_default().push((number, entry));
            }
            for (name, entry) in &index.provided {
                providers.entry(name).or_default().push((number, *entry));
            }
        }
        Universe {
            indexes,
            by_name,
            providers,
            pins: BTreeMap::new(),
            candidates: RefCell::default(),
            mentions: RefCell::default(),
        }
    }

    /// Makes these packages the only candidates of their names.
    pub fn set_pins(&mut self, pins: BTreeMap<String, Rc<Package>>) {
        self.pins = pins;
        self.candidates.borrow_mut().clear();
    }

    /// Whether the candidate of this name is a pinned one.
    pub fn is_pinned(&self, name: &str) -> bool {
        self.pins.contains_key(name)
    }

    /// All real names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.by_name.keys().copied()
    }

    /// The package that would be installed under this name.
    ///
    /// # Errors
    /// When its paragraph in an index is wrong.
    pub fn candidate(&self, name: &str) -> Result<Option<Rc<Package>>> {
        if let Some(known) = self.candidates.borrow().get(name) {
            return Ok(known.clone());
        }
        let candidate = match self.pins.get(name) {
            Some(pinned) => Some(pinned.clone()),
            None => self.newest(name)?.map(Rc::new),
        };
        self.candidates.borrow_mut().insert(name.to_owned(), candidate.clone());
        Ok(candidate)
    }

    /// The highest version of this name in the indexes, whatever is pinned.
    ///
    /// # Errors
    /// As [`Universe::candidate`].
    pub fn newest(&self, name: &str) -> Result<Option<Package>> {
        let mut best = None;
        for &(index, entry) in self.entries(name) {
            let version = self.indexes[index].version(entry)?;
            if best.as_ref().is_none_or(|(_, highest)| version > *highest) {
                best = Some(((index, entry), version));
            }
        }
        best.map(|((index, entry), _)| self.indexes[index].package(entry)).transpose()
    }

    /// The package of this name and exact spelling of its version, if an index has it.
    ///
    /// # Errors
    /// As [`Universe::candidate`].
    pub fn exact(&self, name: &str, version: &str) -> Result<Option<Package>> {
        for &(index, entry) in self.entries(name) {
            if self.indexes[index].version(entry)?.as_str() == version {
                return self.indexes[index].package(entry).map(Some);
            }
        }
        Ok(None)
    }

    fn entries(&self, name: &str) -> &[Entry] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of packages that may provide `name` in one of their versions.
    pub fn provider_names(&self, name: &str) -> BTreeSet<String> {
        let entries = self.providers.get(name).map_or(&[][..], Vec::as_slice);
        let names = entries.iter().map(|(index, entry)| self.indexes[*index].name(*entry));
        names.map(str::to_owned).collect()
    }

    /// The candidates that satisfy `relation`: the real package first, then the
    /// providers by name.
    ///
    /// # Errors
    /// As [`Universe::candidate`].
    pub fn satisfiers(&self, relation: &Relation) -> Result<Vec<Rc<Package>>> {
        let mut found = Vec::new();
        let real = self.candidate(&relation.name)?;
        if let Some(real) = real.filter(|package| satisfies(package, relation)) {
            found.push(real);
        }
        for name in self.provider_names(&relation.name) {
            let provider = self.candidate(&name)?.filter(|package| satisfies(package, relation));
            found.extend(provider.filter(|_| name != relation.name));
        }
        Ok(found)
    }

    /// The names of the essential packages, sorted.
    ///
    /// # Errors
    /// As [`Universe::candidate`].
    pub fn essential(&self) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for index in self.indexes {
            let marked = index.names().enumerate().filter(|(entry, _)| index.is_essential(*entry));
            for (_, name) in marked {
                if self.candidate(name)?.is_some_and(|package| package.essential) {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Where a name is first mentioned in the indexes. apt numbers packages in this
    /// order, and prefers the higher number between providers that are else equal.
    pub fn first_mention(&self, name: &str) -> (usize, usize) {
        if let Some(known) = self.mentions.borrow().get(name) {
            return *known;
        }
        let search = |(number, index): (usize, &Index)| {
            first_mention_in(index.text(), name).map(|at| (number, at))
        };
        let found = self.indexes.iter().enumerate().find_map(search);
        let found = found.unwrap_or((usize::MAX, usize::MAX));
        self.mentions.borrow_mut().insert(name.to_owned(), found);
        found
    }
}

/// Whether this package satisfies the relation, by its name or a provision.
pub fn satisfies(package: &Package, relation: &Relation) -> bool {
    let allowed = match relation.qualifier.as_deref() {
        None | Some("native" | ARCHITECTURE) => true,
        Some("any") => package.multi_arch.as_deref() == Some("allowed"),
        Some(_) => false,
    };
    let by_name = || package.name == relation.name && relation.admits(&package.version);
    let provided = || {
        let same = package.provides.iter().filter(|(name, _)| *name == relation.name);
        same.into_iter().any(|(_, version)| relation.admits_provided(version.as_ref()))
    };
    allowed && (by_name() || provided())
}

/// The fields that make apt's cache know a package's name.
const MENTIONING: [&str; 10] = [
    "Package",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Suggests",
    "Enhances",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
];

fn first_mention_in(text: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find(name).map(|at| at + from) {
        let end = at + name.len();
        let before = text[..at].chars().next_back();
        let after = text[end..].chars().next();
        let alone = before.is_none_or(|c| " ,|\n".contains(c))
            && after.is_none_or(|c| " ,|\n(:".contains(c));
        let line = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
        let field = line.split_once(':').map_or("", |(field, _)| field);
        if alone && MENTIONING.contains(&field) {
            return Some(at);
        }
        from = end;
    }
    None
}
