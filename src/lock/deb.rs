//! Reads a `.deb`: its control files and the entries of its data.
//!
//! The format is deb(5): an ar archive of `debian-binary`, `control.tar` and
//! `data.tar`, the latter two compressed with gzip, xz or zstd, or not. All of it
//! is checked as foreign input, though its digest is known: a bug here would
//! otherwise hide until an image boots.

use super::ar::Members;
use super::xz;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// The longest control file or listed small file that is taken.
const LONGEST_FILE: u64 = 16 << 20;

/// What an entry of the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its content follows.
    File,
    /// A folder.
    Folder,
    /// A symbolic link with its target as written.
    Symlink(PathBuf),
    /// A hard link to an entry before it, by a path from the root of the tree.
    Hardlink(PathBuf),
}

/// An entry of the data; its path is relative, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path from the root of the tree; empty for the root itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The permission bits, with set-user-id and the like.
    pub mode: u32,
    /// The time of modification, in seconds since 1970.
    pub mtime: u64,
    /// The number of the owner.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The size of a file's content.
    pub size: u64,
}

/// Calls `visit` with every entry of the data and its content, in order; `name`
/// is the package's in errors.
///
/// # Errors
/// As `visit`'s; when the `.deb` is cut off or not one, or an entry has a path
/// outside of the tree or is a device.
pub fn visit_data(
    deb: impl Read,
    name: &str,
    mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    visit_tar(deb, name, "data.tar", |tar_entry| {
        let entry = entry(tar_entry, name)?;
        visit(&entry, tar_entry)
    })
}

/// The control files (control, postinst, md5sums ...) by name.
///
/// # Errors
/// When the `.deb` is cut off or not one.
pub fn control_files(deb: impl Read, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    visit_tar(deb, name, "control.tar", |tar_entry| {
        let entry = entry(tar_entry, name)?;
        if entry.kind == Kind::File {
            let content = small(&entry, tar_entry, name)?;
            files.insert(entry.path.to_string_lossy().into_owned(), content);
        }
        Ok(())
    })?;
    Ok(files)
}

/// The regular files of the data below the folder `prefix` ("usr/lib/sysusers.d").
///
/// # Errors
/// As [`visit_data`], and when one of the files is not small.
pub fn files_below(deb: impl Read, name: &str, prefix: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    visit_data(deb, name, |entry, content| {
        if entry.kind == Kind::File && entry.path.starts_with(prefix) {
            files.insert(entry.path.clone(), small(entry, content, name)?);
        }
        Ok(())
    })?;
    Ok(files)
}

fn small(entry: &Entry, content: &mut dyn Read, name: &str) -> Result<Vec<u8>> {
    if entry.size > LONGEST_FILE {
        return Err(bad(name, format!("{} is too large", entry.path.display())));
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|e| unreadable(name, &e))?;
    Ok(bytes)
}

fn visit_tar(
    deb: impl Read,
    name: &str,
    wanted: &str,
    mut visit: impl FnMut(&mut tar::Entry<'_, &mut dyn Read>) -> Result<()>,
) -> Result<()> {
    let mut members = Members::new(deb);
    let mut first = true;
    loop {
        let Some(member) = members.next_member().map_err(|e| unreadable(name, &e))? else {
            return Err(bad(name, format!("it has no {wanted}")));
        };
        if first {
            let mut version = Vec::new();
            let mut content = members.content(&member).take(16);
            content.read_to_end(&mut version).map_err(|e| unreadable(name, &e))?;
            if member.name != "debian-binary" || !version.starts_with(b"2.") {
                return Err(bad(name, "it is no .deb of format 2".to_owned()));
            }
            first = false;
        } else if member
            .name
            .strip_prefix(wanted)
            .is_some_and(|suffix| suffix.is_empty() || [".gz", ".xz", ".zst"].contains(&suffix))
        {
            let suffix = &member.name[wanted.len()..];
            let mut reader = decompress(members.content(&member), suffix, name)?;
            return visit_entries(&mut *reader, name, &mut visit);
        } else if !["control.tar", "data.tar", "_"].iter().any(|p| member.name.starts_with(p)) {
            return Err(bad(name, format!("it has an unexpected member `{}`", member.name)));
        } else if member.name.starts_with(wanted) {
            return Err(bad(name, format!("`{}` has an unknown compression", member.name)));
        }
    }
}

fn decompress<'r>(reader: impl Read + 'r, suffix: &str, name: &str) -> Result<Box<dyn Read + 'r>> {
    Ok(match suffix {
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        ".xz" => Box::new(xz::decoder(reader).map_err(|e| unreadable(name, &e.into()))?),
        ".zst" => Box::new(zstd::Decoder::new(reader).map_err(|e| unreadable(name, &e))?),
        _ => Box::new(reader),
    })
}

fn visit_entries(
    reader: &mut dyn Read,
    name: &str,
    visit: &mut impl FnMut(&mut tar::Entry<'_, &mut dyn Read>) -> Result<()>,
) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(|e| unreadable(name, &e))? {
        visit(&mut entry.map_err(|e| unreadable(name, &e))?)?;
    }
    // To the end, so that the compressor's own check sum is checked.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|e| unreadable(name, &e))?;
    Ok(())
}

fn entry(tar_entry: &tar::Entry<'_, impl Read>, name: &str) -> Result<Entry> {
    let failed = |e: io::Error| unreadable(name, &e);
    let header = tar_entry.header();
    let written = PathBuf::from(std::ffi::OsStr::new(&*os(&tar_entry.path_bytes())));
    let path = inside(&written).ok_or_else(|| {
        bad(name, format!("the path `{}` leads out of the tree", written.display()))
    })?;
    let link = tar_entry.link_name_bytes().map(|bytes| PathBuf::from(os(&bytes)));
    let linked = || link.clone().filter(|link| !link.as_os_str().is_empty());
    let without = || bad(name, format!("the link `{}` has no target", path.display()));
    let kind = header.entry_type();
    let kind = if kind.is_file() || kind.is_contiguous() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Symlink(linked().ok_or_else(without)?)
    } else if kind.is_hard_link() {
        let target = linked().ok_or_else(without)?;
        Kind::Hardlink(inside(&target).ok_or_else(|| {
            bad(name, format!("the link `{}` leads out of the tree", path.display()))
        })?)
    } else {
        return Err(bad(name, format!("`{}` is a device or unknown", path.display())));
    };
    Ok(Entry {
        kind,
        mode: header.mode().map_err(failed)? & 0o7777,
        mtime: header.mtime().map_err(failed)?,
        uid: u32::try_from(header.uid().map_err(failed)?).unwrap_or(0),
        gid: u32::try_from(header.gid().map_err(failed)?).unwrap_or(0),
        size: tar_entry.size(),
        path,
    })
}

fn os(bytes: &[u8]) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

/// The path without `.`; nothing when it is absolute or has `..`.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// The error for a `.deb` that is wrong.
pub(super) fn bad(name: &str, why: String) -> Error {
    Error::archive(format!("the package {name} cannot be unpacked: {why}"))
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    let cut_off = error.kind() == io::ErrorKind::UnexpectedEof;
    bad(name, if cut_off { "it is cut off".to_owned() } else { error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{ar, builtin};
    use proptest::prelude::*;

    fn visit_all(bytes: &[u8]) -> Result<usize> {
        let mut count = 0;
        control_files(bytes, "x")?;
        visit_data(bytes, "x", |_, content| {
            count += 1;
            io::copy(content, &mut io::sink()).map(drop).map_err(|e| unreadable("x", &e))
        })?;
        Ok(count)
    }

    #[test]
    fn reads_control_and_data() {
        let deb = builtin::deb().unwrap();
        assert_eq!(visit_all(&deb).unwrap(), 6);
        assert!(control_files(&deb[..], "x").unwrap()["control"].starts_with(b"Package: "));
        let files = files_below(&deb[..], "x", "usr/share/doc").unwrap();
        assert_eq!(
            files.keys().next().unwrap(),
            Path::new("usr/share/doc/imagebuild-initramfs/copyright")
        );
    }

    #[test]
    fn refuses_what_is_no_deb() {
        let cases: [(Vec<u8>, &str); 5] = [
            (b"hello".to_vec(), "it is no ar archive"),
            (ar::write(&[("debian-binary", b"3.0\n")]), "it is no .deb of format 2"),
            (ar::write(&[("debian-binary", b"2.0\n")]), "it has no control.tar"),
            (
                ar::write(&[("debian-binary", b"2.0\n"), ("x", b"")]),
                "it has an unexpected member `x`",
            ),
            (
                ar::write(&[("debian-binary", b"2.0\n"), ("control.tar.lz", b"")]),
                "`control.tar.lz` has an unknown compression",
            ),
        ];
        for (bytes, why) in cases {
            let error = visit_all(&bytes).unwrap_err();
            assert_eq!(error.message(), format!("the package x cannot be unpacked: {why}"));
        }
    }

    proptest! {
        #[test]
        fn any_change_of_bytes_is_read_or_refused(cut in 0usize..8000, at in 0usize..8000, with in any::<u8>()) {
            let mut deb = builtin::deb().unwrap();
            let at = at % deb.len();
            deb[at] = with;
            deb.truncate(deb.len() - cut % deb.len());
            drop(visit_all(&deb));
        }

        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..2000), kind in 0usize..4) {
            let name = ["control.tar", "control.tar.gz", "control.tar.xz", "control.tar.zst"][kind];
            drop(visit_all(&data));
            drop(visit_all(&ar::write(&[("debian-binary", b"2.0\n"), (name, &data)])));
        }
    }
}
