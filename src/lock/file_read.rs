//! Reading `imagebuild.lock`: every value is checked, and errors show the line.
//!
//! A lock is input like any other: it is merged by hand and edited. What is wrong
//! is mostly repaired by `imagebuild lock`, and the hints say so.

use super::archives::Suite;
use super::date;
use super::depends;
use super::file::{FORMAT, Lock, LockedPackage, Set};
use super::ids::{self, Ids};
use super::packages::{ARCHITECTURE, is_safe_path};
use super::version::Version;
use crate::error::{Error, Place, Result};
use crate::fs::Sha256Digest;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

const HINT: &str = "take a whole one from version control, or remove it: `imagebuild lock` then makes a new one, with the newest packages";
const CONFLICT: &str = "take one side's lock whole (`git checkout --ours imagebuild.lock`) and run `imagebuild lock`: it adds what the other side's roles ask for";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    version: Spanned<u32>,
    epoch: Option<Spanned<String>>,
    #[serde(default)]
    index: Vec<RawIndex>,
    #[serde(default)]
    package: Vec<RawPackage>,
    #[serde(default)]
    requests: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    sets: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    #[serde(default)]
    users: BTreeMap<String, Spanned<u32>>,
    #[serde(default)]
    groups: BTreeMap<String, Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIndex {
    archive: Spanned<String>,
    suite: String,
    date: Spanned<String>,
    inrelease: Sha256Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPackage {
    name: Spanned<String>,
    version: Spanned<String>,
    architecture: Spanned<String>,
    archive: Spanned<String>,
    path: Spanned<String>,
    sha256: Sha256Digest,
    size: u64,
    last_seen: Option<Spanned<String>>,
    #[serde(default)]
    depends: Vec<Spanned<String>>,
}

/// The text with its file's name, for places in errors.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(&self, span: Range<usize>, why: impl Into<String>) -> Error {
        Error::input(why).at(Place::of_span(self.file, self.text, span)).hint(HINT)
    }

    fn time(&self, value: &Spanned<String>) -> Result<u64> {
        date::parse_rfc3339(value.get_ref()).ok_or_else(|| {
            self.wrong(value.span(), "invalid date, expected for example 2026-11-21T02:10:46Z")
        })
    }

    fn archive(&self, value: Spanned<String>) -> Result<String> {
        // Which of them there are is site.toml's; a name that none can have is damage.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !value.get_ref().is_empty() && value.get_ref().chars().all(plain) {
            return Ok(value.into_inner());
        }
        Err(self.wrong(value.span(), format!("`{}` is not an archive's id", value.get_ref())))
    }
}

/// Reads and checks a lock.
pub(super) fn parse(file: &Path, text: &str) -> Result<Lock> {
    let source = Source { file, text };
    refuse_conflict(&source)?;
    let raw: RawLock = toml::from_str(text).map_err(|e| {
        let span = e.span().unwrap_or(0..0);
        source.wrong(span, format!("the lock cannot be read: {}", e.message().trim_end()))
    })?;
    if *raw.version.get_ref() != FORMAT {
        let why = format!(
            "the lock has format {}, this imagebuild reads {FORMAT}",
            raw.version.get_ref()
        );
        return Err(source.wrong(raw.version.span(), why));
    }
    let mut suites = Vec::new();
    for index in raw.index {
        let date = source.time(&index.date)?;
        let archive = source.archive(index.archive)?;
        suites.push(Suite { archive, suite: index.suite, inrelease: index.inrelease, date });
    }
    let packages = packages(&source, raw.package)?;
    let sets = sets(&source, raw.requests, raw.sets, &packages)?;
    for (name, number) in &raw.users {
        let group = raw.groups.get(name).map(Spanned::get_ref);
        if group != Some(number.get_ref()) {
            let why = format!("the user `{name}` has no group of its name and number");
            return Err(source.wrong(number.span(), why));
        }
    }
    let users = numbers(&source, raw.users)?;
    let ids = Ids { users, groups: numbers(&source, raw.groups)? };
    let written = raw.epoch.map(|epoch| source.time(&epoch)).transpose()?;
    let mut lock = Lock { epoch: 0, suites, packages, sets, ids };
    // Locks that were written before it had a line of its own.
    lock.epoch = written.or(lock.newest_date()).unwrap_or_default();
    Ok(lock)
}

/// Two branches that both changed the lock are the commonest way to a broken one.
fn refuse_conflict(source: &Source<'_>) -> Result<()> {
    let at = if source.text.starts_with("<<<<<<<") {
        Some(0)
    } else {
        source.text.find("\n<<<<<<<").map(|at| at + 1)
    };
    at.map_or(Ok(()), |at| {
        let why = "the lock holds a merge's conflict";
        Err(source.wrong(at..at + 7, why).hint(CONFLICT))
    })
}

fn packages(source: &Source<'_>, raw: Vec<RawPackage>) -> Result<BTreeMap<String, LockedPackage>> {
    let known: BTreeSet<String> =
        raw.iter().map(|package| package.name.get_ref().clone()).collect();
    let mut packages = BTreeMap::new();
    for package in raw {
        let span = package.name.span();
        for name in &package.depends {
            if !known.contains(name.get_ref()) {
                let why = format!("the package `{}` is not in the lock", name.get_ref());
                return Err(source.wrong(name.span(), why));
            }
        }
        let package = locked(source, package)?;
        let why = format!("the package `{}` is there twice", package.name);
        if packages.insert(package.name.clone(), package).is_some() {
            return Err(source.wrong(span, why));
        }
    }
    Ok(packages)
}

fn locked(source: &Source<'_>, raw: RawPackage) -> Result<LockedPackage> {
    let version = Version::parse(raw.version.get_ref())
        .map_err(|why| source.wrong(raw.version.span(), why))?;
    let checks = [
        (&raw.name, depends::is_package_name(raw.name.get_ref()), "this is no package's name"),
        (&raw.path, is_safe_path(raw.path.get_ref()), "this path leaves the archive"),
        (
            &raw.architecture,
            [ARCHITECTURE, "all"].contains(&raw.architecture.get_ref().as_str()),
            "only amd64 and all are built for",
        ),
    ];
    for (value, holds, why) in checks {
        if !holds {
            return Err(source.wrong(value.span(), why));
        }
    }
    Ok(LockedPackage {
        version,
        archive: source.archive(raw.archive)?,
        last_seen: raw.last_seen.map(|seen| source.time(&seen)).transpose()?,
        name: raw.name.into_inner(),
        architecture: raw.architecture.into_inner(),
        path: raw.path.into_inner(),
        sha256: raw.sha256,
        size: raw.size,
        depends: raw.depends.into_iter().map(Spanned::into_inner).collect(),
    })
}

fn sets(
    source: &Source<'_>,
    mut requests: BTreeMap<String, Vec<String>>,
    raw: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    known: &BTreeMap<String, LockedPackage>,
) -> Result<BTreeMap<String, Set>> {
    let mut sets = BTreeMap::new();
    for (name, packages) in raw {
        if let Some(unknown) = packages.iter().find(|p| !known.contains_key(p.get_ref())) {
            let why = format!("the package `{}` is not in the lock", unknown.get_ref());
            return Err(source.wrong(unknown.span(), why));
        }
        if let Some(pair) = packages.windows(2).find(|pair| pair[0].get_ref() >= pair[1].get_ref())
        {
            let why = format!("`{}` is not in its place in the sorted list", pair[1].get_ref());
            return Err(source.wrong(pair[1].span(), why));
        }
        let Some(requests) = requests.remove(name.get_ref()) else {
            let why = format!("the set `{}` has no line in [requests]", name.get_ref());
            return Err(source.wrong(name.span(), why));
        };
        let packages = packages.into_iter().map(Spanned::into_inner).collect();
        sets.insert(name.into_inner(), Set { requests, packages });
    }
    match requests.keys().next() {
        Some(name) => {
            Err(source.wrong(0..0, format!("the requests `{name}` have no set in [sets]")))
        }
        None => Ok(sets),
    }
}

fn numbers(
    source: &Source<'_>,
    raw: BTreeMap<String, Spanned<u32>>,
) -> Result<BTreeMap<String, u32>> {
    let mut numbers = BTreeMap::new();
    let mut taken = BTreeMap::new();
    for (name, number) in raw {
        let (span, number) = (number.span(), number.into_inner());
        if !ids::RANGE.contains(&number) {
            let (first, last) = (ids::RANGE.start(), ids::RANGE.end());
            return Err(source.wrong(span, format!("{number} is not in {first} to {last}")));
        }
        if let Some(other) = taken.insert(number, name.clone()) {
            return Err(source.wrong(span, format!("`{other}` has the number {number} as well")));
        }
        numbers.insert(name, number);
    }
    Ok(numbers)
}
