//! Maintainer scripts that fail, run by a real dpkg: that of the project's own tools
//! closure, whose packages the pool must have or the network give.

use crate::closure::{self, Entry};
use crate::harness::Transcript;
use crate::world::World;

/// A world with a real dpkg, in which the server also has the package `site`.
pub(crate) fn with_site(scripts: &[(&str, &str)], fields: &str) -> World {
    let mut world = World::new();
    closure::with_dpkg(&mut world.archive);
    let control = format!("Package: site\nVersion: 1.2\nArchitecture: amd64\n{fields}");
    let full = format!("{control}Maintainer: x\nDescription: x\n");
    let mut files: Vec<Entry> = vec![("control".to_owned(), 0o644, full.into())];
    let script = |(name, text): &(&str, &str)| ((*name).to_owned(), 0o755, (*text).into());
    files.extend(scripts.iter().map(script));
    world.archive.add_deb("trixie", &control, &closure::deb_with(&files, &[]));
    world.archive.publish();
    world.change("project/roles/base.toml", "cloud-amd64\"", "cloud-amd64\", \"site\"");
    world.cli("lock --quiet").code(0);
    world
}

#[test]
fn a_script_that_fails_is_shown_with_its_package() {
    let script = "#!/bin/sh\necho 'looking for the database'\necho 'there is none' >&2\nexit 3\n";
    let world = with_site(&[("postinst", script)], "");
    let said = world.cli("arch1 --quiet").run();
    assert_eq!((said.stdout.as_str(), said.code), ("", 1));
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(
        lines[0],
        "error: base: the package site cannot be installed: a maintainer script or dpkg itself failed: dpkg failed with exit code 1"
    );
    for line in [
        "  looking for the database",
        "  there is none",
        "  dpkg: error processing package site (--configure):",
    ] {
        assert!(lines.contains(&line), "{line}\n{}", said.stderr);
    }
    assert!(lines.last().unwrap().starts_with("hint: the lines above are its output; a package"));
    assert_eq!(world.list("store/tmp"), [""; 0]);
}

#[test]
fn a_script_has_no_network_and_asks_nobody() {
    let script = "#!/bin/sh\nread -r answer && exit 1\n[ \"$DEBIAN_FRONTEND\" = noninteractive ] || exit 5\nwhile read -r card; do case $card in *eth*) exit 4 ;; esac; done </proc/net/dev\n";
    let world = with_site(&[("postinst", script)], "");
    world.cli("arch1 --quiet").stdout("out/arch1-web1.qcow2\n").code(0);
}

/// It would hold the build's output open for ever, and go on changing the tree.
#[test]
fn a_script_that_leaves_a_daemon_does_not_hold_up_the_build() {
    let script = "#!/bin/sh\n(while :; do echo x >/var/lib/clock; sleep 0.1; done) &\necho started; exit 7\n";
    let world = with_site(&[("postinst", script)], "");
    let said = world.cli("arch1 --quiet").run();
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.lines().any(|line| line == "  started"), "{}", said.stderr);

    let script = script.replace("exit 7", "exit 0");
    let world = with_site(&[("postinst", &script)], "");
    world.cli("arch1 --quiet").stdout("out/arch1-web1.qcow2\n").code(0);
}

/// Packages of one's own that do not use adduser: their users have the lock's numbers, too.
#[test]
fn a_script_that_calls_useradd_gets_the_numbers_of_the_lock() {
    assert_eq!(making_users_with("useradd", "groupadd").code, 0);
    // By a path of its own it is not the shim.
    let said = making_users_with("/usr/sbin/useradd", "groupadd");
    assert_eq!(said.code, 1, "{}", said.text());
    assert!(said.stderr.contains("error: packages: `shop` got the number "), "{}", said.text());
}

fn making_users_with(useradd: &str, groupadd: &str) -> Transcript {
    let script = format!(
        "#!/bin/sh -e
cd /etc
[ -e passwd ] || echo root:x:0:0:root:/root:/bin/sh >passwd
[ -e group ] || echo root:x:0: >group
{useradd} --system --no-create-home shop
{groupadd} --system shop-data
"
    );
    let mut world = with_site(&[("postinst", &script)], "");
    let programs = ["usr/sbin/useradd", "usr/sbin/groupadd"];
    let control = "Package: accounts\nVersion: 1\nArchitecture: amd64\n";
    let full = format!("{control}Maintainer: x\nDescription: x\n");
    let files: [Entry; 1] = [("control".to_owned(), 0o644, full.into())];
    let deb = closure::deb_with(&files, &closure::more_from_tools(&programs));
    world.archive.add_deb("trixie", control, &deb);
    world.archive.publish();
    world.change("project/roles/base.toml", "\"site\"", "\"accounts\", \"site\"");
    let roles = world.read("project/roles/base.toml");
    let users = "users = [\"shop\"]\ngroups = [\"shop-data\"]\n";
    world.put(
        "project/roles/base.toml",
        &roles.replacen("packages", &format!("{users}packages"), 1),
    );
    world.cli("lock --quiet").code(0);
    world.cli("arch1 --quiet --locked").run()
}
