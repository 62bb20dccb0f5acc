//! The pool: every `.deb` of the locks, by digest, in the user's cache.
//!
//! A file is written to a temporary file, verified while it is written, synced and renamed, so
//! that what has a name in the pool is whole; two processes at once at worst
//! fetch a file twice. What no mirror has any more is looked for in the snapshot
//! archive, and else reported, so that the caller can lock anew.

use super::builtin;
use super::date;
use super::fetch::{Failure, Fetcher, Length};
use super::file::{Lock, LockedPackage};
use super::mirror::{BUILT_IN, DEBIAN, Mirrors, SECURITY};
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::progress::Meter;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// How many files are fetched at once.
const CONNECTIONS: usize = 4;
/// The start of the names of files that are not whole yet.
const PREFIX_OF_TEMPORARY: &str = ".tmp-";
/// The same, of versions until November 2026.
const OLD_PREFIX: &str = ".aside-";
/// Temporary files that are older are left from a process that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// The snapshot archive takes a state some hours after it was published.
const SNAPSHOT_LAG: u64 = 6 * 3600;

/// What came of [`Pool::ensure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All packages are in the pool.
    Complete {
        /// How many had to be fetched.
        fetched: usize,
        /// How many bytes that were.
        bytes: u64,
    },
    /// These are nowhere any more; all others are in the pool. The caller locks
    /// anew with [`super::update::Policy::Relock`].
    Vanished(Vec<LockedPackage>),
}

/// The pool in a cache folder, with where to fill it from.
#[derive(Debug)]
pub struct Pool {
    folder: PathBuf,
    mirrors: Mirrors,
    fetcher: Fetcher,
    /// When each archive was in the state of the lock.
    dates: BTreeMap<String, u64>,
}

impl Pool {
    /// The pool of `cache_dir` for the packages of `lock`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(cache_dir: &Path, mirrors: Mirrors, fetcher: Fetcher, lock: &Lock) -> Result<Pool> {
        let folder = cache_dir.join("pool");
        fs::create_dir_all(&folder)?;
        fs::remove_abandoned(&folder, &[PREFIX_OF_TEMPORARY, OLD_PREFIX], ABANDONED);
        let archives = lock.suites.iter().map(|suite| suite.archive.clone());
        let dates = archives.filter_map(|id| lock.date_of(&id).map(|date| (id, date))).collect();
        Ok(Pool { folder, mirrors, fetcher, dates })
    }

    /// Where the `.deb` of a package is, or will be.
    pub fn path(&self, package: &LockedPackage) -> PathBuf {
        self.folder.join(format!("{}.deb", package.sha256))
    }

    /// Opens a `.deb` after checking all of it against the lock.
    ///
    /// # Errors
    /// When it is not there, or was damaged: then it is removed, so that the next
    /// run fetches it again.
    pub fn open_verified(&self, package: &LockedPackage) -> Result<File> {
        let path = self.path(package);
        let mut file = fs::open(&path)?;
        let failed = |e: io::Error| Error::io("read", &path, &e);
        let (digest, _) = fs::digest_reader(&mut file).map_err(failed)?;
        if digest != package.sha256 {
            std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
            return Err(Error::build(format!(
                "the file of {} {} in the cache was damaged and is removed",
                package.name, package.version
            ))
            .hint("run the same command again: it is fetched anew"));
        }
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// Fetches what is not in the pool yet. A file that is there with the right
    /// size is trusted; [`Pool::open_verified`] checks it when it is used.
    ///
    /// # Errors
    /// When a mirror fails, or has another file than the one locked.
    pub fn ensure(&self, packages: &[&LockedPackage]) -> Result<Outcome> {
        let mut missing: BTreeMap<Sha256Digest, &LockedPackage> = BTreeMap::new();
        for package in packages {
            if !self.has(package) {
                missing.insert(package.sha256, package);
            }
        }
        let bytes = missing.values().map(|package| package.size).sum();
        let meter = Meter::new(format!("{} packages", missing.len()), bytes);
        let fetched = missing.len();
        let vanished = self.fetch_all(missing.into_values().collect(), &meter)?;
        if !vanished.is_empty() {
            return Ok(Outcome::Vanished(vanished));
        }
        if fetched > 0 {
            meter.finish("Fetched");
        }
        Ok(Outcome::Complete { fetched, bytes })
    }

    fn has(&self, package: &LockedPackage) -> bool {
        std::fs::metadata(self.path(package))
            .is_ok_and(|there| there.is_file() && there.len() == package.size)
    }

    /// Fetches with a few connections; ends early at the first error.
    fn fetch_all(
        &self,
        packages: Vec<&LockedPackage>,
        meter: &Meter,
    ) -> Result<Vec<LockedPackage>> {
        let connections = CONNECTIONS.min(packages.len());
        let queue = Mutex::new((packages, Vec::new(), None));
        let work = || {
            loop {
                let package = {
                    let mut queue = lock(&queue);
                    if queue.2.is_some() {
                        return;
                    }
                    let Some(package) = queue.0.pop() else { return };
                    package
                };
                match self.fetch_one(package, meter) {
                    Ok(()) => {}
                    Err(Failure::Missing(_)) => lock(&queue).1.push(package.clone()),
                    // Object stores refuse what they do not have; there is no snapshot of them.
                    Err(Failure::Refused(_)) if !is_debians(&package.archive) => {
                        lock(&queue).1.push(package.clone());
                    }
                    Err(Failure::Refused(error) | Failure::Failed(error)) => {
                        lock(&queue).2 = Some(error)
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            (0..connections).for_each(|_| drop(scope.spawn(work)));
        });
        let (_, mut vanished, error) = queue.into_inner().unwrap_or_else(|p| p.into_inner());
        vanished.sort_by(|a, b| a.name.cmp(&b.name));
        error.map_or(Ok(vanished), Err)
    }

    fn fetch_one(&self, package: &LockedPackage, meter: &Meter) -> Result<(), Failure> {
        if package.archive == BUILT_IN {
            return Ok(self.put_built_in(package)?);
        }
        let base = self.mirrors.base(&package.archive);
        match self.fetch_from(base, package, meter) {
            Err(first @ (Failure::Missing(_) | Failure::Refused(_))) => {
                let Some(base) = self.snapshot(package) else { return Err(first) };
                // A snapshot archive that fails is no worse than none.
                self.fetch_from(&base, package, meter).map_err(|_| first)
            }
            other => other,
        }
    }

    /// The snapshot archive's base URL for the time when the package was last listed.
    fn snapshot(&self, package: &LockedPackage) -> Option<String> {
        let listed = package.last_seen.or(self.dates.get(&package.archive).copied())?;
        self.mirrors.snapshot(&package.archive, &date::snapshot(listed + SNAPSHOT_LAG))
    }

    fn fetch_from(
        &self,
        base: &str,
        package: &LockedPackage,
        meter: &Meter,
    ) -> Result<(), Failure> {
        let length = Length::Exactly(package.size);
        let make = || TemporaryFile::new(&self.folder, meter);
        let temporary = self.fetcher.fetch(base, &package.path, length, make)?;
        let found = Sha256Digest::from_hasher(temporary.hasher);
        if found != package.sha256 {
            return Err(Failure::Failed(
                Error::archive(format!(
                    "{base} has another {} than the one locked",
                    package.path
                ))
                .detail(format!("locked: {}", package.sha256))
                .detail(format!("found:  {found}"))
                .hint("the file was damaged or replaced on its way: name another mirror with `--mirror URL`"),
            ));
        }
        let path = self.path(package);
        let failed = |e: io::Error| Error::io("write", &path, &e);
        temporary.file.as_file().sync_all().map_err(failed)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        temporary.file.as_file().set_permissions(mode).map_err(failed)?;
        temporary.file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    fn put_built_in(&self, package: &LockedPackage) -> Result<()> {
        let deb = builtin::deb(&package.name)?;
        if Sha256Digest::of(&deb) != package.sha256 {
            return Err(Error::input(format!(
                "the lock is from another version of imagebuild: {} {} is not the same",
                package.name, package.version
            ))
            .hint("run `imagebuild lock`"));
        }
        fs::write_atomically(&self.path(package), &deb)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A file that is not whole yet; removed when dropped.
struct TemporaryFile<'a> {
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    meter: &'a Meter,
}

impl<'a> TemporaryFile<'a> {
    fn new(folder: &Path, meter: &'a Meter) -> Result<TemporaryFile<'a>> {
        let file = tempfile::Builder::new().prefix(PREFIX_OF_TEMPORARY).tempfile_in(folder);
        let file = file.map_err(|e| Error::io("make a file in", folder, &e))?;
        Ok(TemporaryFile { file, hasher: Sha256::new(), meter })
    }
}

impl Write for TemporaryFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.meter.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
fn is_debians(archive: &str) -> bool {
    [DEBIAN, SECURITY].contains(&archive)
}
