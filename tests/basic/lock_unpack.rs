//! Unpacking hostile and odd packages: nothing ever lands outside of the tree.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use crate::fixture::Entry::{self, Device, File, Folder, Hardlink, Symlink};
use crate::fixture::deb;
use imagebuild::error::Result;
use imagebuild::lock::unpack::{Owners, unpack_into};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Unpacks into "tree" of a folder that also holds "outside".
fn unpack(entries: &[(&str, Entry<'_>)]) -> (tempfile::TempDir, Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tree")).unwrap();
    std::fs::create_dir(folder.path().join("outside")).unwrap();
    let bytes = deb("Package: evil\n", entries);
    let tree = folder.path().join("tree");
    let result = unpack_into(&bytes[..], "evil", &tree, Owners::Mine, |_| true);
    let outside: Vec<_> = std::fs::read_dir(folder.path().join("outside")).unwrap().collect();
    assert!(outside.is_empty(), "{outside:?}");
    (folder, result)
}

fn refusal(entries: &[(&str, Entry<'_>)]) -> String {
    unpack(entries).1.unwrap_err().to_string()
}

fn read(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join("tree").join(path)).unwrap()
}

#[test]
fn hostile_entries_are_refused() {
    let cannot = "error: the package evil cannot be unpacked";
    let cases: [(&[(&str, Entry<'_>)], &str); 9] = [
        (&[("../outside/x", File("x"))], "the path `../outside/x` leads out of the tree"),
        (
            &[("./a/../../outside/x", File("x"))],
            "the path `./a/../../outside/x` leads out of the tree",
        ),
        (&[("/outside/x", File("x"))], "the path `/outside/x` leads out of the tree"),
        (
            &[("./a", Symlink("../outside")), ("./a/x", File("x"))],
            "the path `a` leads out of the tree through a link",
        ),
        (
            &[("./d/", Folder), ("./d/a", Symlink("../../outside")), ("./d/a/x/y", File("x"))],
            "the path `d/a/x` leads out of the tree through a link",
        ),
        (
            &[("./a", Symlink("a")), ("./a/x", File("x"))],
            "the path `a` leads out of the tree through a link",
        ),
        (&[("./a", Hardlink("../outside/x"))], "the link `a` leads out of the tree"),
        (
            &[("./l", Symlink("/etc/passwd")), ("./a", Hardlink("./l"))],
            "`a` links to what is no file",
        ),
        (&[("./a", Device)], "`a` is a device or unknown"),
    ];
    for (entries, why) in cases {
        assert_eq!(refusal(entries), format!("{cannot}: {why}"));
    }
}

#[test]
fn an_absolute_link_is_one_inside_of_the_tree() {
    let (folder, result) = unpack(&[("./a", Symlink("/outside")), ("./a/x", File("x"))]);
    result.unwrap();
    assert_eq!(read(folder.path(), "outside/x"), "x");
}

#[test]
fn linked_folders_modes_and_times_are_kept() {
    let (folder, result) = unpack(&[
        ("./", Folder),
        ("./lib", Symlink("usr/lib")),
        ("./lib/", Folder),
        ("./usr/", Folder),
        ("./usr/lib/", Folder),
        ("./lib/", Folder),
        ("./lib/a", File("a")),
        ("./usr/lib/b", Hardlink("./lib/a")),
        ("./usr/lib/c", Symlink("../../../../nowhere")),
    ]);
    result.unwrap();
    let tree = folder.path().join("tree");
    assert!(tree.join("lib").is_symlink());
    assert_eq!(read(folder.path(), "usr/lib/b"), "a");
    let meta = std::fs::metadata(tree.join("usr/lib/a")).unwrap();
    assert_eq!(
        (meta.permissions().mode() & 0o7777, meta.mtime(), meta.nlink()),
        (0o644, 1_700_000_000, 2)
    );
    for path in ["usr/lib", "usr/lib/c", "lib"] {
        assert_eq!(std::fs::symlink_metadata(tree.join(path)).unwrap().mtime(), 1_700_000_000);
    }
}

#[test]
fn a_package_replaces_its_own_files_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let once = |entries: &[(&str, Entry<'_>)]| {
        unpack_into(&deb("", entries)[..], "p", folder.path(), Owners::Mine, |path| {
            !path.ends_with("no")
        })
    };
    let twice = [("./d/f", File("1")), ("./d/f", File("2")), ("./no", File("x"))];
    once(&[&[("./d/", Folder)], &twice[..]].concat()).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("d/f")).unwrap(), "2");
    assert!(!folder.path().join("no").exists());
    once(&[("./e", File("x")), ("./s", Symlink("e"))]).unwrap();
    let others: [(&str, Entry<'_>); 6] = [
        ("d/f", File("3")),
        ("d", File("x")),
        ("d/f", Symlink("x")),
        ("d/f", Folder),
        ("s", Symlink("other")),
        ("d/f", Hardlink("./e")),
    ];
    for (path, other) in others {
        assert_eq!(
            once(&[(path, other)]).unwrap_err().to_string(),
            format!(
                "error: the package p cannot be unpacked: `{path}` is there already, as a folder or of another package\nhint: two packages of one closure have it; `imagebuild lock --update` may bring versions that do not"
            )
        );
        assert_eq!(std::fs::read_to_string(folder.path().join("d/f")).unwrap(), "2");
    }
}

#[test]
fn a_cut_off_package_is_refused_wherever_it_ends() {
    let whole = deb("Package: evil\n", &[("./a", File("aaaa")), ("./b", File("bbbb"))]);
    for length in 0..whole.len() - 4 {
        let folder = tempfile::tempdir().unwrap();
        let result = unpack_into(&whole[..length], "evil", folder.path(), Owners::Mine, |_| true);
        let error = result.unwrap_err().to_string();
        assert!(
            error.starts_with("error: the package evil cannot be unpacked: "),
            "{length}: {error}"
        );
    }
    let error = {
        let folder = tempfile::tempdir().unwrap();
        unpack_into(&whole[..whole.len() / 2 + 100], "evil", folder.path(), Owners::Mine, |_| true)
    };
    assert_eq!(
        error.unwrap_err().to_string(),
        "error: the package evil cannot be unpacked: it is cut off"
    );
}
