//! `.deb`s: the container, the tars in it, and what lands on the disk.

use crate::fuzzer::Fuzz;
use crate::in_little_memory;
use imagebuild::lock::ar::{self, Members};
use imagebuild::lock::deb;
use imagebuild::lock::unpack::{Owners, unpack_into};
use std::io::Read;
use std::path::{Component, Path};

const AR: &[&str] = &["!<arch>\n", "`\n", "debian-binary   ", "control.tar", "data.tar.xz", "_"];
const TAR: &[&str] =
    &["ustar\0", "ustar  \0", "../", "./", "/", "\0", "L", "K", "x", "g", "S", "1", "2", "5"];

#[test]
fn containers() {
    Fuzz::of("ar", AR).rounds(20_000).run(|bytes| {
        let mut members = Members::new(bytes);
        let mut all = Vec::new();
        while let Ok(Some(member)) = members.next_member() {
            let mut content = Vec::new();
            let whole = members.content(&member).read_to_end(&mut content).is_ok();
            if !whole {
                return;
            }
            assert_eq!(content.len() as u64, member.size);
            all.push((member.name, content));
            assert!(all.len() <= bytes.len() / 60, "a header for each");
        }
        // A slash at the end of a name is not part of it; only one is taken off.
        if !all.iter().any(|(name, _)| name.ends_with('/')) {
            let parts: Vec<(&str, &[u8])> = all.iter().map(|(n, c)| (n.as_str(), &c[..])).collect();
            assert_eq!(reread(&ar::write(&parts)), all);
        }
    });
}

fn reread(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut members = Members::new(bytes);
    let mut all = Vec::new();
    while let Some(member) = members.next_member().unwrap() {
        let mut content = Vec::new();
        members.content(&member).read_to_end(&mut content).unwrap();
        all.push((member.name, content));
    }
    all
}

/// Reads all of a package's tars; gives the bytes of its files.
fn read(deb: &[u8]) -> u64 {
    let (mut entries, mut bytes) = (0_usize, 0);
    drop(deb::control_files(deb, "x"));
    drop(deb::visit_data(deb, "x", |entry, content| {
        entries += 1;
        assert!(entry.path.components().all(|part| matches!(part, Component::Normal(_))));
        // Never to the size that it claims: that of a damaged one has no end.
        bytes += std::io::copy(content, &mut std::io::sink()).unwrap_or(0);
        Ok(())
    }));
    drop(deb::files_below(deb, "x", "usr/lib/sysusers.d"));
    bytes
}

/// Headers whose check sums are wrong are refused at once, so most are put right.
fn with_check_sums(tar: &[u8], every: bool) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for header in tar.chunks_exact_mut(512).filter(|_| every) {
        if header[257..262] == *b"ustar" {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    tar
}

fn packed(tar: &[u8]) -> Vec<u8> {
    ar::write(&[("debian-binary", b"2.0\n"), ("control.tar", tar), ("data.tar", tar)])
}

#[test]
fn tars() {
    in_little_memory(|| {
        Fuzz::of("tar", TAR).rounds(20_000).run(|bytes| {
            let tar = with_check_sums(bytes, bytes.len() % 8 != 0);
            assert!(read(&packed(&tar)) <= bytes.len() as u64, "content out of nothing");
        });
    });
}

/// Whatever a package holds, all of it lands in its tree, and is no more than it brought.
#[test]
fn trees() {
    let work = tempfile::tempdir().unwrap();
    let (outside, tree) = (work.path().join("outside"), work.path().join("tree"));
    std::fs::create_dir(&outside).unwrap();
    Fuzz::of("tar", TAR).rounds(4000).run(|bytes| {
        std::fs::create_dir(&tree).unwrap();
        let deb = packed(&with_check_sums(bytes, true));
        drop(unpack_into(&deb[..], "x", &tree, Owners::Mine, |_| true));
        let there: Vec<_> = std::fs::read_dir(work.path()).unwrap().flatten().collect();
        assert_eq!(there.len(), 2, "{there:?}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "something outside");
        assert!(size(&tree) <= deb.len() as u64, "files out of nothing");
        std::fs::remove_dir_all(&tree).unwrap();
    });
}

/// The bytes of all files; modes that close folders are opened on the way.
fn size(tree: &Path) -> u64 {
    use std::os::unix::fs::PermissionsExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(tree).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            let open = PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(entry.path(), open).unwrap();
            sum += size(&entry.path());
        } else if metadata.is_file() {
            sum += metadata.len();
        }
    }
    sum
}

#[test]
fn debs() {
    in_little_memory(|| {
        Fuzz::of("deb", AR).rounds(6000).run(|bytes| {
            read(bytes);
        });
    });
}
