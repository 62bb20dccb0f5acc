//! What the host has installed never reaches an image: a build works, and gives the
//! same bytes, where the host's folders of programs are empty: in mounts of its own, which
//! every user can have who can build.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::project::{Project, Scratch};
use imagebuild::exec::{Output, Program};
use std::path::Path;

/// Lays an empty file system over every folder of programs, sees that none is left,
/// and becomes the program. `mount` itself is hidden last, by a copy.
const HIDE: &str = r#"
work=$1; shift
cp "$(command -v mount)" "$work/mount"
for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /usr/games /usr/libexec /opt /snap /nix; do
    [ -d "$folder" ] || continue
    "$work/mount" -t tmpfs tmpfs "$folder"
done
for file in /usr/local/sbin/* /usr/local/bin/* /usr/sbin/* /usr/bin/* /sbin/* /bin/* /usr/libexec/*; do
    [ -e "$file" ] && exit 99
done
exec "$@"
"#;

/// `verify` builds a server of each kind so, in its odd environment (reproducible.rs).
const SERVERS: [&str; 1] = ["web1"];

fn arguments(server: &str, store: &Path, out: &Path) -> Vec<String> {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let fixed = ["--locked", "--quiet", "arch4", "--role", server].map(str::to_owned);
    let folders = [("--store", store), ("--out", out), ("--project", project::folder())];
    let folders = folders.map(|(option, folder)| [option.to_owned(), path(folder)]);
    fixed.into_iter().chain(folders.into_iter().flatten()).collect()
}

/// How a program ends that finds nothing of the host but itself.
fn hidden(work: &Path, program: &str, arguments: &[String]) -> Output {
    let unshare = ["/usr/bin/unshare", "/bin/unshare"].into_iter().find(|p| Path::new(p).exists());
    // An ordinary user needs his subordinate ids inside, too, to build there.
    let is_root = nix::unistd::geteuid().is_root();
    let namespace = if is_root { &[][..] } else { &["--map-root-user", "--map-auto"] };
    Program::new(unshare.expect("this machine has no unshare"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(namespace)
        .args(["--mount", "/bin/sh", "-e", "-c", HIDE, "sh"])
        .arg(work)
        .arg(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
#[ignore = "builds 1 server: 1 min"]
fn builds_without_the_hosts_programs() {
    let project = Project::open();
    let scratch = Scratch::quick(8 << 30);
    let at = |name: &str| scratch.path().join(name);
    // The test itself can fail: what needs a program of the host does not run there.
    let shell = hidden(scratch.path(), "/bin/sh", &[]);
    assert_eq!((shell.code, shell.stdout), (127, Vec::new()));

    let store = at("store");
    project.empty_store(&store, &["arch4/web1", "tools/build"]);
    for server in SERVERS {
        let built =
            hidden(scratch.path(), project::PROGRAM, &arguments(server, &store, &at("hidden")));
        assert_eq!(built.code, 0, "{}", String::from_utf8_lossy(&built.stderr));
        let usual = arguments(server, project.store.root(), &at("usual"));
        Program::new(project::PROGRAM).args(usual).run().unwrap_or_else(|error| panic!("{error}"));
        for ending in ["json", "qcow2"] {
            let file = format!("arch4-{server}.{ending}");
            let digest =
                |folder: &str| imagebuild::fs::digest_file(&at(folder).join(&file)).unwrap();
            assert_eq!(digest("hidden"), digest("usual"), "{file}");
        }
    }
}
