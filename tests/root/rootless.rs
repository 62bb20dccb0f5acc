//! An ordinary user with subordinate ids builds the same bytes as root; one without
//! gets one clear error.

use crate::project::{self, Project, Scratch};
use crate::user::{User, host};
use imagebuild::exec::{Output, Program};
use std::path::{Path, PathBuf};

/// Runs the program as this user.
fn imagebuild(user: &User, verb: &[&str], args: &[&Path]) -> Output {
    let become_user = ["--reuid", &user.name, "--regid", &user.name, "--init-groups"];
    host("setpriv")
        .args(become_user)
        .arg(user.program())
        .args(verb)
        .args(["--locked", "--quiet", "arch4", "--role", "web1"])
        .args(args)
        .dir("/")
        .output()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A folder of the user's with a store that has the pool, and a project that has this lock.
fn home(project: &Project, user: &User) -> Scratch {
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let store = scratch.path().join("store");
    project.empty_store(&store, &["arch4/web1", "tools/build"]);
    let of_user = scratch.path().join("project");
    std::fs::create_dir(&of_user).unwrap();
    let lock = "imagebuild.lock";
    std::fs::copy(project::folder().join(lock), of_user.join(lock)).unwrap();
    let ids = nix::unistd::User::from_name(&user.name).unwrap().unwrap();
    for folder in [scratch.path(), &store, &store.join("pool")] {
        std::os::unix::fs::chown(folder, Some(ids.uid.as_raw()), Some(ids.gid.as_raw())).unwrap();
    }
    scratch
}

fn arguments(home: &Scratch) -> [PathBuf; 6] {
    [
        "--project".into(),
        home.path().join("project"),
        "--store".into(),
        home.path().join("store"),
        "--out".into(),
        home.path().join("out"),
    ]
}

pub(crate) fn an_ordinary_user_builds_the_same_bytes() {
    let project = Project::open();
    let user = User::new("ranges", true);
    let home = home(&project, &user);
    let arguments = arguments(&home);
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let output = imagebuild(&user, &[], &arguments);
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
    let key = project.plan("web1").packages.key();
    let object = home.path().join("store/objects").join(key.to_string());
    std::fs::write(object.join("folders.json"), "{}").unwrap();
    std::fs::remove_file(home.path().join("out/arch4-web1.json")).unwrap();
    let output = imagebuild(&user, &[], &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.code, left_in_tmp(&home)), (0, Vec::new()), "{said}");
}

fn left_in_tmp(home: &Scratch) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path().join("store/tmp")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn without_ranges_there_is_one_clear_error() {
    let project = Project::open();
    let user = User::new("none", false);
    let home = home(&project, &user);
    let arguments = arguments(&home);
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let secrets = ["--secrets".into(), home.path().join("secrets.toml")];
    let for_seed: Vec<&Path> =
        arguments.iter().copied().chain(secrets.iter().map(PathBuf::as_path)).collect();
    for (verb, arguments) in [(&[][..], &arguments), (&["seed"], &for_seed)] {
        let output = imagebuild(&user, verb, arguments);
        assert_eq!(output.code, 2);
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "error: /etc/subuid gives you no range of 65535 subordinate ids\n\
             hint: either run as root, or install the package `uidmap` and give your user a range: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`\n"
        );
    }
    assert_eq!(left_in_tmp(&home), Vec::<PathBuf>::new());
}
