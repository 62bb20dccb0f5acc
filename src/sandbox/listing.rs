//! Listings of trees: what a tree holds, file by file, so that two can be compared.

use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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

/// Lists `tree` into the file `into`.
pub(super) fn list(tree: &Path, into: &Path) -> Result<()> {
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
        all.push((
            String::from_utf8_lossy(name.as_bytes()).into_owned(),
            hex::encode(value.unwrap_or_default()),
        ));
    }
    all.sort();
    Ok(all)
}
