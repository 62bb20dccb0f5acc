//! File operations whose errors carry the path, and digests of files.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A SHA-256 digest; shown and written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Sha256Digest {
        Sha256Digest(Sha256::digest(bytes.as_ref()).into())
    }

    /// The digest that a finished hasher gives.
    pub fn from_hasher(hasher: Sha256) -> Sha256Digest {
        Sha256Digest(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Sha256Digest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Sha256Digest(bytes))
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Sha256Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Sha256Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Sha256Digest::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a SHA-256 digest has 64 hexadecimal digits"))
    }
}

/// The digest and length in bytes of all that `reader` gives.
///
/// # Errors
/// As the reader's.
pub fn digest_reader(mut reader: impl Read) -> std::io::Result<(Sha256Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((Sha256Digest::from_hasher(hasher), length));
        }
        hasher.update(&buffer[..count]);
        length += count as u64;
    }
}

/// The digest of the file at `path`.
///
/// # Errors
/// When it cannot be read.
pub fn digest_file(path: &Path) -> Result<Sha256Digest> {
    digest_reader(open(path)?).map(|(digest, _)| digest).map_err(|e| Error::io("read", path, &e))
}

/// Opens a file for reading.
///
/// # Errors
/// With the path, as all of this module.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", path, &e))
}

/// Reads a whole file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io("read", path, &e))
}

/// Reads a whole text file.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))
}

/// The file `path` of an unpacked tree. Packages make what they like in one, links too, and
/// who reads one outside of the sandbox must not follow it to a file of the machine.
///
/// # Errors
/// When it leads out of the tree.
pub fn in_tree(tree: &Path, path: &str) -> Result<PathBuf> {
    let path = tree.join(path.trim_start_matches('/'));
    let (Ok(real), Ok(tree)) = (path.canonicalize(), tree.canonicalize()) else {
        // Whoever reads it says what is wrong.
        return Ok(path);
    };
    if real.starts_with(&tree) {
        return Ok(real);
    }
    Err(Error::build(format!("{} is a link that leads out of the tree", path.display())))
}

/// Makes a folder and its parents.
///
/// # Errors
/// When it cannot be made.
pub fn create_dir_all(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::io("make the folder", path, &e))
}

/// Writes `bytes` to a temporary file and renames them into place, synced: a reader, or a
/// crash, sees the old file or the new one, never half of it.
///
/// # Errors
/// When a step fails; nothing is left behind then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with_mode(path, bytes, 0o644)
}

/// As [`write_atomically`], but only the user may read it: for secrets.
///
/// # Errors
/// When a step fails; nothing is left behind then.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with_mode(path, bytes, 0o600)
}

/// As [`write_atomically`], but never over a file that is there: whether it was written.
///
/// # Errors
/// When a step fails; nothing is left behind then.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    match temporary(path, bytes, 0o644)?.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io("write", path, &e.error)),
    }
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    // Where a link leads: its owner keeps the file there, on an encrypted disk, say.
    let real = if path.is_symlink() {
        path.canonicalize().map_err(|e| Error::io("write", path, &e))?
    } else {
        path.to_owned()
    };
    let path = real.as_path();
    let written = temporary(path, bytes, mode)?;
    written.persist(path).map_err(|e| Error::io("write", path, &e.error))?;
    Ok(())
}

/// A synced file beside `path` that is not there under its name yet.
fn temporary(path: &Path, bytes: &[u8], mode: u32) -> Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    let mut temporary =
        tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).map_err(failed)?;
    temporary.write_all(bytes).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    temporary.as_file().set_permissions(mode).map_err(failed)?;
    Ok(temporary)
}

/// Removes files of `folder` whose names start with one of `prefixes` and that are older than
/// `age`: what a killed process left. What cannot be removed does no harm.
pub(crate) fn remove_abandoned(folder: &Path, prefixes: &[&str], age: std::time::Duration) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let changed = entry.metadata().and_then(|data| data.modified()).ok();
        let own_age = changed.and_then(|time| time.elapsed().ok());
        let is_ours = prefixes.iter().any(|prefix| name.starts_with(prefix));
        if is_ours && own_age.is_some_and(|own| own > age) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_digits_and_nothing_else() {
        let digest = Sha256Digest::of("x");
        assert_eq!(Sha256Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Sha256Digest::parse(&digest.to_string().to_uppercase()), Some(digest));
        for text in ["+a".repeat(32), "ab".repeat(31), "ab".repeat(33), " a".repeat(32)] {
            assert_eq!(Sha256Digest::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn no_link_leads_out_of_a_tree() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        std::fs::write(tree.join("etc/own"), "").unwrap();
        std::fs::write(folder.path().join("secret"), "").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, tree.join(name)).unwrap();
        link("../../secret", "etc/relative");
        link(folder.path().join("secret").to_str().unwrap(), "etc/absolute");
        link("own", "etc/inside");
        link("..", "up");
        let leads = |path: &str| in_tree(&tree, path).is_ok();
        assert!(leads("etc/own") && leads("/etc/inside") && leads("etc/missing"));
        assert!(!leads("etc/relative") && !leads("etc/absolute") && !leads("up/secret"));
    }

    #[test]
    fn a_link_stays_one_and_its_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        // What it should lead to is not there: nothing is put in its place.
        assert!(write_secret(&link, b"secret").is_err());
        std::fs::write(&file, "old").unwrap();
        write_secret(&link, b"secret").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"secret");
    }

    #[test]
    fn digests_read_back() {
        let digest = Sha256Digest::of("abc");
        assert!(digest.to_string().starts_with("ba7816bf8f01cfea"));
        assert_eq!(Sha256Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Sha256Digest::parse("zz"), None);
    }
}
