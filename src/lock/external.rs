//! Packages from outside Debian: signed archives of the user's own, and `.deb` files in
//! his project. Both are indexes like any other once they are read; a lock names the
//! archive by its id, or `local`, and every file by digest.

use super::archives::{Archives, Source, Suite};
use super::control::Paragraphs;
use super::deb;
use super::fetch::Fetcher;
use super::mirror::LOCAL;
use super::openpgp::TrustAnchors;
use super::packages::{Index, is_safe_path};
use super::release::OtherSuite;
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::spec::{AptSource, Tree};
use std::path::{Path, PathBuf};

impl Archives {
    /// Fetches and verifies an archive of the user's own, as of `now`; its key is a file
    /// of the project's tree.
    ///
    /// # Errors
    /// As [`Archives::load`], with the place where the archive is named.
    pub fn add_source(
        &mut self,
        cache_dir: &Path,
        fetcher: &Fetcher,
        (id, source): (&str, &AptSource),
        tree: &Tree,
        now: u64,
    ) -> Result<()> {
        let (url, suite) = (&source.url, &source.suite);
        let hint = format!(
            "`url`, `suite` and `key` must be of one archive: {url}/dists/{suite}/InRelease is looked for, and `key` must have signed it"
        );
        let place = |error: Error| match &source.place {
            Some(place) => error.at(place.clone()).hint(&hint),
            None => error.hint(&hint),
        };
        let key = tree.get(&source.key).map_or(&[][..], |file| &file.content);
        let anchors = TrustAnchors::from_bytes(key, &source.key).map_err(place)?;
        let folder = cache_dir.join("indexes");
        let archive = Source { base: &source.url, suite: &source.suite, fetcher, folder: &folder };
        let release = archive.release(&anchors, now, OtherSuite::Warned).map_err(place)?;
        for component in &source.components {
            self.indexes.extend(archive.indexes(id, &release, component).map_err(|error| {
                let named = error.or_hint(format!("the archive is `{id}` of site.toml"));
                source.place.iter().fold(named, |error, place| error.at(place.clone()))
            })?);
        }
        let (inrelease, date) = (release.digest, release.date);
        let (archive, suite) = (id.to_owned(), source.suite.clone());
        self.suites.push(Suite { archive, suite, inrelease, date });
        Ok(())
    }

    /// Reads the `.deb` files at these paths below `project`.
    ///
    /// # Errors
    /// When one is not there, or is no package for amd64.
    pub fn add_local(&mut self, project: &Path, debs: &[String]) -> Result<()> {
        if debs.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for path in debs {
            text += &paragraph(project, path)?;
        }
        let index = Index::parse(PathBuf::from("local packages"), LOCAL, text)?;
        // Each of them is wanted, and its author is here.
        (0..debs.len()).try_for_each(|entry| index.package(entry).map(drop))?;
        self.indexes.push(index);
        Ok(())
    }
}

/// A paragraph of an index, as an archive would write it.
fn paragraph(project: &Path, path: &str) -> Result<String> {
    if !is_safe_path(path) {
        return Err(Error::input(format!("the file name `{path}` cannot stand in a lock"))
            .hint("use letters, digits, `-`, `.`, `_`, `+`, `~`: as packages are named"));
    }
    let bytes = fs::read(&project.join(path))?;
    let files = deb::control_files(&bytes[..], path).map_err(not_ours)?;
    let control = files.get("control").map(|bytes| String::from_utf8_lossy(bytes));
    let control = control.ok_or_else(|| no_control(path))?;
    let name = PathBuf::from(format!("{path}'s control file"));
    let paragraph = Paragraphs::new(&name, &control).next().ok_or_else(|| no_control(path))??;
    for field in ["Package", "Version", "Architecture"] {
        paragraph.require(field)?;
    }
    let (size, digest) = (bytes.len(), Sha256Digest::of(&bytes));
    let control = control.trim_end();
    Ok(format!("{control}\nFilename: {path}\nSize: {size}\nSHA256: {digest}\n\n"))
}

fn no_control(path: &str) -> Error {
    Error::input(format!("{path} has no control file")).hint("it is no package: build it anew")
}

/// The archive is the user's own project.
fn not_ours(error: Error) -> Error {
    Error::input(error.message().to_owned())
        .hint("`debs` in site.toml names it: put a whole `.deb` there, or take it out")
}
