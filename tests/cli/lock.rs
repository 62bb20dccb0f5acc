//! The lock: what makes it, what moves it, what may not.

use crate::closure;
use crate::world::World;
use imagebuild::lock::date;
use std::path::Path;

const READ: &str = "        Read the indexes of 38 packages\n";
const LOCK: &str = "project/imagebuild.lock";
const HINT: &str = "hint: take a whole one from version control, or remove it: `imagebuild lock` then makes a new one, with the newest packages\n";
const KERNEL: &str = "linux-image-cloud-amd64";

/// Adds a newer kmod (security) and a newer openssl to the archive.
fn newer(world: &mut World) {
    let new = |name: &str, version: &str| {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n");
        (closure::deb(&control, &[]), control)
    };
    let (deb, control) = new("kmod", "1+deb13u1");
    world.archive.add_deb("trixie-security", &control, &deb);
    let (deb, control) = new("openssl", "2");
    world.archive.add_deb("trixie-updates", &control, &deb);
    world.archive.publish();
}

#[test]
fn a_first_lock_and_one_that_stays() {
    let world = World::new();
    let read = READ.replace("38", "37");
    let locked = "      Locked 34 packages in imagebuild.lock\n";
    world.cli("lock").stderr(&format!("{read}{locked}")).code(0);
    let (text, time) = (world.read(LOCK), world.path(LOCK).metadata().unwrap().modified().unwrap());
    assert!(!text.contains("127.0.0.1"), "a lock names no host");
    let unchanged = "   Unchanged imagebuild.lock is up to date\n";
    world.cli("lock").stderr(&format!("{read}{unchanged}")).code(0);
    world.cli("lock --update").stderr(&format!("{read}{unchanged}")).code(0);
    assert_eq!(world.path(LOCK).metadata().unwrap().modified().unwrap(), time);
}

#[test]
fn updates_of_one_package_and_of_all() {
    let mut world = World::locked();
    let old = world.read(LOCK);
    newer(&mut world);
    let read = READ.replace("38", "39");
    let locked = "      Locked 34 packages in imagebuild.lock\n";
    world
        .cli("lock")
        .stderr(&format!("{read}   Unchanged imagebuild.lock is up to date\n"))
        .code(0);
    assert_eq!(world.read(LOCK), old);
    let kmod = "     Locking kmod 1 -> 1+deb13u1 (security)\n";
    world.cli("lock --update kmod").stderr(&format!("{read}{kmod}{locked}")).code(0);
    world.put(LOCK, &old);
    let openssl = "     Locking openssl 1 -> 2\n";
    world.cli("lock --update").stderr(&format!("{read}{kmod}{openssl}{locked}")).code(0);
    world
        .cli("lock --quiet --update komd")
        .stderr("error: the lock holds no package `komd`\nhint: did you mean `kmod`?\n")
        .code(2);
}

#[test]
fn no_lock_where_it_must_not_change() {
    let world = World::new();
    world
        .cli("arch1 --locked")
        .stderr("error: there is no imagebuild.lock\nhint: run `imagebuild lock` and look at what it changes, or leave `--locked` away\n")
        .code(2);
    assert_eq!(world.server.requests(), [""; 0]);
}

#[test]
fn a_role_that_asks_for_more() {
    let mut world = World::locked();
    world.archive.add("trixie", "nginx 1.26");
    world.archive.publish();
    world.change(
        "project/roles/base.toml",
        &format!("[\"{KERNEL}\""),
        &format!("[\"{KERNEL}\", \"nginx\""),
    );
    let hint =
        "hint: run `imagebuild lock` and look at what it changes, or leave `--locked` away\n";
    let stale = format!(
        "error: imagebuild.lock does not fit the spec\n  asked for, but not locked: nginx (arch1/web1)\n{hint}"
    );
    let old = world.read(LOCK);
    world.cli("arch1 --locked").stderr(&stale).code(2);
    world.cli("plan arch1 --locked").stderr(&stale).code(2);
    assert_eq!(world.read(LOCK), old);
    world
        .cli("lock")
        .stderr(&format!(
            "{READ}     Locking nginx 1.26 (new)\n      Locked 35 packages in imagebuild.lock\n"
        ))
        .code(0);
    world.cli("plan arch1 --locked").run();
    world
        .cli("lock --locked")
        .stderr("error: `lock --locked` contradicts itself\nhint: `--locked` is for builds; leave it away to write the lock\n")
        .code(2);
}

#[test]
fn a_role_that_asks_for_what_is_not() {
    let world = World::locked();
    world.change("project/roles/base.toml", KERNEL, "linux-image-clout-amd64");
    world
        .cli("lock --quiet")
        .stderr(&format!("error: the set arch1/web1: there is no package `linux-image-clout-amd64`\n --> roles/base.toml:2:13\n  |\n2 | packages = [\"linux-image-clout-amd64\"]\n  |             ^^^^^^^^^^^^^^^^^^^^^^^^^\nhint: did you mean `{KERNEL}`? (or `linux-image-6.12.1-cloud-amd64`)\n"))
        .code(2);
}

#[test]
fn a_lock_with_a_conflict_of_a_merge() {
    let world = World::locked();
    world.change(LOCK, "version = 1\n", "version = 1\n<<<<<<< HEAD\n");
    world
        .cli("arch1")
        .stderr(
            "error: the lock holds a merge's conflict
 --> imagebuild.lock:4:1
  |
4 | <<<<<<< HEAD
  | ^^^^^^^
hint: take one side's lock whole (`git checkout --ours imagebuild.lock`) and run `imagebuild lock`: it adds what the other side's roles ask for
",
        )
        .code(2);
}

#[test]
fn a_lock_with_an_error_of_syntax() {
    let world = World::locked();
    world.change(LOCK, "version = 1\n", "version = \n");
    world
        .cli("arch1")
        .stderr(&format!(
            "error: the lock cannot be read: string values must be quoted, expected literal string
 --> imagebuild.lock:3:11
  |
3 | version = 
  |           ^
{HINT}"
        ))
        .code(2);
}

#[test]
fn a_lock_with_a_package_that_it_lacks() {
    let world = World::locked();
    let lock = world.read(LOCK);
    let at = lock.find("[sets]").unwrap();
    let line = lock[..at].matches('\n').count() + 3;
    let text = format!("{}{}", &lock[..at], lock[at..].replacen("base-files", "base-flies", 1));
    world.put(LOCK, &text);
    let gutter = " ".repeat(line.to_string().len());
    world
        .cli("arch1")
        .stderr(&format!(
            "error: the package `base-flies` is not in the lock
{gutter}--> imagebuild.lock:{line}:5
{gutter} |
{line} |     \"base-flies\",
{gutter} |     ^^^^^^^^^^^^
{HINT}"
        ))
        .code(2);
    // As the hint says.
    std::fs::remove_file(world.path(LOCK)).unwrap();
    world.cli("lock --quiet").code(0);
    assert_eq!(world.read(LOCK), lock);
}

#[test]
fn a_locked_file_that_left_the_mirror() {
    let mut world = World::locked();
    let old = world.read(LOCK);
    world.archive.remove(Path::new("debian/pool/main/kmod_1_amd64.deb"));
    world.archive.forget("trixie", "kmod");
    newer(&mut world);
    let hint =
        "hint: run `imagebuild lock` and look at what it changes, or leave `--locked` away\n";
    world
        .cli("arch1 --quiet --locked")
        .stderr(&format!("error: no archive has these locked packages any more: kmod\n{hint}"))
        .code(2);
    assert_eq!(world.read(LOCK), old);

    let said = world.cli("arch1").run();
    assert_eq!((said.stdout.as_str(), said.code), ("out/arch1-web1.qcow2\n", 0), "{}", said.text());
    assert!(
        said.stderr.starts_with(&format!(
            "warning: no archive has the locked version any more of: kmod\n{READ}     Locking kmod 1 -> 1+deb13u1 (security)\n      Locked 34 packages in imagebuild.lock\n"
        )),
        "{}",
        said.stderr
    );
    let moved = world.read(LOCK);
    assert!(moved != old && moved.contains("1+deb13u1"));
    assert!(moved.contains("name = \"openssl\"\nversion = \"1\"\n"), "only what must move moves");
}

#[test]
fn what_was_fetched_needs_no_archive() {
    let world = World::locked();
    let nowhere = "--mirror http://127.0.0.1:1/debian --quiet";
    assert_eq!(world.bare(&format!("arch1 {nowhere}")).run().code, 3);
    let said = world.cli("fetch").run();
    assert_eq!((said.stdout.as_str(), said.code), ("", 0), "{}", said.text());
    assert!(
        said.stderr.contains("    Complete 5 sets, 34 packages were fetched"),
        "{}",
        said.stderr
    );
    world.bare(&format!("arch1 {nowhere}")).stdout("out/arch1-web1.qcow2\n").code(0);
    world.cli("fetch arch1").stderr("    Complete 2 sets, 0 packages were fetched\n").code(0);
    world
        .cli("fetch arch2")
        .stderr("error: there is no architecture `arch2`\nhint: did you mean `arch1`?\n")
        .code(2);
}

#[test]
fn what_left_the_mirror_is_fetched_in_its_newer_version() {
    let mut world = World::locked();
    world.archive.remove(Path::new("debian/pool/main/kmod_1_amd64.deb"));
    world.archive.forget("trixie", "kmod");
    newer(&mut world);
    assert_eq!(world.cli("fetch --locked").run().code, 2);
    let said = world.cli("fetch").run();
    assert!(
        said.stderr.contains("     Locking kmod 1 -> 1+deb13u1 (security)\n"),
        "{}",
        said.stderr
    );
    assert_eq!(said.code, 0);
    assert!(world.read(LOCK).contains("1+deb13u1"));
}

#[test]
fn a_file_that_is_listed_but_not_there() {
    let world = World::locked();
    world.archive.remove(Path::new("debian/pool/main/kmod_1_amd64.deb"));
    world
        .cli("arch1 --quiet")
        .stderr("warning: no archive has the locked version any more of: kmod\nerror: the index lists kmod 1, but no mirror has its file\nhint: the mirror is incomplete: name another with `--mirror URL`, or try again later\n")
        .code(3);
}

#[test]
fn a_version_that_left_the_mirror_comes_from_the_snapshots() {
    let world = World::locked();
    let deb = Path::new("debian/pool/main/kmod_1_amd64.deb");
    let bytes = std::fs::read(world.archive.root().join(deb)).unwrap();
    world.archive.remove(deb);
    let stamp = imagebuild::lock::date::snapshot(world.archive.now - 3600 + 6 * 3600);
    world
        .archive
        .put(Path::new(&format!("snapshot/debian/{stamp}/pool/main/kmod_1_amd64.deb")), &bytes);
    let mirror = world.server.url();
    let line = format!(
        "arch1 --quiet --locked --mirror {mirror}/debian --snapshot-mirror {mirror}/snapshot"
    );
    world.bare(&line).stdout("out/arch1-web1.qcow2\n").code(0);
}

/// A mirror that lags, or somebody who replays a state with old holes.
#[test]
fn an_archive_that_goes_back_in_time_is_refused() {
    let mut world = World::locked();
    let old = world.read(LOCK);
    newer(&mut world);
    world.cli("lock --quiet --update").code(0);
    let lock = world.read(LOCK);
    world.archive.now -= 86_400;
    world.archive.forget("trixie-security", "kmod");
    world.archive.forget("trixie-updates", "openssl");
    world.archive.publish();
    let (before, now) = (world.archive.now + 86_400 - 3600, world.archive.now - 3600);
    let (before, now) = (date::rfc3339(before), date::rfc3339(now));
    let read = "        Read the indexes of 37 packages\n";
    let older = |suite: &str| format!("the mirror's {suite} is of {now}, the lock's of {before}");
    let refused = |suite: &str| {
        format!(
            "error: {}\nhint: the mirror is behind, or somebody replays an old state, with old holes: name another with `--mirror URL`, or take it with `imagebuild lock --allow-older {suite}`\n",
            older(suite)
        )
    };
    for line in ["lock", "lock --update", "lock --update kmod"] {
        world.cli(line).stderr(&format!("{read}{}", refused("trixie"))).code(3);
    }
    world
        .cli("lock --update --allow-older trixie")
        .stderr(&format!(
            "{read}warning: {}: packages may move to older versions\n{}",
            older("trixie"),
            refused("trixie-updates")
        ))
        .code(3);
    assert_eq!(world.read(LOCK), lock);
    world
        .cli("lock --quiet --allow-older trixy")
        .stderr("error: no archive has a suite `trixy`\nhint: did you mean `trixie`?\n")
        .code(2);
    let all = "--allow-older trixie --allow-older trixie-updates --allow-older trixie-security";
    let said = world.cli(&format!("lock --update {all}")).run();
    assert_eq!(said.code, 0, "{}", said.text());
    for line in ["Locking kmod 1+deb13u1 -> 1\n", "Locking openssl 2 -> 1\n"] {
        assert!(said.stderr.contains(line), "{}", said.text());
    }
    let packages = |lock: &str| lock.split_once("[[package]]").map(|(_, rest)| rest.to_owned());
    assert_eq!(packages(&world.read(LOCK)), packages(&old));
}

/// Copies the archives as they are into the snapshot archive, under a time.
fn keep_as_of(world: &World, stamp: &str) {
    for archive in ["debian", "debian-security"] {
        let from = world.archive.root().join(archive);
        for entry in walkdir::WalkDir::new(&from).into_iter().flatten() {
            let below = entry.path().strip_prefix(&from).unwrap();
            if entry.file_type().is_file() {
                let bytes = std::fs::read(entry.path()).unwrap();
                let to = format!("snapshot/{archive}/{stamp}/{}", below.display());
                world.archive.put(Path::new(&to), &bytes);
            }
        }
    }
}

/// What has expired since is taken then, and only then.
#[test]
fn the_archives_as_they_were() {
    let mut world = World::locked();
    let now = world.archive.now;
    let (then, expiry) = (now - 3600, now - 1800);
    world.archive.now = now - 3600;
    let release = |world: &World, suite: &str| {
        let text = world.archive.release(suite);
        let until = date::release(world.archive.now + 7 * 86_400);
        world.archive.signer.sign(&text.replace(&until, &date::release(expiry)))
    };
    world.archive.publish();
    for (archive, suite) in crate::fixture::SUITES {
        let file = format!("{archive}/dists/{suite}/InRelease");
        world.archive.put(Path::new(&file), release(&world, suite).as_bytes());
    }
    keep_as_of(&world, &date::snapshot(then));
    let expired = world.cli("lock --quiet").run();
    assert!(expired.stderr.contains("is out of date: it was valid until"), "{}", expired.text());
    world.archive.now = now;
    world.archive.forget("trixie", "kmod");
    world.archive.add("trixie", "kmod 2");
    world.archive.publish();
    world.cli("lock --update --quiet").code(0);
    assert!(world.read("project/imagebuild.lock").contains("kmod_2_amd64.deb"));

    let mirror = world.server.url();
    let at = date::rfc3339(then);
    let line = format!(
        "lock --quiet --at {at} --keyring ../key.asc --mirror {mirror}/debian --snapshot-mirror {mirror}/snapshot"
    );
    let said = world.bare(&line).run();
    assert_eq!(said.code, 0, "{}", said.text());
    let older = said.stderr.lines().filter(|line| line.ends_with("may move to older versions"));
    assert_eq!(older.count(), 3, "{}", said.text());
    assert!(world.read("project/imagebuild.lock").contains("kmod_1_amd64.deb"));

    world
        .cli(&format!("lock --at {at}"))
        .stderr("error: there is no snapshot archive to read the past from\nhint: `--snapshot-mirror URL` names one\n")
        .code(2);
    for (time, error, hint) in [
        (
            "yesterday",
            "`--at yesterday` names no time",
            "write a day as 2026-11-01, or a time in UTC as 2026-11-01T12:00:00Z",
        ),
        (
            "2026-02-30",
            "`--at 2026-02-30` names no time",
            "write a day as 2026-11-01, or a time in UTC as 2026-11-01T12:00:00Z",
        ),
        ("2999-01-01", "2999-01-01T00:00:00Z is still to come", "`--at` names a day of the past"),
    ] {
        let said = format!("error: {error}\nhint: {hint}\n");
        world.cli(&format!("lock --at {time}")).stderr(&said).code(2);
    }
}
