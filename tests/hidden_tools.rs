//! What the host has installed never reaches an image: a build works, and gives the
//! same bytes, where the host's folders of programs are empty. Hiding them needs
//! root; without it the test says so and checks nothing.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod project;

use imagebuild::exec::Program;
use project::{Project, Scratch};
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

/// `verify` builds a server of each kind so, in its odd surroundings (reproducible.rs).
const SERVERS: [&str; 1] = ["web1"];

fn imagebuild(program: Program, server: &str, store: &Path, out: &Path) {
    program
        .args(["--locked", "--quiet", "arch4", "--role", server])
        .args(["--store".as_ref(), store.as_os_str(), "--out".as_ref(), out.as_os_str()])
        .dir(project::folder())
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
}

/// A program that finds nothing of the host, as its first argument after this.
fn hidden(work: &Path) -> Program {
    let unshare = ["/usr/bin/unshare", "/bin/unshare"].into_iter().find(|p| Path::new(p).exists());
    Program::new(unshare.expect("this machine has no unshare"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["--mount", "/bin/sh", "-e", "-c", HIDE, "sh"])
        .arg(work)
}

#[test]
fn builds_without_the_hosts_programs() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can hide the host's programs");
        return;
    }
    let project = Project::open();
    let scratch = Scratch::quick(8 << 30);
    let at = |name: &str| scratch.path().join(name);
    // The test itself can fail: what needs a program of the host does not run there.
    let shell = hidden(scratch.path()).arg("/bin/sh").output().unwrap();
    assert_eq!((shell.code, shell.stdout), (127, Vec::new()));

    let store = at("store");
    project.empty_store(&store, &["arch4/web1", "tools/build"]);
    for server in SERVERS {
        imagebuild(hidden(scratch.path()).arg(project::PROGRAM), server, &store, &at("hidden"));
        let usual = Program::new(project::PROGRAM);
        imagebuild(usual, server, project.store.root(), &at("usual"));
        for ending in ["json", "qcow2"] {
            let file = format!("arch4-{server}.{ending}");
            let digest =
                |folder: &str| imagebuild::fs::digest_file(&at(folder).join(&file)).unwrap();
            assert_eq!(digest("hidden"), digest("usual"), "{file}");
        }
    }
}
