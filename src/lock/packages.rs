//! A Packages index: one paragraph a package.
//!
//! An index of Debian's main holds 69 000 packages and 57 MB of text, of which a
//! build needs some hundreds. So only names and provisions are read at once; a
//! [`Package`] is made when it is asked for.

use super::control::{Paragraph, Paragraphs};
use super::depends::{self, Group};
use super::version::Version;
use super::xz;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;

/// The only architecture that is built for.
pub const ARCHITECTURE: &str = "amd64";

/// A binary package in an archive.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// "amd64" or "all".
    pub architecture: String,
    /// Whether it is marked `Essential: yes`.
    pub essential: bool,
    /// Whether it is marked `Important: yes` or `Protected: yes`.
    pub important: bool,
    /// required 1, important 2, standard 3, optional 4, extra 5, as apt numbers them.
    pub priority: u8,
    /// Pre-Depends.
    pub pre_depends: Vec<Group>,
    /// Depends.
    pub depends: Vec<Group>,
    /// Conflicts.
    pub conflicts: Vec<Group>,
    /// Breaks.
    pub breaks: Vec<Group>,
    /// Provides: names, with versions where given.
    pub provides: Vec<(String, Option<Version>)>,
    /// "same", "foreign", "allowed" or nothing.
    pub multi_arch: Option<String>,
    /// The path of the `.deb` below the archive's root.
    pub filename: String,
    /// The size of the `.deb` in bytes.
    pub size: u64,
    /// The digest of the `.deb`.
    pub sha256: Sha256Digest,
    /// The size when installed, in KiB, as the package guesses.
    pub installed_size: u64,
    /// The id of the archive it is from: "debian", "debian-security", "built-in".
    pub archive: String,
}

/// How an index is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As Debian's all are.
    Xz,
    /// As many small archives have it.
    Gzip,
    /// Not at all.
    Plain,
}

impl Packing {
    /// All, the smallest file first.
    pub const ALL: [Packing; 3] = [Packing::Xz, Packing::Gzip, Packing::Plain];

    /// The ending of the file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Packing::Xz => ".xz",
            Packing::Gzip => ".gz",
            Packing::Plain => "",
        }
    }

    fn reader<'a>(self, bytes: &'a [u8]) -> std::io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Packing::Xz => Box::new(xz::decoder(bytes)?),
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Packing::Plain => Box::new(bytes),
        })
    }
}

/// The line of each is counted from the start, which takes hours where there are a million.
const MOST_MISTAKES: usize = 50;

/// An index, read as far as names.
#[derive(Debug)]
pub struct Index {
    file: PathBuf,
    archive: String,
    text: String,
    /// Every paragraph's bytes with the name of its package.
    pub(super) entries: Vec<(Range<usize>, Range<usize>)>,
    /// What each provides: the provided name and the number of the entry.
    pub(super) provided: Vec<(String, usize)>,
}

impl Index {
    /// Reads the text of an index of the archive `archive`; errors name it `file`. A paragraph
    /// with a mistake is one when its package is asked for: that of one that nobody needs
    /// does not matter.
    ///
    /// # Errors
    /// The last of too many mistakes, with its place.
    pub fn parse(file: PathBuf, archive: &str, text: String) -> Result<Index> {
        let mut mistakes = 0;
        let mut entries = Vec::new();
        let mut provided = Vec::new();
        let mut paragraphs = Paragraphs::new(&file, &text);
        loop {
            let start = paragraphs.position();
            match paragraphs.next() {
                None => break,
                Some(Ok(paragraph)) => {
                    let Some(name) = paragraph.get("Package") else { continue };
                    let provides = relations(&paragraph, "Provides").unwrap_or_default();
                    for one in provides.into_iter().flat_map(|group| group.0) {
                        provided.push((one.name, entries.len()));
                    }
                    let start = name.as_ptr() as usize - text.as_ptr() as usize;
                    entries.push((paragraph.span, start..start + name.len()));
                }
                Some(Err(error)) => {
                    mistakes += 1;
                    if mistakes > MOST_MISTAKES {
                        return Err(error);
                    }
                    let span = paragraphs.leave_out(start);
                    if let Some(name) = name_in(&text, &span) {
                        entries.push((span, name));
                    }
                }
            }
        }
        Ok(Index { file, archive: archive.to_owned(), text, entries, provided })
    }

    /// Reads a compressed index of at most `limit` bytes of text.
    ///
    /// # Errors
    /// When it is not packed so, too long or not UTF-8.
    pub fn unpack(
        file: PathBuf,
        archive: &str,
        packing: Packing,
        bytes: &[u8],
        limit: u64,
    ) -> Result<Index> {
        let name = file.display().to_string();
        let bad = |why: String| Error::archive(format!("{name} cannot be unpacked: {why}"));
        let mut text = Vec::new();
        let reader = packing.reader(bytes).map_err(|e| bad(e.to_string()))?;
        let mut reader = reader.take(limit + 1);
        reader.read_to_end(&mut text).map_err(|e| bad(e.to_string()))?;
        if text.len() as u64 > limit {
            return Err(bad(format!("it is longer than {limit} bytes")));
        }
        let text = String::from_utf8(text).map_err(|_| bad("it is not UTF-8".to_owned()))?;
        Index::parse(file, archive, text)
    }

    /// The id of the archive it is of.
    pub fn archive(&self) -> &str {
        &self.archive
    }

    /// The names of its packages, in order and with repetitions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(_, name)| &self.text[name.clone()])
    }

    /// The name of an entry's package.
    pub(super) fn name(&self, entry: usize) -> &str {
        &self.text[self.entries[entry].1.clone()]
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Reads the package of an entry.
    ///
    /// # Errors
    /// With the place, when a field is missing or wrong.
    pub fn package(&self, entry: usize) -> Result<Package> {
        let paragraph = self.paragraph(entry)?;
        let flag = |field: &str| paragraph.get(field) == Some("yes");
        let number = |field: &str| match paragraph.require(field)?.parse::<u64>() {
            Ok(number) => Ok(number),
            Err(_) => Err(paragraph.error(field, format!("`{field}` is not a number"))),
        };
        let sha256 = Sha256Digest::parse(paragraph.require("SHA256")?)
            .ok_or_else(|| paragraph.error("SHA256", "`SHA256` has not 64 hexadecimal digits"))?;
        let provides = relations(&paragraph, "Provides")?.into_iter().flat_map(|group| group.0);
        Ok(Package {
            name: package_name(&paragraph)?,
            version: version(&paragraph)?,
            architecture: architecture(&paragraph)?,
            essential: flag("Essential"),
            important: flag("Important") || flag("Protected"),
            priority: priority(paragraph.get("Priority").unwrap_or("extra")),
            pre_depends: relations(&paragraph, "Pre-Depends")?,
            depends: relations(&paragraph, "Depends")?,
            conflicts: relations(&paragraph, "Conflicts")?,
            breaks: relations(&paragraph, "Breaks")?,
            provides: provides.map(|one| (one.name, one.version.map(|(_, v)| v))).collect(),
            multi_arch: paragraph.get("Multi-Arch").map(str::to_owned),
            filename: safe_path(&paragraph)?,
            size: number("Size")?,
            sha256,
            installed_size: paragraph
                .get("Installed-Size")
                .and_then(|v| v.parse().ok())
                .unwrap_or(0),
            archive: self.archive.clone(),
        })
    }

    /// Reads the version of an entry.
    ///
    /// # Errors
    /// With the place, when it has none.
    pub fn version(&self, entry: usize) -> Result<Version> {
        version(&self.paragraph(entry)?)
    }

    /// Whether an entry is marked `Essential: yes`.
    pub(super) fn is_essential(&self, entry: usize) -> bool {
        let text = &self.text[self.entries[entry].0.clone()];
        text.lines().any(|line| line.trim_end() == "Essential: yes")
    }

    fn paragraph(&self, entry: usize) -> Result<Paragraph<'_>> {
        let span = self.entries[entry].0.clone();
        // Read from the start of the text's copy up to the paragraph's end, so that
        // a place in an error counts the lines of the whole file.
        let text = &self.text[..span.end];
        let paragraph = Paragraphs::starting_at(&self.file, text, span.start).next().transpose()?;
        paragraph.ok_or_else(|| Error::archive(format!("{} lost a paragraph", self.file.display())))
    }
}

/// The name of the package in a paragraph that has a mistake somewhere.
fn name_in(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let mut at = span.start;
    for line in text[span.clone()].split_inclusive('\n') {
        let (field, value) = line.split_once(':').unwrap_or(("", ""));
        let name = value.trim();
        if field.eq_ignore_ascii_case("Package") && !name.is_empty() {
            let start = at + field.len() + 1 + (value.len() - value.trim_start().len());
            return Some(start..start + name.len());
        }
        at += line.len();
    }
    None
}

fn package_name(paragraph: &Paragraph<'_>) -> Result<String> {
    let name = paragraph.require("Package")?;
    if depends::is_package_name(name) {
        return Ok(name.to_owned());
    }
    Err(paragraph.error("Package", "this cannot be the name of a package"))
}

fn architecture(paragraph: &Paragraph<'_>) -> Result<String> {
    let architecture = paragraph.require("Architecture")?;
    if architecture == ARCHITECTURE || architecture == "all" {
        return Ok(architecture.to_owned());
    }
    Err(paragraph.error(
        "Architecture",
        format!("a package for {architecture} in an index for {ARCHITECTURE}"),
    ))
}

fn version(paragraph: &Paragraph<'_>) -> Result<Version> {
    let text = paragraph.require("Version")?;
    Version::parse(text).map_err(|why| paragraph.error("Version", why))
}

fn relations(paragraph: &Paragraph<'_>, field: &str) -> Result<Vec<Group>> {
    let value = paragraph.get(field).unwrap_or("");
    depends::parse(value, ARCHITECTURE).map_err(|why| paragraph.error(field, why))
}

/// The path of the file, which must stay below the archive's root.
fn safe_path(paragraph: &Paragraph<'_>) -> Result<String> {
    let path = paragraph.require("Filename")?;
    let path = path.strip_prefix("./").unwrap_or(path);
    if is_safe_path(path) {
        return Ok(path.to_owned());
    }
    Err(paragraph.error("Filename", "this path leaves the archive"))
}

/// Whether a path is relative, plain and stays below where it starts.
pub(super) fn is_safe_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#\\%".contains(&b);
    let parts = || path.split('/');
    path.bytes().all(plain) && parts().all(|part| !part.is_empty() && part != "." && part != "..")
}

fn priority(text: &str) -> u8 {
    let names = ["required", "important", "standard", "optional"];
    names.iter().position(|name| *name == text).map_or(5, |at| at as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENTRY: &str = "Package: a\nVersion: 1-2\nArchitecture: all\nProvides: v (= 2), w\nDepends: b | c\nFilename: ./pool/a.deb\nSize: 7\nSHA256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n";

    fn index(text: &str) -> Result<Index> {
        Index::parse(PathBuf::from("Packages"), "debian", text.to_owned())
    }

    #[test]
    fn reads_a_package_when_asked() {
        let index = index(&format!("{ENTRY}\n\n{ENTRY}Essential: yes\n")).unwrap();
        assert_eq!(index.names().collect::<Vec<_>>(), ["a", "a"]);
        assert_eq!(index.provided[0], ("v".to_owned(), 0));
        let package = index.package(1).unwrap();
        assert!(package.essential && index.is_essential(1) && !index.is_essential(0));
        assert_eq!(package.filename, "pool/a.deb");
        assert_eq!(package.depends[0].to_string(), "b | c");
    }

    #[test]
    fn a_wrong_field_is_shown_in_its_place() {
        let text = ENTRY.replace("./pool/", "../");
        let error = index(&format!("\n{text}")).unwrap().package(0).unwrap_err().to_string();
        assert_eq!(
            error,
            "error: this path leaves the archive\n --> Packages:7:11\n  |\n7 | Filename: ../a.deb\n  |           ^^^^^^^^"
        );
    }

    /// Archives of other people have paragraphs that apt skips or takes.
    #[test]
    fn a_mistake_matters_where_its_package_is_asked_for() {
        let odd = "Package: odd\nVersion: 1\nVersion: 2\n";
        let nameless = "Version: 1\nno field\n";
        let two = index(&format!("\n{odd}\n\n{nameless}\n{ENTRY}\n{odd}")).unwrap();
        assert_eq!(two.names().collect::<Vec<_>>(), ["odd", "a", "odd"]);
        assert_eq!(two.package(1).unwrap().name, "a");
        assert_eq!(
            two.package(0).unwrap_err().to_string(),
            "error: the field `Version` is there twice\n --> Packages:4:1\n  |\n4 | Version: 2\n  | ^^^^^^^^^^"
        );
        assert!(two.version(2).unwrap_err().to_string().contains(" --> Packages:21:1"));
        assert!(index(&format!("{odd}\n").repeat(MOST_MISTAKES)).is_ok());
        assert!(index(&format!("{odd}\n").repeat(MOST_MISTAKES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(Package: a\n|Version: |1|Depends: |\n|Filename: a\n|Size: 1\n|.){0,20}") {
            let index = index(&text).unwrap();
            for entry in 0..index.entries.len() {
                drop(index.package(entry));
            }
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for packing in Packing::ALL {
                drop(Index::unpack(PathBuf::from("x"), "debian", packing, &bytes, 1000));
            }
        }
    }
}
