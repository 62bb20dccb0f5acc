//! The lock: every package by digest, and the numbers of users and groups.
//!
//! `imagebuild.lock` is TOML, written in one order only so that two versions of
//! it compare line by line. It names archives and paths, never hosts.

use super::archives::Suite;
use super::date;
use super::ids::Ids;
use super::version::Version;
use crate::error::Result;
use crate::fs::{self, Sha256Digest};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

/// The only version of the format so far.
pub(super) const FORMAT: u32 = 1;

/// A request that stands for all essential packages of the archive.
pub const ESSENTIAL: &str = "@essential";

/// What a lock must answer: all that the spec asks of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// For each set ("arch4/web1", "tools/build") the packages asked for, in order;
    /// [`ESSENTIAL`] stands for all essential ones.
    pub sets: BTreeMap<String, Vec<String>>,
    /// Names of system users; each has a group of its name.
    pub users: BTreeSet<String>,
    /// Names of system groups besides those of the users.
    pub groups: BTreeSet<String>,
}

/// A package as it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// "amd64" or "all".
    pub architecture: String,
    /// The id of the archive it is from.
    pub archive: String,
    /// Its path below the archive's root.
    pub path: String,
    /// The digest of the `.deb`.
    pub sha256: Sha256Digest,
    /// The size of the `.deb`.
    pub size: u64,
    /// The packages that satisfy its dependencies, over all sets, sorted.
    pub depends: Vec<String>,
    /// When an index last listed this version, if the one of the lock does not.
    pub last_seen: Option<u64>,
}

/// A set of packages: what was asked and what it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// As in [`Requests::sets`].
    pub requests: Vec<String>,
    /// The names of all packages, sorted.
    pub packages: Vec<String>,
}

/// The lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The time that all files of an image get, and SOURCE_DATE_EPOCH of what makes them,
    /// in seconds since 1970. It stands in the key of nearly every step, so it moves only
    /// when all packages may: an update of one package makes no other anew.
    pub epoch: u64,
    /// The state of the archives that it was made from.
    pub suites: Vec<Suite>,
    /// All packages by name.
    pub packages: BTreeMap<String, LockedPackage>,
    /// All sets by name.
    pub sets: BTreeMap<String, Set>,
    /// The numbers of users and groups.
    pub ids: Ids,
}

impl Lock {
    /// Reads a lock and checks all of it.
    ///
    /// # Errors
    /// When it cannot be read; with the place, when something in it is wrong.
    pub fn read(path: &Path) -> Result<Lock> {
        Lock::parse(path, &fs::read_to_string(path)?)
    }

    /// Reads the text of a lock; errors name it `file`.
    ///
    /// # Errors
    /// With the place, when something in it is wrong.
    pub fn parse(file: &Path, text: &str) -> Result<Lock> {
        super::file_read::parse(file, text)
    }

    /// Writes the lock, through a temporary file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write_atomically(path, self.to_text().as_bytes())
    }

    /// The digest of its text.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.to_text())
    }

    /// Whether it answers exactly these requests; if not, it is stale: `imagebuild
    /// lock` brings it up to date.
    pub fn matches(&self, requests: &Requests) -> bool {
        let asked = self.sets.iter().map(|(name, set)| (name, &set.requests));
        let groups = requests.groups.union(&requests.users);
        asked.eq(requests.sets.iter())
            && requests.users.iter().all(|user| self.ids.users.contains_key(user))
            && groups.into_iter().all(|group| self.ids.groups.contains_key(group))
    }

    /// The packages of an archive.
    pub fn of_archive<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a LockedPackage> {
        self.packages.values().filter(move |package| package.archive == id)
    }

    /// The packages of a set, sorted by name; nothing if there is no such set.
    pub fn set(&self, name: &str) -> Option<Vec<&LockedPackage>> {
        let names = &self.sets.get(name)?.packages;
        Some(names.iter().filter_map(|name| self.packages.get(name)).collect())
    }

    /// When an archive's state was the one of this lock: the newest date of its suites.
    pub fn date_of(&self, archive: &str) -> Option<u64> {
        let suites = self.suites.iter().filter(|suite| suite.archive == archive);
        suites.map(|suite| suite.date).max()
    }

    /// The newest date of all archives; nothing where there is none.
    pub fn newest_date(&self) -> Option<u64> {
        self.suites.iter().map(|suite| suite.date).max()
    }

    /// The lock as text, always the same for the same content.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "# Written by `imagebuild lock`: every package by digest. Keep it in version control;\n# do not edit it: `imagebuild lock --update` moves packages to new versions.\nversion = {FORMAT}\n"
        );
        field(&mut text, "epoch", &date::rfc3339(self.epoch));
        for suite in &self.suites {
            text += "\n[[index]]\n";
            field(&mut text, "archive", &suite.archive);
            field(&mut text, "suite", &suite.suite);
            field(&mut text, "date", &date::rfc3339(suite.date));
            field(&mut text, "inrelease", &suite.inrelease.to_string());
        }
        for package in self.packages.values() {
            write_package(&mut text, package);
        }
        text += "\n[requests]\n";
        for (name, set) in &self.sets {
            list(&mut text, &quote(name), &set.requests);
        }
        text += "\n[sets]\n";
        for (name, set) in &self.sets {
            list(&mut text, &quote(name), &set.packages);
        }
        for (title, numbers) in [("users", &self.ids.users), ("groups", &self.ids.groups)] {
            text += &format!("\n[{title}]\n");
            for (name, number) in numbers {
                text += &format!("{} = {number}\n", quote(name));
            }
        }
        text
    }
}

fn write_package(text: &mut String, package: &LockedPackage) {
    *text += "\n[[package]]\n";
    field(text, "name", &package.name);
    field(text, "version", package.version.as_str());
    field(text, "architecture", &package.architecture);
    field(text, "archive", &package.archive);
    field(text, "path", &package.path);
    field(text, "sha256", &package.sha256.to_string());
    *text += &format!("size = {}\n", package.size);
    if let Some(seen) = package.last_seen {
        field(text, "last-seen", &date::rfc3339(seen));
    }
    if !package.depends.is_empty() {
        list(text, "depends", &package.depends);
    }
}

fn field(text: &mut String, key: &str, value: &str) {
    *text += &format!("{key} = {}\n", quote(value));
}

/// One name a line, so that a diff shows what came and what went.
fn list(text: &mut String, key: &str, values: &[String]) {
    *text += &format!("{key} = [\n");
    values.iter().for_each(|value| *text += &format!("    {},\n", quote(value)));
    *text += "]\n";
}

/// A TOML basic string.
fn quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => drop(write!(quoted, "\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
