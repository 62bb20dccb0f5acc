//! File operations that a sandbox's root does in-process: on files whose owners
//! are subordinate ids, which the user himself may not touch.

use super::child::{prepare_chroot, release_chroot};
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One operation; paths are as seen inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Op {
    /// Gives a tree a /proc and a /dev, for programs that chroot into it.
    PrepareChroot {
        /// The tree.
        tree: PathBuf,
    },
    /// Takes both away again.
    ReleaseChroot {
        /// The tree.
        tree: PathBuf,
    },
    /// Unpacks a tar file, with its owners, modes and times.
    UnpackTar {
        /// The tar file.
        tar: PathBuf,
        /// The folder to fill.
        into: PathBuf,
    },
    /// Writes a file with these bytes and mode, making its folder.
    Write {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Removes a file or a whole folder; what is not there is no error.
    Remove {
        /// What to remove.
        path: PathBuf,
    },
    /// Empties a folder or truncates a file, keeping owner and mode; what is not
    /// there is no error.
    Empty {
        /// What to empty.
        path: PathBuf,
    },
    /// Sorts the paragraphs (text between blank lines) of a file, by their first line.
    SortParagraphs {
        /// The file.
        path: PathBuf,
    },
    /// Looks for secrets in a folder of a tree; the output names them, a line each.
    FindSecrets {
        /// The tree.
        tree: PathBuf,
        /// The folder in it.
        folder: String,
    },
    /// Lists a tree into a JSON file: [`ListedFile`] by [`ListedFile`], sorted by path.
    List {
        /// The tree.
        tree: PathBuf,
        /// The file to write.
        into: PathBuf,
    },
}

/// What a file of a tree is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File {
        /// Its content's digest.
        sha256: Sha256Digest,
        /// Its length in bytes.
        size: u64,
        /// The first path (in order) that is the same inode, when there is one before it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        hard_link: Option<String>,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: String,
    },
    /// A socket, pipe or device.
    Special {
        /// The format bits of its mode and its device number.
        what: String,
    },
}

/// One file of a listed tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// From the tree's root, without a leading slash.
    pub path: String,
    /// Permission bits, set-id and sticky bits too.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    #[serde(flatten)]
    pub kind: FileKind,
    /// Extended attributes, values in hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub xattrs: Vec<(String, String)>,
}

/// Reads what [`Op::List`] wrote.
///
/// # Errors
/// When it is not such a listing.
pub fn listing_from_json(path: &Path) -> Result<Vec<ListedFile>> {
    serde_json::from_slice(&fs::read(path)?)
        .map_err(|e| Error::build(format!("{} is not a listing: {e}", path.display())))
}

impl Op {
    pub(super) fn perform(&self) -> Result<String> {
        if let Op::FindSecrets { tree, folder } = self {
            return find_secrets(tree, folder);
        }
        match self {
            Op::FindSecrets { .. } => Ok(()),
            Op::PrepareChroot { tree } => prepare_chroot(tree),
            Op::ReleaseChroot { tree } => release_chroot(tree),
            Op::UnpackTar { tar, into } => unpack_tar(tar, into),
            Op::Write { path, text, mode } => write(path, text, *mode),
            Op::Remove { path } => remove(path),
            Op::Empty { path } => empty(path),
            Op::SortParagraphs { path } => sort_paragraphs(path),
            Op::List { tree, into } => list(tree, into),
        }
        .map(|()| String::new())
    }
}

fn unpack_tar(tar: &Path, into: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(std::io::BufReader::new(fs::open(tar)?));
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    archive.unpack(into).map_err(|e| Error::io("unpack into", into, &e))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)))
        .map_err(|e| Error::io("write", path, &e))
}

fn remove(path: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if metadata.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
        .map_err(|e| Error::io("remove", path, &e))
}

fn empty(path: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        return std::fs::write(path, "").map_err(|e| Error::io("empty", path, &e));
    }
    let entries = std::fs::read_dir(path).map_err(|e| Error::io("list", path, &e))?;
    for entry in entries {
        remove(&entry.map_err(|e| Error::io("list", path, &e))?.path())?;
    }
    Ok(())
}

fn sort_paragraphs(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let mut paragraphs: Vec<&str> = text.split("\n\n").map(|p| p.trim_matches('\n')).collect();
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.sort_unstable();
    let sorted: String = paragraphs.iter().map(|paragraph| format!("{paragraph}\n\n")).collect();
    std::fs::write(path, sorted).map_err(|e| Error::io("write", path, &e))
}

fn list(tree: &Path, into: &Path) -> Result<()> {
    let mut seen: std::collections::HashMap<u64, String> = std::collections::HashMap::new();
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(tree).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::build(format!("cannot list the tree: {e}")))?;
        let path = entry.path();
        let metadata = path.symlink_metadata().map_err(|e| Error::io("look at", path, &e))?;
        let name = path.strip_prefix(tree).unwrap_or(path).to_string_lossy().into_owned();
        let kind = kind(path, &name, &metadata, &mut seen)?;
        let xattrs = if metadata.is_symlink() { Vec::new() } else { xattrs(path)? };
        let mode = metadata.mode() & 0o7777;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        files.push(ListedFile { path: name, mode, uid, gid, kind, xattrs });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let json = serde_json::to_vec(&files).map_err(|e| Error::build(e.to_string()))?;
    std::fs::write(into, json).map_err(|e| Error::io("write", into, &e))
}

fn kind(
    path: &Path,
    name: &str,
    metadata: &std::fs::Metadata,
    seen: &mut std::collections::HashMap<u64, String>,
) -> Result<FileKind> {
    if metadata.is_dir() {
        return Ok(FileKind::Directory);
    }
    if metadata.is_symlink() {
        let target = std::fs::read_link(path).map_err(|e| Error::io("read the link", path, &e))?;
        return Ok(FileKind::Symlink { target: target.to_string_lossy().into_owned() });
    }
    if !metadata.is_file() {
        let what = format!("{:o} {:x}", metadata.mode() & 0o170_000, metadata.rdev());
        return Ok(FileKind::Special { what });
    }
    let hard_link = (metadata.nlink() > 1)
        .then(|| match seen.entry(metadata.ino()) {
            std::collections::hash_map::Entry::Occupied(first) => Some(first.get().clone()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(name.to_owned());
                None
            }
        })
        .flatten();
    Ok(FileKind::File { sha256: fs::digest_file(path)?, size: metadata.len(), hard_link })
}

/// Extended attributes; file systems without them have none.
fn xattrs(path: &Path) -> Result<Vec<(String, String)>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read the attributes of", path, &e)),
    };
    let mut all = Vec::new();
    for name in names {
        let value =
            xattr::get(path, &name).map_err(|e| Error::io("read the attributes of", path, &e))?;
        let hex = value.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
        all.push((String::from_utf8_lossy(name.as_bytes()).into_owned(), hex));
    }
    all.sort();
    Ok(all)
}

fn find_secrets(tree: &Path, folder: &str) -> Result<String> {
    let mut found = String::new();
    for entry in walkdir::WalkDir::new(tree.join(folder)).sort_by_file_name() {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let name = path.strip_prefix(tree).unwrap_or(path).to_string_lossy().into_owned();
        if let Some(what) = secret_in(&name, &fs::read(path)?) {
            found += &format!("/{name}: {what}\n");
        }
    }
    Ok(found)
}

/// What secret a file holds, by its path (from the root, without a leading slash)
/// and its content.
pub fn secret_in(path: &str, content: &[u8]) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let has = |needle: &[u8]| content.windows(needle.len()).any(|window| window == needle);
    if path.starts_with("etc/ssh/ssh_host_") && name.ends_with("_key") {
        return Some("an SSH host key");
    }
    if (path == "etc/machine-id" || path == "var/lib/dbus/machine-id") && !content.is_empty() {
        return Some("a machine id");
    }
    if has(b"-----BEGIN ") && (has(b" PRIVATE KEY-----") || has(b"-----BEGIN PRIVATE KEY-----")) {
        return Some("a private key");
    }
    let is_shadow = matches!(path, "etc/shadow" | "etc/gshadow");
    let hashed =
        |line: &[u8]| line.split(|b| *b == b':').nth(1).is_some_and(|f| f.starts_with(b"$"));
    if is_shadow && content.split(|b| *b == b'\n').any(hashed) {
        return Some("a password hash");
    }
    let text = String::from_utf8_lossy(content);
    let crypt = |word: &str| {
        ["$y$", "$6$", "$5$", "$2b$", "$apr1$"].iter().any(|p| word.starts_with(p))
            && word.len() > 20
    };
    let is_word = |c: char| c.is_whitespace() || "\"':=,".contains(c);
    if content.len() < 1 << 20 && text.split(is_word).any(crypt) {
        return Some("a password hash");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_secrets() {
        let hash = format!("root:$y$j9T${}:20000:", "a".repeat(43));
        let secret = |path: &str, text: &str| secret_in(path, text.as_bytes());
        assert_eq!(secret("etc/shadow", &hash), Some("a password hash"));
        assert_eq!(secret("etc/shadow", "root:*:1:\nadm:!:1:"), None);
        assert_eq!(secret("srv/x.ini", &format!("pw = \"{}\"", hash)), Some("a password hash"));
        assert_eq!(secret("etc/x", "-----BEGIN OPENSSH PRIVATE KEY-----\n"), Some("a private key"));
        assert_eq!(secret("etc/x", "-----BEGIN PUBLIC KEY-----\n"), None);
        assert_eq!(secret("etc/ssh/ssh_host_rsa_key", ""), Some("an SSH host key"));
        assert_eq!(secret("etc/ssh/ssh_host_rsa_key.pub", ""), None);
        assert_eq!(secret("etc/machine-id", "abc\n"), Some("a machine id"));
        assert_eq!(secret("etc/machine-id", ""), None);
    }
}
