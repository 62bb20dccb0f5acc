//! An ordinary user with subordinate ids builds the same bytes as root; one without
//! gets one clear error. Users are made for the test, so it must run as root; when it
//! does not, it says so and checks nothing.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod project;

use imagebuild::exec::{Output, Program};
use project::{Project, Scratch};
use std::path::{Path, PathBuf};

/// A user of the host that ends with this value.
struct User {
    name: String,
}

impl User {
    fn new(purpose: &str, with_range: bool) -> User {
        let user = User { name: format!("ib-{purpose}-{}", std::process::id()) };
        // No range of useradd's own choosing: the test gives one, or none.
        let no_range = ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"];
        let home = ["--no-create-home", "--home-dir", "/nonexistent", &user.name];
        host("useradd").args(no_range).args(home).run().unwrap_or_else(|e| panic!("{e}"));
        if with_range {
            let range = ["--add-subuids", "3000000-3065535", "--add-subgids", "3000000-3065535"];
            host("usermod").args(range).arg(&user.name).run().unwrap_or_else(|e| panic!("{e}"));
        }
        user
    }

    /// Runs the program as this user.
    fn imagebuild(&self, args: &[&Path]) -> Output {
        let become_user = ["--reuid", &self.name, "--regid", &self.name, "--init-groups"];
        host("setpriv")
            .args(become_user)
            .arg(project::PROGRAM)
            .args(["--locked", "--quiet", "arch4", "--role", "web1"])
            .args(args)
            .dir("/")
            .output()
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // A user that stays does no harm.
        drop(host("userdel").arg(&self.name).run());
    }
}

/// A program of the host, for the test's own surroundings only.
fn host(name: &str) -> Program {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = folders.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    let program = Program::new(found.unwrap_or_else(|| panic!("this machine has no {name}")));
    program.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
}

/// A folder of the user's with a store that has the pool.
fn home(project: &Project, user: &User) -> Scratch {
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let store = scratch.path().join("store");
    project.empty_store(&store, &["arch4/web1", "tools/build"]);
    let ids = nix::unistd::User::from_name(&user.name).unwrap().unwrap();
    for folder in [scratch.path(), &store, &store.join("pool")] {
        std::os::unix::fs::chown(folder, Some(ids.uid.as_raw()), Some(ids.gid.as_raw())).unwrap();
    }
    scratch
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can make the users of this test");
    }
    root
}

fn arguments(home: &Scratch) -> [PathBuf; 6] {
    [
        "--project".into(),
        project::folder().into(),
        "--store".into(),
        home.path().join("store"),
        "--out".into(),
        home.path().join("out"),
    ]
}

#[test]
fn an_ordinary_user_builds_the_same_bytes() {
    if !is_root() {
        return;
    }
    let project = Project::open();
    let user = User::new("ranges", true);
    let home = home(&project, &user);
    let arguments = arguments(&home);
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let output = user.imagebuild(&arguments);
    assert_eq!(output.code, 0, "{}", String::from_utf8_lossy(&output.stderr));

    let roots = Scratch::new_in(&std::env::temp_dir());
    Program::new(project::PROGRAM)
        .args(["--locked", "--quiet", "arch4", "--role", "web1"])
        .args(["--store".as_ref(), project.store.root().as_os_str()])
        .args(["--out".as_ref(), roots.path().as_os_str()])
        .dir(project::folder())
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    for file in ["arch4-web1.json", "arch4-web1.qcow2"] {
        let [his, roots] = [home.path().join("out").join(file), roots.path().join(file)];
        let digest = |path: &Path| imagebuild::fs::digest_file(path).unwrap();
        assert_eq!(digest(&his), digest(&roots), "{file}");
    }

    // A damaged result, with files of subordinate ids in it, is taken away and made again.
    let packages = project.plan("web1");
    let key = packages.steps.iter().find(|p| p.step.name() == "packages").unwrap().key;
    let object = home.path().join("store/objects").join(key.to_string());
    std::fs::write(object.join("folders.json"), "{}").unwrap();
    std::fs::remove_file(home.path().join("out/arch4-web1.json")).unwrap();
    let output = user.imagebuild(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.code, left_in_tmp(&home)), (0, Vec::new()), "{said}");
}

fn left_in_tmp(home: &Scratch) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path().join("store/tmp")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn without_ranges_there_is_one_clear_error() {
    if !is_root() {
        return;
    }
    let project = Project::open();
    let user = User::new("none", false);
    let home = home(&project, &user);
    let arguments = arguments(&home);
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let output = user.imagebuild(&arguments);
    assert_eq!(output.code, 1);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: bootloader: /etc/subuid gives you no range of 65535 subordinate ids\n\
         hint: either run as root, or install the package `uidmap` and give your user a range: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`\n"
    );
    assert_eq!(left_in_tmp(&home), Vec::<PathBuf>::new());
}
