//! The lock against a small archive: what comes, and the exact words when it cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use crate::fixture::server::{Fault, Server};
use crate::fixture::{Archive, Signer};
use imagebuild::error::Result;
use imagebuild::fs::Sha256Digest;
use imagebuild::lock::archives::Archives;
use imagebuild::lock::fetch::{Fetcher, Patience};
use imagebuild::lock::file::{ESSENTIAL, Lock, LockedPackage, Requests};
use imagebuild::lock::mirror::Mirrors;
use imagebuild::lock::pool::{Outcome, Pool};
use imagebuild::lock::proxy::Proxies;
use imagebuild::lock::update::{self, Policy};
use imagebuild::lock::{builtin, date};
use std::path::Path;
use std::time::Duration;

const LATER: &str = "\nhint: try again later, or name another mirror with `--mirror URL`";

/// An archive, a server for it and a cache.
struct World {
    archive: Archive,
    server: Server,
    cache: tempfile::TempDir,
}

impl World {
    /// An archive of base, app (which needs lib) and a kernel (which needs an initramfs tool).
    fn new() -> World {
        let mut archive = Archive::new();
        archive.add("trixie", "base 1; Essential: yes");
        archive.add("trixie", "app 1.0-1; Depends: lib (>= 1.0)");
        archive.add("trixie", "lib 1.0-1");
        archive.add("trixie", "kernel 6; Depends: initramfs-tools | linux-initramfs-tool");
        archive.publish();
        let server = Server::start(archive.root());
        World { archive, server, cache: tempfile::tempdir().unwrap() }
    }

    fn mirrors(&self) -> Mirrors {
        let url = |path| format!("{}/{path}", self.server.url());
        let mirrors =
            Mirrors::choose(Some(&url("debian")), None, Path::new("/nonexistent")).unwrap();
        mirrors.with_snapshot(Some(&url("snapshot"))).unwrap()
    }

    fn fetcher() -> Fetcher {
        let patience = Patience {
            attempts: 3,
            pause: Duration::from_millis(5),
            idle_timeout: Duration::from_secs(1),
        };
        Fetcher::new(patience, Proxies::none())
    }

    fn load_at(&self, now: u64) -> Result<Archives> {
        let anchors = self.archive.signer.anchors();
        Archives::load(self.cache.path(), &self.mirrors(), &World::fetcher(), &anchors, now)
    }

    fn load(&self) -> Result<Archives> {
        self.load_at(self.archive.now)
    }

    /// The error of loading, with the server's address as MIRROR.
    fn refusal(&self) -> String {
        self.words(&self.load().unwrap_err())
    }

    fn words(&self, error: &imagebuild::error::Error) -> String {
        error.to_string().replace(self.server.url(), "MIRROR")
    }

    fn lock(&self, wanted: &[&str], old: Option<&Lock>, policy: &Policy) -> Result<(Lock, String)> {
        let (lock, changes) = update::resolve(&self.load()?, &requests(wanted), old, policy)?;
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        Ok((lock, changes.join(", ")))
    }

    fn locked(&self, wanted: &[&str]) -> Lock {
        self.lock(wanted, None, &Policy::Keep).unwrap().0
    }

    fn fill(&self, lock: &Lock) -> Result<Outcome> {
        let pool = self.pool(lock);
        pool.ensure(&lock.packages.values().collect::<Vec<_>>())
    }

    fn pool(&self, lock: &Lock) -> Pool {
        Pool::new(self.cache.path(), self.mirrors(), World::fetcher(), lock).unwrap()
    }
}

fn requests(wanted: &[&str]) -> Requests {
    let mut requests = Requests::default();
    let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
    requests.sets.insert("arch1/web1".to_owned(), wanted);
    requests
}

fn version<'a>(lock: &'a Lock, name: &str) -> &'a str {
    lock.packages[name].version.as_str()
}

#[test]
fn resolves_locks_and_fetches() {
    let world = World::new();
    let wanted = [ESSENTIAL, "app", "kernel", builtin::INITRAMFS];
    let (lock, changes) = world.lock(&wanted, None, &Policy::Keep).unwrap();
    assert_eq!(
        changes,
        "app 1.0-1 (new), base 1 (new), imagebuild-initramfs 1 (new), kernel 6 (new), lib 1.0-1 (new)"
    );
    assert_eq!(lock.packages["kernel"].depends, [builtin::INITRAMFS]);
    assert!(lock.matches(&requests(&wanted)) && !lock.matches(&requests(&["app"])));
    let file = world.cache.path().join("imagebuild.lock");
    lock.write(&file).unwrap();
    assert_eq!(Lock::read(&file).unwrap(), lock);

    world.server.requests();
    assert!(matches!(world.fill(&lock).unwrap(), Outcome::Complete { fetched: 5, .. }));
    assert_eq!(world.server.requests().len(), 4);
    assert_eq!(world.fill(&lock).unwrap(), Outcome::Complete { fetched: 0, bytes: 0 });
    assert!(world.server.requests().is_empty(), "a second run asks for nothing");
    for package in lock.packages.values() {
        world.pool(&lock).open_verified(package).unwrap();
    }
}

#[test]
fn verified_indexes_are_not_fetched_twice() {
    let world = World::new();
    world.load().unwrap();
    assert_eq!(world.server.requests().len(), 5, "two indexes are empty, and so the same");
    world.load().unwrap();
    let again = world.server.requests();
    assert!(again.len() == 3 && again.iter().all(|path| path.ends_with("InRelease")), "{again:?}");
}

#[test]
fn two_at_once_do_no_harm() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(matches!(world.fill(&lock).unwrap(), Outcome::Complete { .. })));
        }
    });
    let left: Vec<_> =
        std::fs::read_dir(world.cache.path().join("pool")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "only whole files are left: {left:?}");
}

#[test]
fn a_local_folder_is_a_mirror() {
    let world = World::new();
    let url = format!("file://{}/debian", world.archive.root().display());
    let mirrors = Mirrors::choose(Some(&url), None, Path::new("/nonexistent")).unwrap();
    let anchors = world.archive.signer.anchors();
    let now = world.archive.now;
    let archives = Archives::load(world.cache.path(), &mirrors, &World::fetcher(), &anchors, now);
    let (lock, _) =
        update::resolve(&archives.unwrap(), &requests(&["app"]), None, &Policy::Keep).unwrap();
    let pool = Pool::new(world.cache.path(), mirrors, World::fetcher(), &lock).unwrap();
    let all: Vec<&LockedPackage> = lock.packages.values().collect();
    assert!(matches!(pool.ensure(&all).unwrap(), Outcome::Complete { fetched: 2, .. }));
    assert!(world.server.requests().is_empty());
}

#[test]
fn a_package_is_explained_by_the_way_to_it() {
    let world = World::new();
    let lock = world.locked(&["base", "app"]);
    assert_eq!(lock.why("arch1/web1", "lib").unwrap(), ["app", "lib"]);
    assert_eq!(lock.why("arch1/web1", "app").unwrap(), ["app"]);
    assert_eq!(lock.why("arch1/web1", "kernel"), None);
    assert_eq!(lock.why("none", "app"), None);
    let essential = world.locked(&[ESSENTIAL]);
    assert_eq!(essential.why("arch1/web1", "base").unwrap(), [ESSENTIAL, "base"]);
}

#[test]
fn an_unsigned_archive_is_refused() {
    let world = World::new();
    let release = world.archive.release("trixie");
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), release.as_bytes());
    assert_eq!(
        world.refusal(),
        "error: MIRROR/debian/dists/trixie/InRelease is not signed: it does not start with `-----BEGIN PGP SIGNED MESSAGE-----`\nhint: nothing unsigned is believed; is this a Debian mirror? `--mirror URL` names another"
    );
}

const NOT_GOOD: &str = "\nhint: the file was changed on its way, or this is not the archive it claims to be; `--keyring FILE` names other keys, `--mirror URL` another mirror";

#[test]
fn a_stranger_is_not_believed() {
    let world = World::new();
    let stranger = Signer::new();
    let release = stranger.sign(&world.archive.release("trixie"));
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), release.as_bytes());
    assert_eq!(
        world.refusal(),
        format!(
            "error: MIRROR/debian/dists/trixie/InRelease has no good signature by a trusted key\n  signed by {}, which is not trusted\n  trusted: the fixture's key{NOT_GOOD}",
            stranger.fingerprint()
        )
    );
}

#[test]
fn a_changed_text_is_not_believed() {
    let world = World::new();
    let release = world.archive.signer.sign(&world.archive.release("trixie"));
    let changed = release.replace("Origin: Debian", "Origin: Debiam");
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), changed.as_bytes());
    assert_eq!(
        world.refusal(),
        format!(
            "error: MIRROR/debian/dists/trixie/InRelease has no good signature by a trusted key\n  the signature by {} does not fit the text\n  trusted: the fixture's key{NOT_GOOD}",
            world.archive.signer.fingerprint()
        )
    );
}

#[test]
fn other_line_ends_are_the_same_text() {
    let world = World::new();
    let release = world.archive.signer.sign(&world.archive.release("trixie"));
    let release = release.replace('\n', " \r\n");
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), release.as_bytes());
    world.load().unwrap();
}

#[test]
fn an_old_state_is_not_believed() {
    let world = World::new();
    let later = world.archive.now + 30 * 86_400;
    let error = world.load_at(later).unwrap_err();
    assert_eq!(
        world.words(&error),
        format!(
            "error: MIRROR/debian/dists/trixie/InRelease is out of date: it was valid until {}, now is {}\nhint: the mirror is stale, or this machine's clock is wrong; `--mirror URL` names another mirror",
            date::rfc3339(world.archive.now + 7 * 86_400),
            date::rfc3339(later)
        )
    );
}

#[test]
fn another_suite_is_refused() {
    let world = World::new();
    let other = world.archive.signer.sign(&world.archive.release("trixie-updates"));
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), other.as_bytes());
    assert_eq!(
        world.refusal(),
        "error: MIRROR/debian/dists/trixie/InRelease is of the suite stable-updates (trixie-updates), not of trixie\nhint: the mirror answers with another suite's file; `--mirror URL` names another"
    );
}

#[test]
fn an_index_must_be_the_signed_one() {
    let world = World::new();
    let index = world.archive.root().join("debian/dists/trixie/main/binary-amd64/Packages.xz");
    let mut bytes = std::fs::read(index).unwrap();
    bytes[40] ^= 1;
    world.server.plant("Packages.xz", Fault::Body(bytes.clone()));
    world.load().unwrap();
    std::fs::remove_dir_all(world.cache.path().join("indexes")).unwrap();

    let by_hash = "debian/dists/trixie/main/binary-amd64/by-hash";
    std::fs::remove_dir_all(world.archive.root().join(by_hash)).unwrap();
    assert_eq!(
        world.refusal(),
        "error: MIRROR/debian/dists/trixie/main/binary-amd64/Packages.xz is not the file that the signed InRelease names: its SHA-256 differs\nhint: the mirror is being updated, or something on the way changes files: try again in some minutes, or name another mirror with `--mirror URL`"
    );
}

/// The digests below by-hash, which are the names of files.
fn by_hash(world: &World) -> Vec<String> {
    let folder = "debian/dists/trixie/main/binary-amd64/by-hash/SHA256";
    let entries = std::fs::read_dir(world.archive.root().join(folder)).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Signs a Release file of trixie that lists these files as well.
fn publish_with(world: &World, files: &[(&str, &[u8])], more: &str) {
    let mut text = world.archive.release("trixie");
    for (path, bytes) in files {
        let (digest, size) = (Sha256Digest::of(bytes), bytes.len());
        text += &format!(" {digest} {size} {path}\n");
        world.archive.put(&Path::new("debian/dists/trixie").join(path), bytes);
    }
    let signed = world.archive.signer.sign(&format!("{more}{text}"));
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), signed.as_bytes());
}

/// Object stores say 403 of what they do not have.
#[test]
fn what_one_place_of_an_index_lacks_another_may_have() {
    let world = World::new();
    for digest in by_hash(&world) {
        world.server.plant(&digest, Fault::Status(403, 1));
    }
    world.load().unwrap();
    let asked = world.server.requests();
    assert!(asked.iter().any(|path| path.ends_with("trixie/main/binary-amd64/Packages.xz")));

    let world = World::new();
    let index = world.archive.root().join("debian/dists/trixie/main/binary-amd64/Packages.xz");
    let mut text = String::new();
    let packed = std::fs::read(index).unwrap();
    std::io::Read::read_to_string(&mut liblzma::read::XzDecoder::new(&packed[..]), &mut text)
        .unwrap();
    publish_with(&world, &[("main/binary-amd64/Packages", text.as_bytes())], "");
    for digest in by_hash(&world) {
        world.server.plant(&digest, Fault::Status(400, 1));
    }
    world.server.plant("trixie/main/binary-amd64/Packages.xz", Fault::Status(404, 1));
    world.load().unwrap();
    let asked = world.server.requests();
    assert!(asked.iter().any(|path| path.ends_with("trixie/main/binary-amd64/Packages")));
}

#[test]
fn what_is_special_in_a_url_is_escaped() {
    let mut world = World::new();
    world.archive.add("trixie", "plus 1.0+b1~x");
    world.archive.publish();
    let lock = world.locked(&["plus"]);
    world.server.requests();
    assert!(matches!(world.fill(&lock), Ok(Outcome::Complete { .. })));
    let asked = world.server.requests();
    let escaped = "/debian/pool/main/plus_1.0%2Bb1%7Ex_amd64.deb";
    assert!(asked.iter().any(|path| path == escaped), "{asked:?}");
}

#[test]
fn packages_for_all_architectures_may_have_an_index_of_their_own() {
    let world = World::new();
    let (path, deb) = ("pool/main/common_1_all.deb", b"a package");
    let digest = Sha256Digest::of(deb);
    let paragraph = format!(
        "Package: common\nVersion: 1\nArchitecture: all\nFilename: {path}\nSize: 9\nSHA256: {digest}\n"
    );
    let files: [(&str, &[u8]); 1] = [("main/binary-all/Packages", paragraph.as_bytes())];
    publish_with(&world, &files, "");
    assert_eq!(world.locked(&["common"]).packages["common"].path, path);
    // Debian's archives list them in both, and say that they do.
    publish_with(&world, &files, "No-Support-for-Architecture-all: Packages\n");
    assert!(world.lock(&["common"], None, &Policy::Keep).is_err());
}

#[test]
fn a_missing_suite_is_named() {
    let world = World::new();
    world.server.plant("trixie-security/InRelease", Fault::Status(404, 1));
    assert_eq!(
        world.refusal(),
        format!(
            "error: cannot fetch dists/trixie-security/InRelease from MIRROR/debian-security: the server answered 404 Not Found{LATER}"
        )
    );
}

#[test]
fn no_mirror_at_all_is_told_from_a_broken_one() {
    let world = World::new();
    let nowhere = Mirrors::choose(Some("http://127.0.0.1:1/debian"), None, Path::new("/")).unwrap();
    let anchors = world.archive.signer.anchors();
    let error = Archives::load(world.cache.path(), &nowhere, &World::fetcher(), &anchors, 0);
    assert_eq!(
        error.unwrap_err().to_string(),
        "error: cannot fetch dists/trixie/InRelease from http://127.0.0.1:1/debian: it refuses the connection\nhint: is there a network? `--mirror URL` names another mirror, and `--mirror file:///...` a local one"
    );
}

#[test]
fn passing_trouble_passes() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    for fault in [
        Fault::Status(500, 2),
        Fault::Status(429, 1),
        Fault::CutOff(2),
        Fault::Slow(Duration::from_secs(5), 1),
    ] {
        world.server.plant("app_1.0-1_amd64.deb", fault.clone());
        let outcome = world.fill(&lock);
        assert!(matches!(outcome, Ok(Outcome::Complete { .. })), "{fault:?}: {outcome:?}");
        std::fs::remove_dir_all(world.cache.path().join("pool")).unwrap();
    }
}

/// As the snapshot archive answers, and mirrors that are many machines.
#[test]
fn an_answer_may_lead_elsewhere() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    let file = "app_1.0-1_amd64.deb";
    let from = world.archive.root().join("debian/pool/main").join(file);
    let elsewhere = Path::new("elsewhere/one.deb");
    world.archive.put(elsewhere, &std::fs::read(from).unwrap());
    let other = Server::start(world.archive.root());
    for to in ["/elsewhere/one.deb".to_owned(), format!("{}/elsewhere/one.deb", other.url())] {
        world.server.plant(file, Fault::Redirect(to.clone()));
        let outcome = world.fill(&lock);
        assert!(matches!(outcome, Ok(Outcome::Complete { .. })), "{to}: {outcome:?}");
        std::fs::remove_dir_all(world.cache.path().join("pool")).unwrap();
    }
    world.server.plant(file, Fault::Redirect(format!("/debian/pool/main/{file}")));
    let error = world.words(&world.fill(&lock).unwrap_err());
    assert_eq!(
        error,
        format!(
            "error: cannot fetch pool/main/{file} from MIRROR/debian: it redirects more than 5 times{LATER}"
        )
    );
}

#[test]
fn lasting_trouble_is_told() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    let size = lock.packages["app"].size;
    let what = "error: cannot fetch pool/main/app_1.0-1_amd64.deb from MIRROR/debian";
    let long = vec![0; size as usize + 1];
    let cases = [
        (
            Fault::Status(503, 99),
            "the server answered 503 Service Unavailable (3 attempts)".to_owned(),
        ),
        (Fault::Status(403, 99), "the server answered 403 Forbidden".to_owned()),
        (
            Fault::CutOff(99),
            format!("the connection broke off after {} bytes (3 attempts)", size / 2),
        ),
        (
            Fault::Stall(Duration::from_secs(5), 99),
            format!("the connection fell silent after {} bytes (3 attempts)", size / 2),
        ),
        (Fault::Body(b"x".to_vec()), format!("the file ends after 1 of {size} bytes (3 attempts)")),
        (Fault::Body(long), format!("the file is longer than {size} bytes")),
    ];
    for (fault, why) in cases {
        world.server.plant("app_1.0-1_amd64.deb", fault);
        let error = world.fill(&lock).unwrap_err();
        assert_eq!(world.words(&error), format!("{what}: {why}{LATER}"));
    }
    world.server.plant("app_1.0-1_amd64.deb", Fault::Slow(Duration::from_secs(5), 99));
    assert_eq!(
        world.words(&world.fill(&lock).unwrap_err()),
        format!(
            "{what}: it does not answer in time (3 attempts)\nhint: is there a network? `--mirror URL` names another mirror, and `--mirror file:///...` a local one"
        )
    );
    let left: Vec<_> =
        std::fs::read_dir(world.cache.path().join("pool")).unwrap().flatten().collect();
    assert!(left.len() <= 1, "nothing half-made is left: {left:?}");
}

#[test]
fn another_file_than_the_locked_one_is_refused() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    let app = &lock.packages["app"];
    let other = vec![b'x'; app.size as usize];
    world.server.plant("app_1.0-1_amd64.deb", Fault::Body(other.clone()));
    assert_eq!(
        world.words(&world.fill(&lock).unwrap_err()),
        format!(
            "error: MIRROR/debian has another pool/main/app_1.0-1_amd64.deb than the one locked\n  locked: {}\n  found:  {}\nhint: the file was damaged or replaced on its way: name another mirror with `--mirror URL`",
            app.sha256,
            imagebuild::fs::Sha256Digest::of(&other)
        )
    );
}

#[test]
fn a_damaged_file_of_the_cache_is_removed() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    world.fill(&lock).unwrap();
    let (pool, app) = (world.pool(&lock), &lock.packages["app"]);
    std::fs::write(pool.path(app), vec![0; app.size as usize]).unwrap();
    assert_eq!(
        pool.open_verified(app).unwrap_err().to_string(),
        "error: the file of app 1.0-1 in the cache was damaged and is removed\nhint: run the same command again: it is fetched anew"
    );
    assert!(matches!(world.fill(&lock).unwrap(), Outcome::Complete { fetched: 1, .. }));
    pool.open_verified(app).unwrap();
}

#[test]
fn what_vanished_is_in_the_snapshot_or_is_reported() {
    let world = World::new();
    let lock = world.locked(&["app"]);
    let path = Path::new("debian/pool/main/app_1.0-1_amd64.deb");
    let deb = std::fs::read(world.archive.root().join(path)).unwrap();
    world.archive.remove(path);
    assert_eq!(world.fill(&lock).unwrap(), Outcome::Vanished(vec![lock.packages["app"].clone()]));

    let stamp = date::snapshot(lock.date_of("debian").unwrap() + 6 * 3600);
    let old = format!("snapshot/debian/{stamp}/pool/main/app_1.0-1_amd64.deb");
    world.archive.put(Path::new(&old), &deb);
    assert!(matches!(world.fill(&lock).unwrap(), Outcome::Complete { fetched: 1, .. }));
}

#[test]
fn a_lock_stays_until_it_is_moved() {
    let mut world = World::new();
    let mut old = world.locked(&["app", "base"]);
    assert_eq!(Some(old.epoch), old.newest_date());
    // As if made an hour before: the time of files moves with all packages only.
    old.epoch -= 3600;
    world.archive.forget("trixie", "lib");
    world.archive.add("trixie-security", "lib 1.0-1+deb13u1");
    world.archive.add("trixie-updates", "base 2");
    world.archive.publish();

    let (kept, changes) = world.lock(&["app", "base"], Some(&old), &Policy::Keep).unwrap();
    assert_eq!((changes.as_str(), &kept), ("", &old));
    let (more, changes) = world
        .lock(&["app", "base", "kernel", builtin::INITRAMFS], Some(&old), &Policy::Keep)
        .unwrap();
    assert_eq!(changes, "imagebuild-initramfs 1 (new), kernel 6 (new)");
    assert_eq!((version(&more, "base"), version(&more, "lib")), ("1", "1.0-1"));
    assert!(more.packages["lib"].last_seen.is_some(), "no index lists it any more");
    assert_eq!(more.packages["base"].last_seen, None, "trixie still lists it");

    let one = Policy::Update("lib".to_owned());
    let (one, changes) = world.lock(&["app", "base"], Some(&old), &one).unwrap();
    assert_eq!(changes, "lib 1.0-1 -> 1.0-1+deb13u1 (security)");
    assert_eq!(one.packages["lib"].archive, "debian-security");
    assert_eq!((one.epoch, more.epoch), (old.epoch, old.epoch));
    let (all, changes) = world.lock(&["app", "base"], Some(&old), &Policy::UpdateAll).unwrap();
    assert_eq!(changes, "base 1 -> 2, lib 1.0-1 -> 1.0-1+deb13u1 (security)");
    assert_eq!(Some(all.epoch), all.newest_date());
    let (_, changes) = world.lock(&["app"], Some(&old), &Policy::Keep).unwrap();
    assert_eq!(changes, "base 1 (removed)");
    let error = world.lock(&["app"], Some(&old), &Policy::Update("lip".to_owned())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error: the lock holds no package `lip`\nhint: did you mean `lib`?"
    );
}

#[test]
fn what_fits_together_moves_together() {
    let mut world = World::new();
    world.archive.add("trixie", "server 1; Depends: server-core (= 1)");
    world.archive.add("trixie", "server-core 1");
    world.archive.publish();
    let old = world.locked(&["server", "app"]);
    world.archive.add("trixie-security", "server 2; Depends: server-core (= 2)");
    world.archive.add("trixie-security", "server-core 2");
    world.archive.add("trixie-security", "app 2; Depends: lib");
    for listed in [true, false] {
        if !listed {
            world.archive.forget("trixie", "server");
            world.archive.forget("trixie", "server-core");
        }
        world.archive.publish();
        for name in ["server", "server-core"] {
            let policy = Policy::Relock(vec![name.to_owned()]);
            let (_, changes) = world.lock(&["server", "app"], Some(&old), &policy).unwrap();
            assert_eq!(
                changes, "server 1 -> 2 (security), server-core 1 -> 2 (security)",
                "{name}"
            );
        }
    }
}

/// A choice that fell out differently in two sets stays a choice when the version that
/// had it has left the archive: a set is still answered as apt would.
#[test]
fn a_choice_stays_a_choice() {
    let mut world = World::new();
    world.archive.add("trixie", "awk-user 1; Depends: small-awk | awk");
    world.archive.add("trixie", "small-awk 1; Provides: awk");
    world.archive.add("trixie", "large-awk 1; Provides: awk; Conflicts: small-awk");
    world.archive.publish();
    let mut requests = requests(&["awk-user"]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    requests.sets.insert("arch1/other".to_owned(), names(&["large-awk", "awk-user"]));
    let resolve = |world: &World, requests: &Requests, old: Option<&Lock>| {
        let archives = world.load().unwrap();
        update::resolve(&archives, requests, old, &Policy::Keep).unwrap().0
    };
    let old = resolve(&world, &requests, None);
    assert_eq!(old.packages["awk-user"].depends, ["large-awk", "small-awk"]);

    world.archive.forget("trixie", "awk-user");
    world.archive.add("trixie", "awk-user 2; Depends: small-awk (>= 1) | awk");
    world.archive.publish();
    for set in ["arch1/web1", "arch1/other"] {
        requests.sets.get_mut(set).unwrap().push("lib".to_owned());
    }
    let lock = resolve(&world, &requests, Some(&old));
    assert_eq!(version(&lock, "awk-user"), "1");
    assert_eq!(lock.sets["arch1/web1"].packages, ["awk-user", "lib", "small-awk"]);
    assert_eq!(lock.sets["arch1/other"].packages, ["awk-user", "large-awk", "lib"]);
}

#[test]
fn a_file_that_is_listed_but_nowhere_is_an_error() {
    let world = World::new();
    let old = world.locked(&["app"]);
    let policy = Policy::Relock(vec!["app".to_owned()]);
    assert_eq!(
        world.lock(&["app"], Some(&old), &policy).unwrap_err().to_string(),
        "error: the index lists app 1.0-1, but no mirror has its file\nhint: the mirror is incomplete: name another with `--mirror URL`, or try again later"
    );
}

#[test]
fn an_unknown_package_names_the_set() {
    let world = World::new();
    assert_eq!(
        world.lock(&["apq"], None, &Policy::Keep).unwrap_err().to_string(),
        "error: the set arch1/web1: there is no package `apq`\nhint: did you mean `app`?"
    );
}
