//! The archives as they are now: verified Release files and Packages indexes.
//!
//! Order matters: nothing of an index is read before its digest is the one that a
//! signed Release file names. Verified indexes are kept in the cache by digest.

use super::builtin;
use super::fetch::{Failure, Fetcher, Length};
use super::mirror::{DEBIAN, Mirrors, SECURITY, shown};
use super::openpgp::TrustAnchors;
use super::packages::{ARCHITECTURE, Index, Packing};
use super::release::{OtherSuite, Release};
use super::universe::Universe;
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::progress;
use std::path::{Path, PathBuf};

/// Archive id and suite of all that is installed from.
pub const SUITES: [(&str, &str); 3] =
    [(DEBIAN, "trixie"), (DEBIAN, "trixie-updates"), (SECURITY, "trixie-security")];

/// Real ones have 0.2 MB.
const LONGEST_RELEASE: u64 = 8 << 20;
/// The text of Debian's main has 57 MB.
const LONGEST_INDEX: u64 = 512 << 20;

/// A suite that was read: what a lock records about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The archive id.
    pub archive: String,
    /// The suite's code name.
    pub suite: String,
    /// The digest of its InRelease file.
    pub inrelease: Sha256Digest,
    /// The date in it, in seconds since 1970.
    pub date: u64,
}

/// All indexes that packages are chosen from.
#[derive(Debug)]
pub struct Archives {
    /// The suites, in the order of [`SUITES`].
    pub suites: Vec<Suite>,
    pub(super) indexes: Vec<Index>,
}

impl Archives {
    /// Fetches and verifies the indexes of all suites, as of `now`.
    ///
    /// # Errors
    /// When a mirror cannot be reached, or a signature, a date or a digest is wrong.
    pub fn load(
        cache_dir: &Path,
        mirrors: &Mirrors,
        fetcher: &Fetcher,
        anchors: &TrustAnchors,
        now: u64,
    ) -> Result<Archives> {
        let folder = cache_dir.join("indexes");
        fs::create_dir_all(&folder)?;
        let mut suites = Vec::new();
        let mut indexes = Vec::new();
        for (archive, suite) in SUITES {
            let source = Source { base: mirrors.base(archive), suite, fetcher, folder: &folder };
            let release = source.release(anchors, now, OtherSuite::Refused)?;
            indexes.extend(source.indexes(archive, &release, "main")?);
            let (inrelease, date) = (release.digest, release.date);
            let (archive, suite) = (archive.to_owned(), suite.to_owned());
            suites.push(Suite { archive, suite, inrelease, date });
        }
        let packages: usize = indexes.iter().map(|index| index.entries.len()).sum();
        progress::step("Read", format!("the indexes of {packages} packages"));
        indexes.push(builtin::index()?);
        Ok(Archives { suites, indexes })
    }

    /// Whether packages are chosen from the archive of this id.
    pub fn has(&self, archive: &str) -> bool {
        self.indexes.iter().any(|index| index.archive() == archive)
    }

    /// The packages of all indexes, with what is built in.
    pub fn universe(&self) -> Universe<'_> {
        Universe::new(&self.indexes)
    }

    /// The names of the essential packages, which every system has, sorted.
    ///
    /// # Errors
    /// When a paragraph of an index is wrong.
    pub fn essential(&self) -> Result<Vec<String>> {
        self.universe().essential()
    }
}

/// An index in one packing, as the Release file lists it.
struct Listed<'a> {
    packing: Packing,
    folder: &'a str,
    path: String,
    digest: Sha256Digest,
    size: u64,
}

/// Where one suite is fetched from.
pub(super) struct Source<'a> {
    pub(super) base: &'a str,
    pub(super) suite: &'a str,
    pub(super) fetcher: &'a Fetcher,
    pub(super) folder: &'a Path,
}

impl Source<'_> {
    pub(super) fn release(
        &self,
        anchors: &TrustAnchors,
        now: u64,
        other: OtherSuite,
    ) -> Result<Release> {
        let path = format!("dists/{}/InRelease", self.suite);
        let length = Length::AtMost(LONGEST_RELEASE);
        let bytes = self.fetcher.fetch(self.base, &path, length, || Ok(Vec::new()))?;
        let name = format!("{}/{path}", shown(self.base));
        Release::verify(&bytes, anchors, (self.suite, other), now, &name)
    }

    /// The indexes of a component: that of the architecture, and that of packages for all,
    /// where it is one of its own.
    pub(super) fn indexes(
        &self,
        archive: &str,
        release: &Release,
        component: &str,
    ) -> Result<Vec<Index>> {
        let own = format!("{component}/binary-{ARCHITECTURE}");
        let mut folders = vec![own.clone()];
        if release.all_is_apart {
            folders.push(format!("{component}/binary-all"));
        }
        let mut indexes = Vec::new();
        for folder in folders {
            let listed = |packing: Packing| {
                let path = format!("{folder}/Packages{}", packing.ending());
                let (digest, size) = release.file(&path)?;
                Some(Listed { packing, folder: &folder, path, digest, size })
            };
            let listed: Vec<Listed<'_>> = Packing::ALL.into_iter().filter_map(listed).collect();
            if !listed.is_empty() {
                let (packing, bytes) = self.index(&listed, release.by_hash)?;
                let name = format!("{}/dists/{}/{folder}/Packages", shown(self.base), self.suite);
                let name = PathBuf::from(name);
                indexes.push(Index::unpack(name, archive, packing, &bytes, LONGEST_INDEX)?);
            }
        }
        if indexes.is_empty() {
            return Err(Error::archive(format!(
                "{}/dists/{}/InRelease does not list {own}/Packages.xz",
                shown(self.base),
                self.suite
            ))
            .hint(format!(
                "imagebuild needs an archive with the component {component} for {ARCHITECTURE}"
            )));
        }
        Ok(indexes)
    }

    /// The bytes of an index: from the cache, else the first of its places and packings that
    /// the mirror gives and that has its digest.
    fn index(&self, listed: &[Listed<'_>], by_hash: bool) -> Result<(Packing, Vec<u8>)> {
        let kept =
            |one: &Listed<'_>| self.folder.join(format!("{}{}", one.digest, one.packing.ending()));
        for one in listed {
            if let Ok(bytes) = std::fs::read(kept(one))
                && Sha256Digest::of(&bytes) == one.digest
            {
                return Ok((one.packing, bytes));
            }
        }
        let mut problem = None;
        for one in listed {
            let Listed { folder, path, digest, size, .. } = one;
            let hashed = by_hash.then(|| format!("{folder}/by-hash/SHA256/{digest}"));
            for path in hashed.iter().chain([path]) {
                let path = format!("dists/{}/{path}", self.suite);
                let length = Length::Exactly(*size);
                match self.fetcher.fetch(self.base, &path, length, || Ok(Vec::new())) {
                    Ok(bytes) if Sha256Digest::of(&bytes) == *digest => {
                        fs::write_atomically(&kept(one), &bytes)?;
                        return Ok((one.packing, bytes));
                    }
                    Ok(_) => problem = Some(self.mismatch(&path)),
                    Err(Failure::Missing(error) | Failure::Refused(error)) => {
                        problem = problem.or(Some(error));
                    }
                    Err(Failure::Failed(error)) => return Err(error),
                }
            }
        }
        Err(problem.unwrap_or_else(|| self.mismatch(self.suite)))
    }

    fn mismatch(&self, path: &str) -> Error {
        Error::archive(format!(
            "{}/{path} is not the file that the signed InRelease names: its SHA-256 differs",
            shown(self.base)
        ))
        .hint("the mirror is being updated, or something on the way changes files: try again in some minutes, or name another mirror with `--mirror URL`")
    }
}
