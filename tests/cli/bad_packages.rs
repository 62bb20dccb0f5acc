//! Packages that are not what they should be: on their way, or as the archive has them.

use crate::fixture::Entry::{File, Folder, Hardlink, Symlink};
use crate::fixture::server::Fault;
use crate::fixture::{Entry, deb};
use crate::world::World;
use imagebuild::fs::Sha256Digest;

const CONTROL: &str = "Package: kmod\nVersion: 2\nArchitecture: amd64\n";

/// A world in which the tools' package kmod is this `.deb`, listed and signed.
fn with_kmod(deb: &[u8]) -> World {
    let mut world = World::new();
    world.archive.forget("trixie", "kmod");
    world.archive.add_deb("trixie", CONTROL, deb);
    world.archive.publish();
    world.cli("lock --quiet").code(0);
    world
}

#[test]
fn a_package_that_would_write_outside_is_refused_by_name() {
    let cases: [(&[(&str, Entry<'_>)], &str); 5] = [
        (&[("../evil", File("x"))], "the path `../evil` leads out of the tree"),
        (&[("/evil", File("x"))], "the path `/evil` leads out of the tree"),
        (
            &[("./a", Symlink("../../../../evil")), ("./a/x", File("x"))],
            "the path `a` leads out of the tree through a link",
        ),
        (&[("./a", Hardlink("../evil"))], "the link `a` leads out of the tree"),
        (&[("./", Folder), ("./null", Entry::Device)], "`null` is a device or unknown"),
    ];
    for (entries, why) in cases {
        let world = with_kmod(&deb(CONTROL, entries));
        world
            .cli("arch1 --quiet")
            .stderr(&format!(
                "error: the package kmod cannot be unpacked: {why}\nhint: it is the very file that the lock names, so the archive has it so; `imagebuild lock --update kmod` looks for another version\n"
            ))
            .code(3);
        assert_eq!(world.list("store/objects"), [""; 0]);
        assert_eq!(world.list("store/tmp"), [""; 0]);
        assert!(!world.path("evil").exists() && !world.path("store/evil").exists());
    }
}

#[test]
fn a_package_that_the_archive_itself_has_cut_off() {
    let whole = deb(CONTROL, &[("./usr/share/kmod", File("content"))]);
    let world = with_kmod(&whole[..whole.len() - 60]);
    world
        .cli("arch1 --quiet")
        .stderr("error: the package kmod cannot be unpacked: it is cut off\nhint: it is the very file that the lock names, so the archive has it so; `imagebuild lock --update kmod` looks for another version\n")
        .code(3);
}

#[test]
fn another_file_than_the_locked_one() {
    let world = World::locked();
    let path = "debian/pool/main/kmod_1_amd64.deb";
    let locked = std::fs::read(world.archive.root().join(path)).unwrap();
    let mut other = locked.clone();
    other[100] ^= 1;
    world.server.plant("kmod_1_amd64.deb", Fault::Body(other.clone()));
    world
        .cli("arch1 --quiet")
        .stderr(&format!(
            "error: MIRROR/debian has another pool/main/kmod_1_amd64.deb than the one locked\n  locked: {}\n  found:  {}\nhint: the file was damaged or replaced on its way: name another mirror with `--mirror URL`\n",
            Sha256Digest::of(&locked),
            Sha256Digest::of(&other)
        ))
        .code(3);
    assert!(!world.list("store/pool").contains(&format!("{}.deb", Sha256Digest::of(&other))));
}
