//! Makes a lock from the archives, moving no more than it must.
//!
//! Like cargo's: what is locked stays as it is while the requests are met; what
//! is missing is added; an update moves one package or all. Where a package that
//! stays does not fit one that moves, it moves, too.

use super::archives::{Archives, Suite};
use super::date;
use super::file::{ESSENTIAL, Lock, LockedPackage, Requests, Set};
use super::ids::{self, Ids};
use super::mirror::{BUILT_IN, LOCAL, SECURITY};
use super::pins;
use super::resolver::{self, Resolved, Unresolvable};
use super::universe::Universe;
use super::version::Version;
use crate::error::{Error, Result};
use crate::names;
use crate::progress;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which locked packages may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// None, unless the requests cannot be met otherwise.
    Keep,
    /// All.
    UpdateAll,
    /// This one, and what must move with it.
    Update(String),
    /// These, whose files no mirror has any more, and what must move with them.
    Relock(Vec<String>),
}

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The version before; nothing for a new one.
    pub old: Option<Version>,
    /// The version now; nothing for one that is not needed any more.
    pub new: Option<Version>,
    /// Whether the new version is a security update.
    pub security: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{} {old} -> {new}", self.name)?,
            (None, Some(new)) => write!(f, "{} {new} (new)", self.name)?,
            (Some(old), None) => write!(f, "{} {old} (removed)", self.name)?,
            (None, None) => write!(f, "{}", self.name)?,
        }
        f.write_str(if self.security { " (security)" } else { "" })
    }
}

/// Resolves the requests to a lock and says what changed against the `old` one.
///
/// # Errors
/// For an unknown package, a dependency that cannot be satisfied, a conflict; for
/// [`Policy::Relock`] also when the archive still lists what no mirror has.
pub fn resolve(
    archives: &Archives,
    requests: &Requests,
    old: Option<&Lock>,
    policy: &Policy,
) -> Result<(Lock, Vec<Change>)> {
    let empty = Lock::default();
    let old = old.unwrap_or(&empty);
    let mut universe = archives.universe();
    let mut loose = movable(old, policy)?;
    // What is from an archive that is not there any more must come from another.
    let gone = old.packages.values().filter(|locked| !archives.has(&locked.archive));
    loose.extend(gone.map(|locked| locked.name.clone()));
    let (sets, ids) = loop {
        universe.set_pins(pins::pins(&universe, old, &loose)?);
        match resolve_sets(&universe, requests, old, &loose) {
            Ok(sets) => break (sets, ids(old, requests)?),
            Err(no) => {
                // Only what is pinned can be moved; each round moves something, so this ends.
                let more: Vec<_> =
                    no.involved.into_iter().filter(|name| universe.is_pinned(name)).collect();
                if more.is_empty() {
                    return Err(no.error);
                }
                loose.extend(more);
            }
        }
    };
    let mut lock = assemble(archives, &universe, old, sets, ids)?;
    let moves = old.epoch == 0 || *policy == Policy::UpdateAll;
    lock.epoch = lock.newest_date().filter(|_| moves).unwrap_or(old.epoch);
    if let Policy::Relock(vanished) = policy {
        refuse_to_stay(old, &lock, vanished)?;
    }
    let changes = changes(old, &lock);
    let same = changes.is_empty() && lock.sets == old.sets && lock.ids == old.ids;
    // Nothing moved: the old lock is as good, and its file stays as it is.
    Ok((if same { old.clone() } else { lock }, changes))
}

/// Refuses archives that are older than the lock's: a mirror that lags, or a replayed state,
/// which nothing else would tell where a release names no `Valid-Until`, as Debian's own. The
/// suites in `allowed` may be older, with a warning.
///
/// # Errors
/// For each suite that is older and not allowed; for an allowed one that is none.
pub fn refuse_older(archives: &Archives, old: &Lock, allowed: &[String]) -> Result<()> {
    let known = || archives.suites.iter().map(|suite| suite.suite.as_str());
    if let Some(name) = allowed.iter().find(|name| !known().any(|suite| suite == *name)) {
        return Err(Error::input(format!("no archive has a suite `{name}`"))
            .hint(names::suggest(name, known().collect::<Vec<_>>())));
    }
    for now in &archives.suites {
        let same = |before: &&Suite| (&before.archive, &before.suite) == (&now.archive, &now.suite);
        let before = old.suites.iter().find(same).filter(|before| before.date > now.date);
        let Some(before) = before else { continue };
        let what = format!(
            "the mirror's {} is of {}, the lock's of {}",
            now.suite,
            date::rfc3339(now.date),
            date::rfc3339(before.date)
        );
        if !allowed.contains(&now.suite) {
            return Err(Error::archive(what).hint(format!(
                "the mirror is behind, or somebody replays an old state, with old holes: name another with `--mirror URL`, or take it with `imagebuild lock --allow-older {}`",
                now.suite
            )));
        }
        progress::warn(format!("{what}: packages may move to older versions"));
    }
    Ok(())
}

/// The names of locked packages that may move from the start.
fn movable(old: &Lock, policy: &Policy) -> Result<BTreeSet<String>> {
    let all = || old.packages.keys().cloned();
    match policy {
        Policy::Keep => Ok(BTreeSet::new()),
        Policy::UpdateAll => Ok(all().collect()),
        Policy::Relock(names) => Ok(names.iter().cloned().collect()),
        Policy::Update(name) if old.packages.contains_key(name) => Ok([name.clone()].into()),
        Policy::Update(name) => {
            let near = names::nearest(name, old.packages.keys().map(String::as_str));
            let error = Error::input(format!("the lock holds no package `{name}`"));
            Err(match near.is_empty() {
                true => error.hint("`imagebuild lock --update` without a name moves all packages"),
                false => error.hint(names::suggest(name, near)),
            })
        }
    }
}

/// A set's answer: kept from the old lock, or resolved anew.
enum Answer {
    Kept(Set),
    New(Vec<String>, Vec<Resolved>),
}

fn resolve_sets(
    universe: &Universe<'_>,
    requests: &Requests,
    old: &Lock,
    loose: &BTreeSet<String>,
) -> Result<BTreeMap<String, Answer>, Unresolvable> {
    let mut answers = BTreeMap::new();
    let mut moved = loose.clone();
    for locked in old.of_archive(BUILT_IN).chain(old.of_archive(LOCAL)) {
        let now = universe.candidate(&locked.name)?;
        if now.is_none_or(|package| package.sha256 != locked.sha256) {
            moved.insert(locked.name.clone());
        }
    }
    for (name, wanted) in &requests.sets {
        let stays = |set: &&Set| {
            let names = &set.packages;
            set.requests == *wanted && !names.iter().any(|name| moved.contains(name))
        };
        let answer = match old.sets.get(name).filter(stays) {
            Some(set) => Answer::Kept(set.clone()),
            None => {
                let expanded = expand(universe, wanted)?;
                let resolved = resolver::resolve(universe, &expanded).map_err(|mut no| {
                    no.error = no.error.context(format!("the set {name}"));
                    no
                })?;
                Answer::New(wanted.clone(), resolved)
            }
        };
        answers.insert(name.clone(), answer);
    }
    Ok(answers)
}

fn expand(universe: &Universe<'_>, wanted: &[String]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in wanted {
        match name.as_str() {
            ESSENTIAL => names.extend(universe.essential()?),
            _ => names.push(name.clone()),
        }
    }
    Ok(names)
}

fn ids(old: &Lock, requests: &Requests) -> Result<Ids> {
    ids::allocate_ids(&old.ids, &requests.users, &requests.groups)
}

fn assemble(
    archives: &Archives,
    universe: &Universe<'_>,
    old: &Lock,
    answers: BTreeMap<String, Answer>,
    ids: Ids,
) -> Result<Lock> {
    let mut lock = Lock { suites: archives.suites.clone(), ids, ..Lock::default() };
    for (name, answer) in answers {
        let set = match answer {
            Answer::Kept(set) => {
                for name in &set.packages {
                    let locked = old.packages[name].clone();
                    add(&mut lock.packages, locked);
                }
                set
            }
            Answer::New(requests, resolved) => {
                let packages = resolved.iter().map(|one| one.package.name.clone()).collect();
                resolved.into_iter().for_each(|one| add(&mut lock.packages, to_locked(one)));
                Set { requests, packages }
            }
        };
        lock.sets.insert(name, set);
    }
    let kept: BTreeSet<String> = lock.packages.keys().cloned().collect();
    for package in lock.packages.values_mut() {
        package.depends.retain(|name| kept.contains(name));
        let listed = universe.exact(&package.name, package.version.as_str())?.is_some();
        let before = old.packages.get(&package.name).and_then(|locked| locked.last_seen);
        let seen = || before.or_else(|| old.date_of(&package.archive));
        package.last_seen = if listed { None } else { seen() };
    }
    Ok(lock)
}

/// Adds a package, or the edges that another set gives it.
fn add(packages: &mut BTreeMap<String, LockedPackage>, package: LockedPackage) {
    match packages.get_mut(&package.name) {
        None => drop(packages.insert(package.name.clone(), package)),
        Some(known) => {
            known.depends.extend(package.depends);
            known.depends.sort();
            known.depends.dedup();
        }
    }
}

fn to_locked(resolved: Resolved) -> LockedPackage {
    let Resolved { package, depends } = resolved;
    LockedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        archive: package.archive.clone(),
        path: package.filename.clone(),
        sha256: package.sha256,
        size: package.size,
        depends,
        last_seen: None,
    }
}

fn refuse_to_stay(old: &Lock, new: &Lock, vanished: &[String]) -> Result<()> {
    for name in vanished {
        let digest = |lock: &Lock| lock.packages.get(name).map(|package| package.sha256);
        let Some(package) = new.packages.get(name) else { continue };
        if digest(old) == Some(package.sha256) {
            return Err(Error::archive(format!(
                "the index lists {name} {}, but no mirror has its file",
                package.version
            ))
            .hint(
                "the mirror is incomplete: name another with `--mirror URL`, or try again later",
            ));
        }
    }
    Ok(())
}

fn changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let names: BTreeSet<&String> = old.packages.keys().chain(new.packages.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (before, now) = (old.packages.get(name), new.packages.get(name));
        if before.map(|p| p.sha256) != now.map(|p| p.sha256) {
            changes.push(Change {
                name: name.clone(),
                old: before.map(|package| package.version.clone()),
                new: now.map(|package| package.version.clone()),
                security: now.is_some_and(|package| package.archive == SECURITY),
            });
        }
    }
    changes
}
