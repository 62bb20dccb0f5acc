//! A reference tree: what the real apt and dpkg make of the same `.deb`s, in the
//! sequence of mmdebstrap(1): the essential packages extracted and installed, then
//! `apt-get install` of what the spec asks for, in apt's own order.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

pub(crate) mod compare;

use crate::project::{Project, Scratch};
use imagebuild::lock::file::{ESSENTIAL, LockedPackage};
use imagebuild::lock::{Ids, deb};
use imagebuild::plan::step::Step;
use imagebuild::rootfs::{finish, ids};
use imagebuild::sandbox::{ListedFile, Op, Root, Sandbox, listing_from_json};
use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};

/// apt outside of the tree, dpkg inside: as mmdebstrap runs them. The repository
/// stands in the tree, because dpkg must see it from there.
const APT_CONF: &str = r#"Dir "/target";
Dir::Etc "/apt";
Dir::State::status "/target/var/lib/dpkg/status";
DPkg::Chroot-Directory "/target";
DPkg::Use-Pty "false";
APT::Architecture "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
"#;
const REPOSITORY: &str = "var/cache/apt/repository";

/// Extracts the essential packages, as apt names and orders them; /proc is not there yet, as
/// it cannot be written to.
const EXTRACT: &str = r#"
names=$(apt-get -s install '?essential' | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
files=
for name in base-files $names; do
    file=$(sed -n "s/^Filename: $name //p" /target/var/cache/apt/repository/Names)
    dpkg-deb --extract "/target/var/cache/apt/repository/$file" /target
    [ "$name" = base-files ] || files="$files /var/cache/apt/repository/$file"
done
echo "$files" >/tmp/files
"#;

/// Installs them.
const INSTALL: &str = r#"
base=$(sed -n "s/^Filename: base-files //p" /target/var/cache/apt/repository/Names)
chroot /target dpkg --force-depends --install "/var/cache/apt/repository/$base" $(cat /tmp/files)
"#;

/// The tree of the essential packages, from which those of all servers go on: apt makes it of
/// the same packages, in the same order, for each of them.
pub(crate) struct Essentials(Scratch);

impl Essentials {
    /// Makes it of what a server (its architecture and its name) has.
    pub(crate) fn make(project: &Project, server: (&str, &str), tools: &Path) -> Essentials {
        let folder = scratch();
        let sandbox = prepare(project, server, tools, folder.path());
        let sandbox = script(sandbox, EXTRACT).op(Op::PrepareChroot { tree: "/target".into() });
        let sandbox = script(sandbox, INSTALL).op(Op::ReleaseChroot { tree: "/target".into() });
        let sandbox = script(sandbox, &format!("rm -r /target/{REPOSITORY}"));
        sandbox.execute().unwrap_or_else(|error| panic!("{error}"));
        Essentials(folder)
    }
}

/// A reference tree, in a folder that ends with this value.
pub(crate) struct Reference {
    folder: Scratch,
}

impl Reference {
    /// Makes the tree of a server (its architecture and its name).
    pub(crate) fn make(
        project: &Project,
        server: (&str, &str),
        tools: &Path,
        essentials: &Essentials,
    ) -> Reference {
        let folder = scratch();
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(&tree).unwrap();
        Sandbox::new(Root::ReadOnly(tools.to_owned()), 0)
            .bind(essentials.0.path().join("tree"), "/essentials")
            .bind_writable(&tree, "/target")
            .op(Op::Copy { from: "/essentials".into(), into: "/target".into() })
            .execute()
            .unwrap_or_else(|error| panic!("{error}"));
        let sandbox = prepare(project, server, tools, folder.path());
        let sandbox = sandbox.op(Op::PrepareChroot { tree: "/target".into() });
        let sandbox = install(sandbox, project, server);
        let sandbox = finish(sandbox, folder.path()).unwrap();
        sandbox.execute().unwrap_or_else(|error| panic!("{error}"));
        Reference { folder }
    }

    /// The tree's folder.
    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// What is in it, after the exceptions.
    pub(crate) fn listing(&self) -> Vec<ListedFile> {
        listing_from_json(&self.folder.path().join("listing.json")).unwrap()
    }
}

/// In memory: dpkg waits for the disk after each package.
fn scratch() -> Scratch {
    Scratch::quick(8 << 30)
}

fn packages<'a>(
    project: &'a Project,
    (architecture, name): (&str, &str),
) -> Vec<&'a LockedPackage> {
    project.lock.set(&format!("{architecture}/{name}")).unwrap()
}

/// The `.deb`s and their index; gives their sysusers.d files.
fn fill_repository(
    pool: &Path,
    folder: &Path,
    packages: &[&LockedPackage],
) -> Vec<(String, String)> {
    let (mut index, mut names, mut sysusers) = (String::new(), String::new(), Vec::new());
    for package in packages {
        let name = format!("{}.deb", package.sha256);
        let (from, to) = (pool.join(&name), folder.join(&name));
        std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop)).unwrap();
        let control = deb::control_files(File::open(&to).unwrap(), &package.name).unwrap();
        let control = String::from_utf8(control["control"].clone()).unwrap();
        let (size, sha256) = (package.size, package.sha256);
        writeln!(index, "{}\nFilename: ./{name}\nSize: {size}\nSHA256: {sha256}\n", control.trim())
            .unwrap();
        writeln!(names, "Filename: {} {name}", package.name).unwrap();
        let below = deb::files_below(File::open(&to).unwrap(), &package.name, "usr/lib/sysusers.d");
        for (path, bytes) in below.unwrap() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            sysusers.push((name, String::from_utf8(bytes).unwrap()));
        }
    }
    std::fs::write(folder.join("Packages"), index).unwrap();
    std::fs::write(folder.join("Names"), names).unwrap();
    sysusers
}

fn write_configuration(apt: &Path) {
    for folder in ["apt.conf.d", "preferences.d", "trusted.gpg.d", "sources.list.d"] {
        std::fs::create_dir_all(apt.join(folder)).unwrap();
    }
    std::fs::write(apt.join("apt.conf"), APT_CONF).unwrap();
    let source = format!("deb [trusted=yes] file:/target/{REPOSITORY} ./\n");
    std::fs::write(apt.join("sources.list"), source).unwrap();
}

fn ids_and_epoch(project: &Project, server: (&str, &str)) -> (Ids, u64) {
    let plan = project.plan_of(server.0, server.1);
    let found = plan.steps.iter().find_map(|planned| {
        let Step::Packages { ids, epoch, .. } = planned.step() else { return None };
        Some((ids.clone(), *epoch))
    });
    found.unwrap()
}

/// A sandbox for apt, with the tree of `folder` and a repository in it. What is the same for
/// both trees by design: no service starts, and users have the lock's numbers.
fn prepare(project: &Project, server: (&str, &str), tools: &Path, folder: &Path) -> Sandbox {
    let (tree, apt) = (folder.join("tree"), folder.join("apt"));
    let repository = tree.join(REPOSITORY);
    std::fs::create_dir_all(&repository).unwrap();
    let sysusers = fill_repository(&project.store.pool(), &repository, &packages(project, server));
    write_configuration(&apt);
    let (ids, epoch) = ids_and_epoch(project, server);
    let write = |path: String, text: String, mode| Op::Write { path: path.into(), text, mode };
    let policy = "#!/bin/sh\nexit 101\n".to_owned();
    let mut sandbox = Sandbox::new(Root::ReadOnly(tools.to_owned()), epoch)
        .bind_writable(&tree, "/target")
        .bind(&apt, "/apt");
    if !tree.join("var/lib/dpkg/status").exists() {
        sandbox = sandbox.op(write("/target/var/lib/dpkg/status".to_owned(), String::new(), 0o644));
    }
    sandbox = sandbox.op(write("/target/usr/sbin/policy-rc.d".to_owned(), policy, 0o755));
    for (name, text) in &sysusers {
        let text = ids::with_numbers(text, &ids);
        sandbox = sandbox.op(write(format!("/target/etc/sysusers.d/{name}"), text, 0o644));
    }
    let folders = "mkdir -p /target/var/lib/apt/lists/partial /target/var/cache/apt/archives/partial /target/var/log/apt; apt-get -q update";
    script(sandbox, folders)
}

/// A step of the sandbox that apt's configuration is told to.
fn script(sandbox: Sandbox, text: &str) -> Sandbox {
    sandbox.program(["sh", "-e", "-c", text], &[("APT_CONFIG", "/apt/apt.conf")], true)
}

fn install(sandbox: Sandbox, project: &Project, server: (&str, &str)) -> Sandbox {
    let (ids, _) = ids_and_epoch(project, server);
    let mut sandbox = sandbox;
    if packages(project, server).iter().any(|package| package.name == "adduser") {
        sandbox = script(sandbox, "apt-get -y install adduser");
        for (name, map) in [("users", &ids.users), ("groups", &ids.groups)] {
            let path = format!("/target/run/imagebuild/{name}").into();
            sandbox = sandbox.op(Op::Write { path, text: ids::pool(map), mode: 0o644 });
        }
        let pools = "cp -p /target/etc/adduser.conf /target/run/imagebuild/adduser.conf\nprintf 'UID_POOL=\"/run/imagebuild/users\"\\nGID_POOL=\"/run/imagebuild/groups\"\\n' >>/target/etc/adduser.conf";
        sandbox = script(sandbox, pools);
    }
    let requests = &project.lock.sets[&format!("{}/{}", server.0, server.1)].requests;
    let names: Vec<&str> =
        requests.iter().map(String::as_str).filter(|name| *name != ESSENTIAL).collect();
    script(sandbox, &format!("apt-get -y install {}", names.join(" ")))
}
