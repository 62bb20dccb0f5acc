//! Writes cpio archives in the "newc" format, the one that Linux unpacks as initramfs.
//!
//! Format: <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>.
//! Always the same bytes for the same tree: paths sorted, inode numbers counted from 1,
//! owner 0:0, one time for all.

use crate::error::{Error, Result};
use std::collections::BTreeMap;

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
/// Archives end on such a multiple, as cpio(1) makes them.
const PADDING: usize = 512;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// What a path of the archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Symlink { target: String },
    CharDevice { mode: u32, major: u32, minor: u32 },
}

impl Node {
    /// File type and permissions, as st_mode.
    fn mode(&self) -> u32 {
        match self {
            Node::Directory { mode } => DIRECTORY | mode,
            Node::File { mode, .. } => REGULAR | mode,
            Node::Symlink { .. } => SYMLINK | 0o777,
            Node::CharDevice { mode, .. } => CHARACTER | mode,
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Node::File { bytes, .. } => bytes,
            Node::Symlink { target } => target.as_bytes(),
            Node::Directory { .. } | Node::CharDevice { .. } => &[],
        }
    }

    fn device(&self) -> (u32, u32) {
        match self {
            Node::CharDevice { major, minor, .. } => (*major, *minor),
            Node::Directory { .. } | Node::File { .. } | Node::Symlink { .. } => (0, 0),
        }
    }
}

/// A tree that becomes a cpio archive. Paths are relative ("usr/bin/busybox"), modes are
/// permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    mtime: u32,
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// An empty tree whose entries all carry the time `mtime` (seconds since 1970).
    pub fn new(mtime: u32) -> Archive {
        Archive { mtime, nodes: BTreeMap::new() }
    }

    /// Adds a folder; folders above it are made when missing (mode 0755), as for all
    /// that is added.
    ///
    /// # Errors
    /// As all adding: a path that is not plain and relative, that is there already, or
    /// that is below something other than a folder.
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<()> {
        self.add(path, Node::Directory { mode })
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As `directory`, and when it has 4 GiB or more.
    pub fn file(&mut self, path: &str, mode: u32, bytes: Vec<u8>) -> Result<()> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Error::build(format!("`{path}` is too large for a cpio archive (4 GiB)")));
        }
        self.add(path, Node::File { mode, bytes })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As `directory`.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.add(path, Node::Symlink { target: target.to_owned() })
    }

    /// Adds a character device, such as 5, 1 for `dev/console`.
    ///
    /// # Errors
    /// As `directory`.
    pub fn char_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) -> Result<()> {
        self.add(path, Node::CharDevice { mode, major, minor })
    }

    fn add(&mut self, path: &str, node: Node) -> Result<()> {
        let refused = |why: &str| Err(Error::build(format!("cpio: cannot add `{path}`: {why}")));
        let odd =
            |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if path.split('/').any(odd) || path == TRAILER {
            return refused("not a plain relative path");
        }
        let folder = |node: &Node| matches!(node, Node::Directory { .. });
        if self.nodes.get(path).is_some_and(|there| !(folder(there) && folder(&node))) {
            return refused("it is there already");
        }
        for (end, _) in path.match_indices('/') {
            let parent = self.nodes.entry(path[..end].to_owned());
            if !folder(parent.or_insert(Node::Directory { mode: 0o755 })) {
                return refused("what is above it is not a folder");
            }
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// The archive.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data: usize = self.nodes.iter().map(|(path, n)| path.len() + n.data().len()).sum();
        let mut out = Vec::with_capacity(data + self.nodes.len() * 120 + PADDING);
        // A parent sorts before what is in it: it is a prefix.
        for (inode, (path, node)) in (1..).zip(&self.nodes) {
            entry(&mut out, inode, path, node, self.mtime);
        }
        entry(&mut out, 0, TRAILER, &Node::File { mode: 0, bytes: Vec::new() }, 0);
        out.resize(out.len().next_multiple_of(PADDING), 0);
        out
    }

    /// The archive, compressed with zstd at `level` (1 to 19: the kernel's decoder has
    /// no room for the windows of higher ones) by one thread: more would change bytes.
    ///
    /// # Errors
    /// When the level is out of range.
    pub fn to_zstd(&self, level: i32) -> Result<Vec<u8>> {
        if !(1..=19).contains(&level) {
            return Err(Error::build(format!("zstd level {level} is not one of 1 to 19")));
        }
        zstd::bulk::compress(&self.to_bytes(), level)
            .map_err(|e| Error::build(format!("zstd cannot compress the initramfs: {e}")))
    }
}

/// Appends one entry: 13 fields of 8 hexadecimal digits after the magic, the name with
/// its NUL and the data, each padded to 4 bytes.
fn entry(out: &mut Vec<u8>, inode: u32, path: &str, node: &Node, mtime: u32) {
    // The trailer alone has neither type nor inode.
    let mode = if inode == 0 { 0 } else { node.mode() };
    // `.` and `..` are not counted: the kernel ignores links of folders.
    let links = if matches!(node, Node::Directory { .. }) { 2 } else { 1 };
    let (major, minor) = node.device();
    let data = node.data();
    let name_size = path.len() as u32 + 1;
    // inode, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor,
    // rdevminor, namesize, check (always 0 in newc)
    let fields =
        [inode, mode, 0, 0, links, mtime, data.len() as u32, 0, 0, major, minor, name_size, 0];
    out.extend(MAGIC.as_bytes());
    for field in fields {
        out.extend(format!("{field:08x}").as_bytes());
    }
    out.extend(path.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(data);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Path, mode, data and inode of every entry, read by the specification.
    fn parse(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>, u32)> {
        let whole = archive.len();
        let mut entries = Vec::new();
        loop {
            assert_eq!(&archive[..6], b"070701");
            let field = |i: usize| {
                let text = std::str::from_utf8(&archive[6 + i * 8..14 + i * 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (name_end, size) = (110 + field(11) as usize, field(6) as usize);
            let name = String::from_utf8(archive[110..name_end - 1].to_vec()).unwrap();
            assert_eq!(archive[name_end - 1], 0);
            if name == TRAILER {
                assert!(
                    whole.is_multiple_of(PADDING) && archive[name_end..].iter().all(|&b| b == 0)
                );
                return entries;
            }
            let data = name_end.next_multiple_of(4);
            entries.push((name, field(1), archive[data..data + size].to_vec(), field(0)));
            archive = &archive[(data + size).next_multiple_of(4)..];
        }
    }

    proptest! {
        #[test]
        fn reads_back_sorted(
            files in proptest::collection::btree_map("[a-c]/[a-d-]{1,4}", any::<Vec<u8>>(), 0..8)
        ) {
            let mut archive = Archive::new(7);
            for (path, bytes) in files.iter().rev() {
                archive.file(path, 0o644, bytes.clone()).unwrap();
            }
            let entries = parse(&archive.to_bytes());
            prop_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!((1..).zip(&entries).all(|(inode, entry)| entry.3 == inode));
            let read = entries.into_iter().filter(|entry| entry.1 == 0o100_644);
            let read: BTreeMap<_, _> = read.map(|entry| (entry.0, entry.2)).collect();
            prop_assert_eq!(read, files);
        }
    }

    #[test]
    fn folders_links_and_devices() {
        let mut archive = Archive::new(0);
        archive.char_device("dev/console", 0o600, 5, 1).unwrap();
        archive.symlink("bin", "usr/bin").unwrap();
        archive.directory("dev", 0o700).unwrap();
        let entries = parse(&archive.to_bytes());
        let seen: Vec<_> = entries.iter().map(|e| (e.0.as_str(), e.1, e.2.as_slice())).collect();
        assert_eq!(
            seen,
            [
                ("bin", 0o120_777, &b"usr/bin"[..]),
                ("dev", 0o040_700, &[]),
                ("dev/console", 0o020_600, &[])
            ]
        );
    }

    #[test]
    fn odd_paths_and_doubles_are_refused() {
        let mut archive = Archive::new(0);
        archive.file("a/b", 0o644, Vec::new()).unwrap();
        for path in ["", "/x", "x/", "a/../b", "a//b", "a/b", "a/b/c", "a"] {
            assert!(archive.file(path, 0o644, Vec::new()).is_err(), "{path}");
        }
        assert!(archive.directory("a/b", 0o755).is_err());
    }

    #[test]
    fn zstd_gives_the_same_bytes_each_time() {
        let mut archive = Archive::new(0);
        archive.file("init", 0o755, b"#!/bin/sh\n".repeat(10_000)).unwrap();
        let packed = archive.to_zstd(19).unwrap();
        assert_eq!(packed, archive.to_zstd(19).unwrap());
        assert_eq!(zstd::decode_all(&packed[..]).unwrap(), archive.to_bytes());
        assert!(archive.to_zstd(22).is_err());
    }
}
