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
/// The most that all of them together may be, and all control files with their headers. Of
/// Debian's, md5sums are the longest: some 10 MB.
const MOST_SMALL: u64 = 64 << 20;
/// The most that the data may be once it is unpacked; Debian's largest packages have 4 GB.
const MOST_DATA: u64 = 8 << 30;
/// The most entries: each takes memory here. Debian's largest packages have some 100,000.
const MOST_ENTRIES: usize = 1 << 20;
/// The longest path or target of a link, in bytes: as for Linux (PATH_MAX).
const LONGEST_PATH: u64 = 4096;

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
    visit_tar(deb, name, ("data.tar", MOST_DATA), &mut visit)
}

/// The control files (control, postinst, md5sums ...) by name.
///
/// # Errors
/// When the `.deb` is cut off or not one.
pub fn control_files(deb: impl Read, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    visit_tar(deb, name, ("control.tar", MOST_SMALL), &mut |entry, content| {
        if entry.kind == Kind::File {
            let content = small(entry, content, name)?;
            files.insert(entry.path.to_string_lossy().into_owned(), content);
        }
        Ok(())
    })?;
    Ok(files)
}

/// The regular files of the data below the folder `prefix` ("usr/lib/sysusers.d").
///
/// # Errors
/// As [`visit_data`], and when one of the files, or all together, are not small.
pub fn files_below(deb: impl Read, name: &str, prefix: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut sum: u64 = 0;
    visit_data(deb, name, |entry, content| {
        if entry.kind == Kind::File && entry.path.starts_with(prefix) {
            sum = sum.saturating_add(entry.size);
            if sum > MOST_SMALL {
                return Err(bad(name, format!("its files below {prefix} are too large")));
            }
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

/// What is done with an entry and its content.
type Visit<'v> = dyn FnMut(&Entry, &mut dyn Read) -> Result<()> + 'v;

/// Visits the member `wanted`, of at most so many bytes once it is unpacked.
fn visit_tar(
    deb: impl Read,
    name: &str,
    (wanted, most): (&str, u64),
    visit: &mut Visit<'_>,
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
            let reader = decompress(members.content(&member), suffix, name)?;
            return visit_entries(&mut Limited::new(reader, most), name, visit);
        } else if !["control.tar", "data.tar", "_"].iter().any(|p| member.name.starts_with(p)) {
            return Err(bad(name, format!("it has an unexpected member `{}`", member.name)));
        } else if member.name.starts_with(wanted) {
            return Err(bad(name, format!("`{}` has an unknown compression", member.name)));
        }
    }
}

/// The window of zstd is limited to 128 MiB (`ZSTD_WINDOWLOG_LIMIT_DEFAULT` in zstd.h), that of
/// gzip is 32 KiB (RFC 1951), xz has a limit of its own.
fn decompress<'r>(reader: impl Read + 'r, suffix: &str, name: &str) -> Result<Box<dyn Read + 'r>> {
    Ok(match suffix {
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        ".xz" => Box::new(xz::decoder(reader).map_err(|e| unreadable(name, &e.into()))?),
        ".zst" => Box::new(zstd::Decoder::new(reader).map_err(|e| unreadable(name, &e))?),
        _ => Box::new(reader),
    })
}

/// Headers are read as they are: the tar crate would put those that carry a long name into
/// memory, however long they say they are.
fn visit_entries(reader: &mut dyn Read, name: &str, visit: &mut Visit<'_>) -> Result<()> {
    let failed = |e: io::Error| unreadable(name, &e);
    let mut archive = tar::Archive::new(reader);
    let mut long = LongNames::default();
    for (number, tar_entry) in archive.entries().map_err(failed)?.raw(true).enumerate() {
        let mut tar_entry = tar_entry.map_err(failed)?;
        if number >= MOST_ENTRIES {
            return Err(bad(name, format!("it has more than {MOST_ENTRIES} entries")));
        }
        let kind = tar_entry.header().entry_type();
        if kind.is_gnu_longname() {
            long.path = Some(long_name(&mut tar_entry, name)?);
        } else if kind.is_gnu_longlink() {
            long.link = Some(long_name(&mut tar_entry, name)?);
        } else if kind.is_pax_local_extensions() || kind.is_pax_global_extensions() {
            return Err(bad(name, "it has a PAX header, which dpkg does not read".to_owned()));
        } else {
            let entry = entry(&tar_entry, std::mem::take(&mut long), name)?;
            visit(&entry, &mut tar_entry)?;
        }
    }
    // To the end, so that the compressor's own check sum is checked.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
    Ok(())
}

/// What GNU's headers say of the next entry: paths too long for its own header
/// (<https://www.gnu.org/software/tar/manual/html_node/Standard.html>).
#[derive(Debug, Default)]
struct LongNames {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// The content of a header that carries a long name; it ends with a NUL.
fn long_name(tar_entry: &mut tar::Entry<'_, impl Read>, name: &str) -> Result<Vec<u8>> {
    if tar_entry.size() > LONGEST_PATH {
        let why = format!("it has a path of {} bytes", tar_entry.size());
        return Err(bad(name, format!("{why}, more than Linux' {LONGEST_PATH}")));
    }
    let mut text = Vec::new();
    tar_entry.read_to_end(&mut text).map_err(|e| unreadable(name, &e))?;
    let length = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(length);
    Ok(text)
}

/// A reader that refuses to give more than so many bytes.
struct Limited<R> {
    reader: R,
    left: u64,
    most: u64,
}

impl<R: Read> Limited<R> {
    fn new(reader: R, most: u64) -> Limited<R> {
        Limited { reader, left: most, most }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let why = format!("it unpacks to more than {} MiB", self.most >> 20);
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(count)
    }
}

fn entry(tar_entry: &tar::Entry<'_, impl Read>, long: LongNames, name: &str) -> Result<Entry> {
    let failed = |e: io::Error| unreadable(name, &e);
    let header = tar_entry.header();
    let written = long.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let written = PathBuf::from(os(&written));
    let path = inside(&written).ok_or_else(|| {
        bad(name, format!("the path `{}` leads out of the tree", written.display()))
    })?;
    let link = long.link.or_else(|| header.link_name_bytes().map(|bytes| bytes.into_owned()));
    let link = link.map(|bytes| PathBuf::from(os(&bytes)));
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
        let deb = builtin::deb(builtin::INITRAMFS).unwrap();
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

    /// A `.deb` whose data is a tar archive of these headers, each with so many bytes after it.
    fn with_data(entries: &[(tar::EntryType, u64, &[u8])]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (kind, size, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_path("x").unwrap();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(*size);
            header.set_cksum();
            tar.extend(header.as_bytes());
            tar.extend(*content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.extend([0; 1024]);
        let packed = zstd::encode_all(&tar[..], 3).unwrap();
        ar::write(&[("debian-binary", b"2.0\n"), ("control.tar", b""), ("data.tar.zst", &packed)])
    }

    fn paths(deb: &[u8]) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        visit_data(deb, "x", |entry, _| {
            paths.push(entry.path.clone());
            Ok(())
        })?;
        Ok(paths)
    }

    #[test]
    fn long_names_are_read_and_longer_ones_refused() {
        let long = "y".repeat(4000);
        let name = format!("{long}\0");
        let entry = (tar::EntryType::Regular, 0, &b""[..]);
        let named = |kind, size| [(kind, size, name.as_bytes()), entry];
        let size = name.len() as u64;
        let read = paths(&with_data(&named(tar::EntryType::GNULongName, size))).unwrap();
        assert_eq!(read, [PathBuf::from(&long)]);
        // Nothing of what a header announces is read before it is known to be short.
        let why = |kind, size| paths(&with_data(&named(kind, size))).unwrap_err();
        for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink] {
            let said = "the package x cannot be unpacked: it has a path of 4509715660 bytes, more than Linux' 4096";
            assert_eq!(why(kind, 4_509_715_660).message(), said);
        }
        for kind in [tar::EntryType::XHeader, tar::EntryType::XGlobalHeader] {
            let said =
                "the package x cannot be unpacked: it has a PAX header, which dpkg does not read";
            assert_eq!(why(kind, size).message(), said);
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let mut limited = Limited::new(io::repeat(0), 3 << 20);
        let error = io::copy(&mut limited, &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to more than 3 MiB");
        let mut limited = Limited::new(&[1_u8; 100][..], 100);
        assert_eq!(io::copy(&mut limited, &mut io::sink()).unwrap(), 100);

        // 65 MiB of control files in a few kB.
        let tar = vec![0_u8; 65 << 20];
        let packed = zstd::encode_all(&tar[..], 3).unwrap();
        let deb = ar::write(&[("debian-binary", b"2.0\n"), ("control.tar.zst", &packed)]);
        let error = control_files(&deb[..], "x").unwrap_err();
        let said = "the package x cannot be unpacked: it unpacks to more than 64 MiB";
        assert_eq!(error.message(), said);
    }

    #[test]
    fn a_window_of_256_mib_is_refused() {
        use zstd::zstd_safe::CParameter;
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(CParameter::WindowLog(28)).unwrap();
        io::copy(&mut io::repeat(1).take(1 << 20), &mut encoder).unwrap();
        let packed = encoder.finish().unwrap();
        let deb = ar::write(&[("debian-binary", b"2.0\n"), ("control.tar.zst", &packed)]);
        let error = control_files(&deb[..], "x").unwrap_err();
        assert!(error.message().contains("too much memory"), "{error}");
    }

    proptest! {
        #[test]
        fn any_change_of_bytes_is_read_or_refused(cut in 0usize..8000, at in 0usize..8000, with in any::<u8>()) {
            let mut deb = builtin::deb(builtin::INITRAMFS).unwrap();
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
