//! A suite's Release file: what an archive says about its indexes.
//!
//! It is read from the signed text of an InRelease file only. The fields are
//! those of <https://wiki.debian.org/DebianRepository/Format>; checked here are
//! the suite's name and `Valid-Until`, so that an old state is not replayed.

use super::control::Paragraphs;
use super::date;
use super::openpgp::{self, TrustAnchors};
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use crate::progress;
use std::collections::BTreeMap;
use std::path::Path;

/// What a verified Release file says.
#[derive(Debug, Clone)]
pub struct Release {
    /// "stable", "stable-security" ...
    pub suite: String,
    /// "trixie", "trixie-security" ...
    pub codename: String,
    /// When it was made, in seconds since 1970.
    pub date: u64,
    /// Until when it may be believed, where it says so.
    pub valid_until: Option<u64>,
    /// Whether indexes are also found by their digest.
    pub by_hash: bool,
    /// Whether packages for all architectures stand in an index of their own only, as
    /// apt reads it: Debian's archives repeat them in that of each architecture, and say so.
    pub all_is_apart: bool,
    /// The digest of the whole InRelease file.
    pub digest: Sha256Digest,
    files: BTreeMap<String, (Sha256Digest, u64)>,
}

/// What holds where a Release file names another suite than the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherSuite {
    /// Debian's key signs all of Debian's suites: one must not be given for another.
    Refused,
    /// Archives of other people have names of all kinds, or none.
    Warned,
}

impl Release {
    /// Verifies the bytes of an InRelease file and reads them; `suite` is the one
    /// asked for, by suite or code name, with what holds where the file says another, and
    /// `name` is for errors.
    ///
    /// # Errors
    /// When no trusted key signed it, when it is out of date, of another suite
    /// or incomplete.
    pub fn verify(
        bytes: &[u8],
        anchors: &TrustAnchors,
        (suite, other): (&str, OtherSuite),
        now: u64,
        name: &str,
    ) -> Result<Release> {
        let text = openpgp::verify_cleartext(bytes, anchors, now, name)?;
        let release = Release::parse(&text, Sha256Digest::of(bytes), Path::new(name))?;
        let is_other = release.suite != suite && release.codename != suite;
        let is_named = !release.suite.is_empty() || !release.codename.is_empty();
        if is_other && is_named && other == OtherSuite::Warned {
            progress::warn(format!(
                "{name} calls its suite `{}` ({}), site.toml `{suite}`: it is used all the same",
                release.suite, release.codename
            ));
        }
        if is_other && other == OtherSuite::Refused {
            return Err(Error::archive(format!(
                "{name} is of the suite {} ({}), not of {suite}",
                release.suite, release.codename
            ))
            .hint("the mirror answers with another suite's file; `--mirror URL` names another"));
        }
        if let Some(until) = release.valid_until.filter(|until| *until < now) {
            return Err(Error::archive(format!(
                "{name} is out of date: it was valid until {}, now is {}",
                date::rfc3339(until),
                date::rfc3339(now)
            ))
            .hint("the mirror is stale, or this machine's clock is wrong; `--mirror URL` names another mirror"));
        }
        Ok(release)
    }

    /// Reads the text of a Release file, which must have been verified before.
    ///
    /// # Errors
    /// With the place in the file, when it is not one.
    fn parse(text: &str, digest: Sha256Digest, file: &Path) -> Result<Release> {
        let mut paragraphs = Paragraphs::new(file, text);
        let Some(paragraph) = paragraphs.next().transpose()? else {
            return Err(Error::archive(format!("{} is empty", file.display())));
        };
        let time = |field: &str| match paragraph.get(field) {
            None => Ok(None),
            Some(value) => match date::parse_release(value) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(paragraph.error(field, format!("`{field}` is not a date in UTC"))),
            },
        };
        let mut files = BTreeMap::new();
        for line in paragraph.lines("SHA256").filter(|line| !line.is_empty()) {
            let (path, entry) = list_entry(line).ok_or_else(|| {
                paragraph.error("SHA256", format!("`{line}` is no line of a list of digests"))
            })?;
            files.insert(path.to_owned(), entry);
        }
        Ok(Release {
            suite: paragraph.get("Suite").unwrap_or("").to_owned(),
            codename: paragraph.get("Codename").unwrap_or("").to_owned(),
            date: time("Date")?
                .ok_or_else(|| paragraph.error("Date", "the field `Date` is missing"))?,
            valid_until: time("Valid-Until")?,
            by_hash: paragraph.get("Acquire-By-Hash") == Some("yes"),
            all_is_apart: {
                let architectures = paragraph.words("Architectures");
                let has_all = architectures.is_empty() || architectures.contains(&"all");
                let repeats = paragraph.words("No-Support-for-Architecture-all");
                has_all && !repeats.contains(&"Packages")
            },
            digest,
            files,
        })
    }

    /// Digest and size of one of the suite's files, by its path below the suite.
    pub fn file(&self, path: &str) -> Option<(Sha256Digest, u64)> {
        self.files.get(path).copied()
    }
}

fn list_entry(line: &str) -> Option<(&str, (Sha256Digest, u64))> {
    let mut words = line.split_whitespace();
    let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
    Some((path, (Sha256Digest::parse(digest)?, size.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Release> {
        Release::parse(text, Sha256Digest::of(text), Path::new("InRelease"))
    }

    #[test]
    fn reads_the_fields() {
        let digest = Sha256Digest::of("x");
        let release = parse(&format!(
            "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\nSHA256:\n {digest}  12 main/binary-amd64/Packages.xz\n"
        ))
        .unwrap();
        assert_eq!(release.file("main/binary-amd64/Packages.xz"), Some((digest, 12)));
        assert_eq!(
            (release.date, release.valid_until, release.by_hash),
            (1_789_199_741, None, true)
        );
    }

    #[test]
    fn says_where_it_is_wrong() {
        let error = parse("Codename: x\nDate: yesterday\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "error: `Date` is not a date in UTC\n --> InRelease:2:7\n  |\n2 | Date: yesterday\n  |       ^^^^^^^^^"
        );
        let error = parse("Codename: x\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n 12 x\n");
        assert_eq!(error.unwrap_err().message(), "`12 x` is no line of a list of digests");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(Suite|Codename|Date|SHA256|:|\n| |[0-9a-f]{64}|.){0,20}") {
            drop(parse(&text));
        }
    }

    #[test]
    fn a_corpus_of_releases_changed_at_random() {
        let tokens =
            &["Suite: ", "Date: ", "SHA256:\n ", "Valid-Until: ", "\n ", "\n\n", "UTC", "#"];
        Fuzz::of("release", tokens).rounds(100_000).run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(release) = parse(&text) {
                assert!(release.files.len() <= text.len() / 64, "a digest for each");
            }
        });
    }
}
