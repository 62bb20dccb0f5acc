//! A small project with an archive of its own, a server for it, a store and a folder
//! for images: all below one folder that ends with the test.

use crate::closure;
use crate::fixture::Archive;
use crate::fixture::server::Server;
use crate::harness::{self, Cli};
use imagebuild::spec::{Spec, Tree};
use std::collections::BTreeSet;
use std::path::PathBuf;

const BASE: &str = r#"description = "all servers"
packages = ["linux-image-cloud-amd64"]
"#;

const VALIDATOR: &str = r#"
[[validators]]
argv = ["/usr/bin/sh", "-c", "read -r word </etc/motd && [ $word = welcome ]"]
covers = ["/etc/motd"]
"#;

const IMAGE: &str = r#"title = "one server"

[networks.private]
interface = "eth1"
v4 = "192.168.0.0/24"
v6 = "2001:db8:0:1::/64"

[servers.web1]
roles = ["base"]
[servers.web1.addresses.private]
v4 = "192.168.0.11"
v6 = "2001:db8:0:1::11"

[endpoints]
reads = { from = ["local"] }
writes = { from = ["local"] }

[access]
admin = "admin"
ssh = ["private"]

[disk]
esp = "4M"
packages = "4M"
configuration = "4M"
seed = "1M"
state = "4M"
smallest = "64M"
"#;

/// A project, an archive, a store.
pub(crate) struct World {
    pub(crate) archive: Archive,
    pub(crate) server: Server,
    folder: tempfile::TempDir,
}

impl World {
    /// A project with the architecture `arch1` of the server `web1`, and all that
    /// its build needs.
    pub(crate) fn new() -> World {
        World::with_project(World::without_project(&[]))
    }

    /// The same, with a fault in a program of the tools closure.
    pub(crate) fn broken(fault: (&str, &str)) -> World {
        let world = World::with_changed_tools(fault);
        world.cli("lock --quiet").code(0);
        world
    }

    fn with_changed_tools(change: (&str, &str)) -> World {
        let mut archive = Archive::new();
        closure::add_changed(&mut archive, change);
        World::with_project(World::with_archive(archive))
    }

    /// With a lock, and a plan in which every kind of step is: the server has a file that
    /// a program judges, with the shell that the packages bring.
    pub(crate) fn with_every_step() -> World {
        let world = World::with_changed_tools(closure::WITH_A_SHELL);
        world.put("project/overlays/base/etc/motd", "welcome\n");
        world.put("project/roles/base.toml", &format!("{BASE}{VALIDATOR}"));
        world.cli("lock --quiet").code(0);
        world
    }

    fn with_project(world: World) -> World {
        world.put("project/roles/base.toml", BASE);
        world.put("project/images/arch1.toml", IMAGE);
        world.put("project/overlays/initramfs/init", "#!/bin/sh\n");
        world.put("project/overlays/grub/grub.cfg", "boot\n");
        world
    }

    /// An empty folder in place of the project, and an archive of (empty) packages for
    /// all that the built-in project asks for.
    pub(crate) fn built_in() -> World {
        let spec = Spec::load(Tree::embedded()).unwrap();
        let servers = spec.architectures.values().flat_map(|a| a.servers.values());
        let names: BTreeSet<&str> = servers.flat_map(|server| spec.packages(server)).collect();
        World::without_project(&names.into_iter().collect::<Vec<_>>())
    }

    fn without_project(packages: &[&str]) -> World {
        let mut archive = Archive::new();
        let there = closure::add_to(&mut archive);
        for name in packages.iter().filter(|name| !there.iter().any(|there| there == *name)) {
            archive.add("trixie", &format!("{name} 1"));
        }
        World::with_archive(archive)
    }

    fn with_archive(archive: Archive) -> World {
        archive.publish();
        let server = Server::start(archive.root());
        let world = World { archive, server, folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.path("project")).unwrap();
        world.put("key.asc", &world.archive.signer.public());
        world
    }

    /// The same, with a lock.
    pub(crate) fn locked() -> World {
        let world = World::new();
        assert_eq!(world.cli("lock --quiet").run().text(), "stdout:\nstderr:\nexit code 0\n");
        world
    }

    /// A path below the test's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(path)
    }

    /// Writes a file.
    pub(crate) fn put(&self, path: &str, text: &str) {
        self.put_bytes(path, text.as_bytes());
    }

    /// Writes a file that is not text.
    pub(crate) fn put_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Reads a file.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// Replaces `from` by `to` in a file.
    pub(crate) fn change(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from}");
        self.put(path, &text.replacen(from, to, 1));
    }

    /// imagebuild with these arguments, in the project's folder, with the archive.
    pub(crate) fn cli(&self, line: &str) -> Cli {
        let mirror = format!("{}/debian", self.server.url());
        self.bare(line)
            .args(&format!("--mirror {mirror} --snapshot-mirror none --keyring ../key.asc"))
    }

    /// The same, without any archive.
    pub(crate) fn bare(&self, line: &str) -> Cli {
        harness::cli(self.folder.path())
            .dir(&self.path("project"))
            .name(self.server.url(), "MIRROR")
            .env("IMAGEBUILD_STORE", self.path("store").to_str().unwrap())
            .args(line)
    }

    /// Names of all that is in a folder, sorted.
    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else { return Vec::new() };
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }
}
