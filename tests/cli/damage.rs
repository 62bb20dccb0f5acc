//! Damage in the store, over every file of every step's result: the next build notices it,
//! makes the result again, and gives the same bytes.

use crate::endings::{image, whole};
use crate::world::World;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const IMAGE: &str = "out/arch1-web1.qcow2\n";

/// The store's results, each with its files in order.
fn objects(world: &World) -> Vec<(String, Vec<PathBuf>)> {
    let files = |key: &String| {
        let folder = format!("store/objects/{key}");
        let paths = world.list(&folder).into_iter().map(|name| world.path(&folder).join(name));
        paths.filter(|path| path.is_file()).collect()
    };
    world.list("store/objects").into_iter().map(|key| (key.clone(), files(&key))).collect()
}

/// Builds again after damage to the results under `damaged`: all of them are named in
/// warnings and made again, and the image is the same.
#[track_caller]
fn mended(world: &World, whole: &[u8], damaged: &BTreeSet<String>, what: &str) {
    drop(fs::remove_dir_all(world.path("project/out")));
    let said = world.cli("arch1 --quiet").run();
    assert_eq!((said.stdout.as_str(), said.code), (IMAGE, 0), "{what}: {}", said.text());
    for key in damaged {
        let warning = format!("warning: store object {} is damaged (", &key[..12]);
        assert!(said.stderr.contains(&warning), "{what}: {key}\n{}", said.stderr);
    }
    assert_eq!(said.stderr.lines().count(), damaged.len(), "{what}: {}", said.stderr);
    assert!(image(world) == whole, "other bytes after {what}");
    assert_eq!(world.list("store/tmp"), [""; 0], "{what}");
}

/// Changes a file's bytes, as far as it has any; its time of change is another then.
fn rewrite(path: &Path, change: impl Fn(&mut Vec<u8>)) -> bool {
    let mut bytes = fs::read(path).unwrap();
    let before = bytes.clone();
    change(&mut bytes);
    fs::write(path, &bytes).unwrap();
    bytes != before
}

type Damage = (&'static str, fn(&Path) -> bool);

/// Whether each changed anything.
const DAMAGES: [Damage; 5] = [
    ("a flipped bit", |path| {
        rewrite(path, |bytes| {
            let middle = bytes.len() / 2;
            bytes.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
        })
    }),
    ("a file cut off", |path| rewrite(path, |bytes| bytes.truncate(bytes.len() / 2))),
    ("an empty file", |path| rewrite(path, Vec::clear)),
    ("garbage", |path| rewrite(path, |bytes| bytes.splice(.., *b"\0garbage\xff").for_each(drop))),
    ("a file gone", |path| fs::remove_file(path).is_ok()),
];

#[test]
fn every_file_of_every_result() {
    let world = World::with_every_step();
    let whole = whole(&world);
    let most = objects(&world).iter().map(|(_, files)| files.len()).max().unwrap();
    let mut damages = 0;
    // One file of each result at a time: all results are looked at, and made again.
    for (number, (what, damage)) in (0..most).flat_map(|n| DAMAGES.iter().map(move |d| (n, d))) {
        let mut damaged = BTreeSet::new();
        for (key, files) in objects(&world) {
            let file = &files[number.min(files.len() - 1)];
            if damage(file) {
                damaged.insert(key);
            }
        }
        damages += damaged.len();
        mended(&world, &whole, &damaged, &format!("{what}, file {number}"));
    }
    assert!(damages > 12 * DAMAGES.len() * most - most, "{damages}");
}

#[test]
fn every_result_alone() {
    let world = World::with_every_step();
    let whole = whole(&world);
    for (key, files) in objects(&world) {
        // The results that are made from it are missing: else nobody would read it.
        for (other, _) in objects(&world).iter().filter(|(other, _)| *other != key) {
            fs::remove_dir_all(world.path("store/objects").join(other)).unwrap();
        }
        fs::remove_file(&files[0]).unwrap();
        mended(&world, &whole, &BTreeSet::from([key.clone()]), &key);
    }
}

/// Keeps the time of change: the length alone must tell.
fn cut_off(path: &Path) {
    let modified = path.metadata().unwrap().modified().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(1).unwrap();
    file.set_modified(modified).unwrap();
}

/// Keeps the length and the time of change.
fn forge(path: &Path) {
    let modified = path.metadata().unwrap().modified().unwrap();
    rewrite(path, |bytes| bytes[0] ^= 1);
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

type TreeDamage = (&'static str, fn(&Path));

const TREE_DAMAGES: [TreeDamage; 8] = [
    ("a flipped bit", |tree| {
        rewrite(&tree.join("etc/passwd"), |bytes| bytes[0] ^= 1);
    }),
    ("a file cut off", |tree| cut_off(&tree.join("etc/passwd"))),
    ("another content, the same length and time", |tree| forge(&tree.join("etc/passwd"))),
    ("a file gone", |tree| fs::remove_file(tree.join("usr/bin/sh")).unwrap()),
    ("a file more", |tree| fs::write(tree.join("usr/bin/more"), "").unwrap()),
    ("another mode", |tree| {
        fs::set_permissions(tree.join("etc"), Permissions::from_mode(0o700)).unwrap();
    }),
    ("another link", |tree| {
        fs::remove_file(tree.join("bin")).unwrap();
        symlink("usr/bim", tree.join("bin")).unwrap();
    }),
    ("another time", |tree| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::open(tree.join("etc/passwd")).unwrap().set_modified(time).unwrap();
    }),
];

#[test]
fn the_trees_of_tools_base_and_packages() {
    let world = World::with_every_step();
    let whole = whole(&world);
    let tree = |key: &String| world.path("store/objects").join(key).join("tree");
    for (what, damage) in TREE_DAMAGES {
        let mut damaged = BTreeSet::new();
        for (key, _) in objects(&world) {
            if tree(&key).is_dir() {
                damage(&tree(&key));
                damaged.insert(key);
            } else {
                fs::remove_dir_all(world.path("store/objects").join(key)).unwrap();
            }
        }
        assert_eq!(damaged.len(), 3, "tools, base, packages");
        mended(&world, &whole, &damaged, what);
    }
}

#[test]
fn a_tree_that_nobody_reads_costs_nothing() {
    let world = World::with_every_step();
    let whole = whole(&world);
    for (key, _) in objects(&world) {
        drop(fs::remove_file(world.path("store/objects").join(key).join("tree/etc/passwd")));
    }
    mended(&world, &whole, &BTreeSet::new(), "damage to what is not read");
}
