//! A site from its beginning: `init`, `schema`, packages from beside Debian's, and the
//! examples planned.

use crate::fixture::{Archive, Entry, deb};
use crate::harness::cli;
use crate::world::World;
use imagebuild::fs::Sha256Digest;
use std::path::Path;

const CONTROL: &str = "Package: shop-tools\nVersion: 1.0\nArchitecture: all\n";

#[test]
fn init_writes_once() {
    let home = tempfile::tempdir().unwrap();
    cli(home.path())
        .args("init")
        .stderr("       Wrote .gitignore: images and secrets stay out of git\n       Wrote site.toml: edit it, then `imagebuild plan arch4`\n")
        .code(0);
    let ignored = std::fs::read_to_string(home.path().join(".gitignore")).unwrap();
    assert_eq!(ignored, "/out/\n/secrets/\n");
    let written = std::fs::read_to_string(home.path().join("site.toml")).unwrap();
    assert!(written.contains("\n#name = \"Demo site\"\n"));
    std::fs::write(home.path().join("site.toml"), "name = \"Mine\"\n").unwrap();
    cli(home.path())
        .args("init")
        .stderr("error: there is a site.toml already\nhint: it stays as it is; `imagebuild init --print` shows what a new one would say\n")
        .code(2);
    assert_eq!(
        std::fs::read_to_string(home.path().join("site.toml")).unwrap(),
        "name = \"Mine\"\n"
    );
    cli(home.path()).args("init --print").stdout(&written).code(0);
    cli(home.path())
        .args("init --project away")
        .stderr("error: there is no folder away\nhint: make it first, or name another with `--project DIR`\n")
        .code(2);
}

#[test]
fn the_schema_is_the_repositorys() {
    let home = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let says = |args: &str, file: &str| {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        cli(home.path()).args(args).stdout(&text).code(0);
    };
    says("schema", "site.schema.json");
    says("schema site", "site.schema.json");
    for kind in ["architecture", "role", "scenario"] {
        says(&format!("schema {kind}"), &format!("docs/reference/{kind}.schema.json"));
    }
}

/// A world with an archive of the user's own: package `shop-widgets`, which needs
/// `shop-tools`, a file of the project.
fn with_shop() -> (World, Archive) {
    let world = World::new();
    let mut shop = Archive::new();
    shop.add("trixie", "shop-widgets 2.0; Depends: shop-tools");
    shop.publish();
    world.put("project/keys/shop.asc", &shop.signer.public());
    world.put_bytes("project/debs/shop-tools_1.0_all.deb", &tools("one"));
    world.put("project/site.toml", &site(&shop, "shop-widgets"));
    (world, shop)
}

fn tools(content: &str) -> Vec<u8> {
    let control = format!("{CONTROL}Description: x\n");
    deb(&control, &[("./", Entry::Folder), ("./shop", Entry::File(content))])
}

fn site(shop: &Archive, package: &str) -> String {
    let url = shop.root().join("debian");
    format!(
        "debs = [\"debs\"]\npackages = [\"{package}\"]\n\n[sources.shop]\nurl = \"file://{}\"\nsuite = \"trixie\"\nkey = \"keys/shop.asc\"\n",
        url.display()
    )
}

#[test]
fn an_archive_and_a_file_of_ones_own_are_locked_by_digest() {
    let (world, shop) = with_shop();
    world.cli("lock --quiet").code(0);
    let lock = world.read("project/imagebuild.lock");
    let digest = Sha256Digest::of(tools("one"));
    let local = format!(
        "archive = \"local\"\npath = \"debs/shop-tools_1.0_all.deb\"\nsha256 = \"{digest}\"\n"
    );
    assert!(lock.contains(&local), "{lock}");
    assert!(
        lock.contains("archive = \"shop\"\npath = \"pool/main/shop-widgets_2.0_amd64.deb\"\n"),
        "{lock}"
    );
    assert!(lock.contains("[[index]]\narchive = \"shop\"\nsuite = \"trixie\"\n"), "{lock}");
    assert!(!lock.contains(shop.root().to_str().unwrap()), "a host in the lock");
    let plan = world.cli("plan arch1 --locked").run();
    assert_eq!((plan.stderr.as_str(), plan.code), ("", 0));
    // Nothing moves while nothing changes.
    world
        .cli("lock")
        .stderr(
            "        Read the indexes of 37 packages\n   Unchanged imagebuild.lock is up to date\n",
        )
        .code(0);
}

#[test]
fn another_file_of_the_same_name_is_locked_anew_in_plain_sight() {
    let (world, _shop) = with_shop();
    world.cli("lock --quiet").code(0);
    world.put_bytes("project/debs/shop-tools_1.0_all.deb", &tools("two"));
    world
        .cli("plan arch1 --locked")
        .stderr("error: imagebuild.lock does not fit the spec\n  debs/shop-tools_1.0_all.deb is another file than the locked one\nhint: run `imagebuild lock` and look at what it changes, or leave `--locked` away\n")
        .code(2);
    // Who only looks changes no file.
    let before = world.read("project/imagebuild.lock");
    let said = world.cli("plan arch1").run();
    assert_eq!(said.code, 0, "{}", said.text());
    assert!(said.stderr.contains("Locking shop-tools 1.0 -> 1.0\n"), "{}", said.stderr);
    assert!(said.stderr.contains("a build would write imagebuild.lock\n"), "{}", said.stderr);
    assert_eq!(world.read("project/imagebuild.lock"), before);
    world.cli("lock --quiet").code(0);
    let digest = Sha256Digest::of(tools("two")).to_string();
    assert!(world.read("project/imagebuild.lock").contains(&digest));
    world.cli("plan arch1 --locked --quiet").run();
}

/// apt takes it with a warning, too.
#[test]
fn an_archive_may_call_its_suite_otherwise() {
    let (world, shop) = with_shop();
    let release = shop.release("trixie").replace("Suite: stable", "Suite: weekly");
    let release = release.replace("Codename: trixie\n", "");
    let file = Path::new("debian/dists/trixie/InRelease");
    shop.put(file, shop.signer.sign(&release).as_bytes());
    let said = world.cli("lock --quiet").run();
    assert_eq!(said.code, 0, "{}", said.text());
    let text = said.stderr.replace(&shop.root().display().to_string(), "SHOP");
    assert_eq!(
        text,
        "warning: file://SHOP/debian/dists/trixie/InRelease calls its suite `weekly` (), site.toml `trixie`: it is used all the same\n"
    );
}

#[test]
fn a_mistake_in_an_archive_matters_where_its_package_is_asked_for() {
    let (world, mut shop) = with_shop();
    shop.add_text("trixie", "Package: odd\nVersion: 1\nVersion: 2\n\n");
    shop.publish();
    world.cli("lock --quiet").code(0);
    world.put("project/site.toml", &site(&shop, "odd"));
    let said = world.cli("lock --quiet").run();
    let text = said.stderr.replace(&shop.root().display().to_string(), "SHOP");
    assert!(
        text.starts_with("error: the set arch1/web1: the field `Version` is there twice\n  --> file://SHOP/debian/dists/trixie/main/binary-amd64/Packages:"),
        "{text}"
    );
    assert_eq!(said.code, 3, "{}", said.text());
}

#[test]
fn an_archive_that_another_key_signed_is_refused() {
    let (world, shop) = with_shop();
    world.put("project/keys/shop.asc", &Archive::new().signer.public());
    let said = world.cli("lock --quiet").run();
    assert_eq!(said.code, 3, "{}", said.text());
    let shop = shop.root().display().to_string();
    let text = said.stderr.replace(&shop, "SHOP");
    assert!(text.contains("file://SHOP/debian/dists/trixie/InRelease"), "{text}");
    assert!(text.contains(" --> site.toml:4:10\n  |\n4 | [sources.shop]\n"), "{text}");
    assert!(!world.path("project/imagebuild.lock").exists());
}

#[test]
fn an_archive_that_site_toml_does_not_name_any_more() {
    let (world, _shop) = with_shop();
    world.cli("lock --quiet").code(0);
    world.put("project/site.toml", "packages = [\"shop-widgets\"]\n");
    let said = world.cli("plan arch1").run();
    assert_eq!(said.code, 2, "{}", said.text());
    assert!(
        said.stderr.contains("error: the set arch1/web1: there is no package `shop-widgets`\n --> site.toml:1:13\n  |\n1 | packages = [\"shop-widgets\"]\n"),
        "{}",
        said.stderr
    );
    world
        .cli("plan arch1 --locked")
        .stderr("error: imagebuild.lock does not fit the spec\n  shop-tools is from the archive local, which site.toml does not name\n  shop-widgets is from the archive shop, which site.toml does not name\nhint: run `imagebuild lock` and look at what it changes, or leave `--locked` away\n")
        .code(2);
}

#[test]
fn a_package_that_no_archive_has() {
    let (world, shop) = with_shop();
    world.put("project/site.toml", &site(&shop, "shop-widgetz"));
    world
        .cli("lock --quiet")
        .stderr(
            "error: the set arch1/web1: there is no package `shop-widgetz`
 --> site.toml:2:13
  |
2 | packages = [\"shop-widgetz\"]
  |             ^^^^^^^^^^^^^^
hint: did you mean `shop-widgets`? (or `shop-tools`)\n",
        )
        .code(2);
}

/// The folder `name` of examples/ as the world's project; its archive is the fixture's.
fn example(name: &str) -> (World, Archive) {
    let mut world = World::built_in();
    for package in ["htop", "shop-more"] {
        world.archive.add("trixie", &format!("{package} 1"));
    }
    world.archive.publish();
    let mut shop = Archive::new();
    shop.add("trixie", "shop-widgets 2.0");
    shop.publish();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    for entry in walkdir::WalkDir::new(&folder).into_iter().map(Result::unwrap) {
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            world.put_bytes(&format!("project/{below}"), &std::fs::read(entry.path()).unwrap());
        }
    }
    if world.path("project/keys/shop.asc").exists() {
        world.put("project/keys/shop.asc", &shop.signer.public());
        let url = format!("file://{}", shop.root().join("debian").display());
        world.change("project/site.toml", "https://packages.example.org/debian", &url);
        world.change("project/site.toml", "\"stable\"", "\"trixie\"");
    }
    (world, shop)
}

#[test]
fn the_examples_are_planned() {
    let cases = [
        ("own-addresses", &[("arch4", 3)][..]),
        ("ipv6-public-only", &[("arch6", 4)]),
        ("dhcp", &[("arch1", 2)]),
        ("hetzner-cloud", &[("arch1", 2), ("arch2", 2)]),
        ("third-vote", &[("arch3", 3)]),
        ("three-web-servers", &[("arch4", 4), ("arch6", 5)]),
        ("own-packages", &[("arch4", 3)]),
        ("own-role", &[("arch4", 3)]),
    ];
    let folders =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    let folders = folders.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), cases.len(), "an example that is not planned");
    for (name, architectures) in cases {
        let (world, _shop) = example(name);
        world.cli("lock --quiet").code(0);
        for (architecture, servers) in architectures {
            let said = world.cli(&format!("plan {architecture} --locked")).run();
            assert_eq!((said.stderr.as_str(), said.code), ("", 0), "{name} {architecture}");
            let planned = said.stdout.matches("plan for ").count();
            assert_eq!(planned, *servers, "{name} {architecture}");
        }
    }
}
