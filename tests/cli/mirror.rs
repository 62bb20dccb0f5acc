//! Mirrors that fail, lag or lie.

use crate::fixture::server::{Fault, Server};
use crate::world::World;
use imagebuild::lock::date;
use std::path::Path;
use std::time::Duration;

const LATER: &str = "hint: try again later, or name another mirror with `--mirror URL`\n";
const NO_NETWORK: &str = "hint: is there a network? `--mirror URL` names another mirror, and `--mirror file:///...` a local one\n";
const NOT_GOOD: &str = "hint: the file was changed on its way, or this is not the archive it claims to be; `--keyring FILE` names other keys, `--mirror URL` another mirror\n";

/// What `lock` says when trixie's InRelease is this.
fn lock_with_inrelease(world: &World, text: &str, stderr: &str) {
    world.archive.put(Path::new("debian/dists/trixie/InRelease"), text.as_bytes());
    world.cli("lock").stderr(stderr).code(3);
    assert!(!world.path("project/imagebuild.lock").exists());
}

#[test]
fn no_network() {
    let world = World::new();
    let refused = "it refuses the connection";
    world
        .bare("lock --mirror http://127.0.0.1:1/debian")
        .stderr(&format!(
            "error: cannot fetch dists/trixie/InRelease from http://127.0.0.1:1/debian: {refused}\n{NO_NETWORK}"
        ))
        .code(3);
    world.cli("lock --quiet").code(0);
    let said = world.bare("arch1 --quiet --mirror http://127.0.0.1:1/debian").run();
    assert!(said.stderr.starts_with("error: cannot fetch pool/main/"), "{}", said.text());
    assert!(said.stderr.ends_with(&format!("{refused}\n{NO_NETWORK}")), "{}", said.text());
    assert_eq!((said.stdout.as_str(), said.code), ("", 3));
    assert_eq!(world.list("store/pool"), [""; 0]);
}

/// Proxies refuse tunnels to port 80: they want to be asked for the whole URL.
#[test]
fn a_proxy_is_asked_for_whole_urls() {
    let world = World::new();
    let lock = "lock --quiet --keyring ../key.asc --mirror http://deb.invalid/debian";
    let proxy = world.server.url().to_owned();
    world.bare(lock).env("http_proxy", &proxy).code(0);
    let asked = world.server.requests();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|path| path.starts_with("http://deb.invalid/debian")), "{asked:?}");
    // In whose words its name is unknown depends on the machine.
    let direct = world.bare(lock).env("http_proxy", &proxy).env("no_proxy", ".invalid").run();
    assert!(direct.stderr.ends_with(NO_NETWORK), "{}", direct.text());
    assert_eq!(direct.code, 3);
    world
        .bare(lock)
        .env("http_proxy", "socks5://me:secret@proxy:1080")
        .stderr("error: http_proxy names no HTTP proxy\nhint: write it as http://proxy:3128, or set no_proxy for the mirror's host\n")
        .code(2);
    assert_eq!(world.server.requests(), [""; 0]);
}

#[test]
fn a_certificate_that_the_machine_trusts() {
    let world = World::new();
    let (server, certificate) = Server::start_tls(world.archive.root());
    world.put("own-ca.pem", &certificate);
    let lock = format!("lock --quiet --keyring ../key.asc --mirror {}/debian", server.url());
    let trusted = world.path("own-ca.pem").display().to_string();
    world.bare(&lock).env("SSL_CERT_FILE", &trusted).code(0);
    // It does not change while one waits: there is no second attempt.
    let said = world.bare(&lock).run();
    assert_eq!(
        said.stderr.replace(server.url(), "MIRROR"),
        "error: cannot fetch dists/trixie/InRelease from MIRROR/debian: its certificate is not accepted: nobody whom this machine trusts has signed it\nhint: whose certificate is it? Where a CA of your own signs, install its certificate (`update-ca-certificates`), or name it with SSL_CERT_FILE\n"
    );
    assert_eq!(said.code, 3);
}

#[test]
fn no_such_mirror() {
    let world = World::new();
    world
        .bare("lock --mirror ftp://127.0.0.1/debian")
        .stderr("error: `ftp://127.0.0.1/debian` cannot be used as a mirror\nhint: a mirror is an http://, https:// or file:/// URL, such as http://ftp.debian.org/debian\n")
        .code(2);
    let nowhere = "error: cannot fetch dists/trixie/InRelease from file:///nowhere/debian: there is no such file\n";
    world.bare("lock --mirror file:///nowhere/debian").stderr(&format!("{nowhere}{LATER}")).code(3);
}

#[test]
fn a_local_folder_is_a_mirror() {
    let world = World::new();
    let mirror = format!("file://{}/debian", world.archive.root().display());
    let line = format!("arch1 --quiet --keyring ../key.asc --mirror {mirror}");
    world.bare(&line).stdout("out/arch1-web1.qcow2\n").code(0);
    assert_eq!(world.server.requests(), [""; 0]);
}

#[test]
fn nothing_there() {
    let world = World::new();
    world.server.plant("InRelease", Fault::Status(404, 9));
    world
        .cli("lock")
        .stderr(&format!(
            "error: cannot fetch dists/trixie/InRelease from MIRROR/debian: the server answered 404 Not Found\n{LATER}"
        ))
        .code(3);
}

/// The program waits between its attempts, so these wait at the same time.
#[test]
fn trouble_that_lasts_and_trouble_that_passes() {
    let lasting = [
        (Fault::Status(500, 99), "the server answered 500 Internal Server Error"),
        (Fault::CutOff(99), "the connection broke off after SIZE bytes"),
    ];
    let passing = [Fault::Status(503, 1), Fault::CutOff(1), Fault::Slow(Duration::from_secs(2), 1)];
    std::thread::scope(|scope| {
        for (fault, why) in lasting {
            scope.spawn(move || trouble(fault, Some(why)));
        }
        for fault in passing {
            scope.spawn(move || trouble(fault, None));
        }
    });
}

fn trouble(fault: Fault, why: Option<&str>) {
    let world = World::locked();
    let file = "pool/main/kmod_1_amd64.deb";
    let half = world.archive.root().join("debian").join(file).metadata().unwrap().len() / 2;
    world.server.plant("kmod_1_amd64.deb", fault);
    let cli = world.cli("arch1 --quiet");
    let Some(why) = why else { return cli.stdout("out/arch1-web1.qcow2\n").code(0) };
    let why = why.replace("SIZE", &half.to_string());
    cli.stderr(&format!(
        "error: cannot fetch {file} from MIRROR/debian: {why} (4 attempts)\n{LATER}"
    ))
    .code(3);
    assert!(world.list("store/pool").iter().all(|name| name.ends_with(".deb")));
}

#[test]
fn unsigned() {
    let world = World::new();
    lock_with_inrelease(
        &world,
        &world.archive.release("trixie"),
        "error: MIRROR/debian/dists/trixie/InRelease is not signed: it does not start with `-----BEGIN PGP SIGNED MESSAGE-----`\nhint: nothing unsigned is believed; is this a Debian mirror? `--mirror URL` names another\n",
    );
}

#[test]
fn signed_by_a_stranger() {
    let world = World::new();
    let stranger = crate::fixture::Signer::new();
    lock_with_inrelease(
        &world,
        &stranger.sign(&world.archive.release("trixie")),
        &format!(
            "error: MIRROR/debian/dists/trixie/InRelease has no good signature by a trusted key\n  signed by {}, which is not trusted\n  trusted: ../key.asc\n{NOT_GOOD}",
            stranger.fingerprint()
        ),
    );
}

#[test]
fn signed_but_not_by_debian() {
    let world = World::new();
    let mirror = format!("{}/debian", world.server.url());
    let said = world.bare(&format!("lock --mirror {mirror}")).run();
    let fingerprint = world.archive.signer.fingerprint();
    assert_eq!(
        said.stderr,
        format!(
            "error: MIRROR/debian/dists/trixie/InRelease has no good signature by a trusted key\n  signed by {fingerprint}, which is not trusted\n  trusted: Debian's archive keys\n{NOT_GOOD}"
        )
    );
}

#[test]
fn out_of_date() {
    let mut world = World::new();
    let now = world.archive.now;
    world.archive.now = now - 30 * 86_400;
    world.archive.publish();
    let said = world.cli("lock").run();
    let until = date::rfc3339(now - 23 * 86_400);
    let start = format!(
        "error: MIRROR/debian/dists/trixie/InRelease is out of date: it was valid until {until}, now is "
    );
    assert!(said.stderr.starts_with(&start), "{}", said.text());
    assert!(said.stderr.ends_with("\nhint: the mirror is stale, or this machine's clock is wrong; `--mirror URL` names another mirror\n"));
    assert_eq!((said.stdout.as_str(), said.code), ("", 3));
}

#[test]
fn an_index_that_is_not_the_signed_one() {
    let world = World::new();
    let index = "debian/dists/trixie/main/binary-amd64";
    let mut bytes = std::fs::read(world.archive.root().join(index).join("Packages.xz")).unwrap();
    bytes[40] ^= 1;
    std::fs::remove_dir_all(world.archive.root().join(index).join("by-hash")).unwrap();
    world.archive.put(&Path::new(index).join("Packages.xz"), &bytes);
    world
        .cli("lock")
        .stderr("error: MIRROR/debian/dists/trixie/main/binary-amd64/Packages.xz is not the file that the signed InRelease names: its SHA-256 differs\nhint: the mirror is being updated, or something on the way changes files: try again in some minutes, or name another mirror with `--mirror URL`\n")
        .code(3);
    assert_eq!(world.list("store/indexes").len(), 0);
}

#[test]
fn waiting_is_told() {
    let world = World::locked();
    world.server.plant("kmod_1_amd64.deb", Fault::Status(503, 1));
    let said = world.cli("arch1").run();
    let waiting = "     Waiting for pool/main/kmod_1_amd64.deb: the server answered 503 Service Unavailable; attempt 2 of 4 follows\n";
    assert!(said.stderr.starts_with(waiting), "{}", said.text());
    assert_eq!(said.code, 0);
}
