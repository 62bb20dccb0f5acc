//! Maintainer scripts that look for a way out of the sandbox, run by a real dpkg: as root, as
//! an ordinary user, and as root where the kernel refuses a user namespace. Each is a Perl
//! program in `attacks/`, as Perl can make any system call; a way out is a line `escaped: ...`
//! and a failed build. Nothing outside of the test's own folder is changed.

use crate::closure::{self, Entry};
use crate::harness::Cli;
use crate::user::{User, host};
use crate::world::World;
use std::fs;

/// Who starts the build.
#[derive(Clone, Copy)]
enum Caller<'a> {
    /// Who runs the tests.
    Own,
    User(&'a User),
    /// In a user namespace that lets nobody make another.
    RootWithoutNamespaces,
}

impl std::fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Caller::Own => "own",
            Caller::User(_) => "user",
            Caller::RootWithoutNamespaces => "without namespaces",
        })
    }
}

/// A world in which one of two servers has the package `site` with this program as its
/// `postinst`.
fn with_attack(program: &str) -> World {
    let mut world = World::new();
    closure::with_dpkg(&mut world.archive);
    let folder = world.path("").display().to_string();
    let script = format!(
        "#!/usr/bin/perl\n$| = 1;\nour ($MARK, $HOME_OF_TEST) = ('{folder}secret', '{folder}');\n\
         my $ways = 0;\nsub bad {{ print \"escaped: @_\\n\"; $ways++ }}\n{program}\nexit($ways > 0);\n"
    );
    let control = "Package: site\nVersion: 1.2\nArchitecture: amd64\n";
    let full = format!("{control}Maintainer: x\nDescription: x\n");
    let files: [Entry; 2] =
        [("control".to_owned(), 0o644, full.into()), ("postinst".to_owned(), 0o755, script.into())];
    let perl = closure::more_from_tools(&["usr/bin/perl"]);
    world.archive.add_deb("trixie", control, &closure::deb_with(&files, &perl));
    world.archive.publish();
    world.put("secret", "of the host\n");
    world.put("project/roles/other.toml", "description = \"one server\"\npackages = [\"site\"]\n");
    world.change(
        "project/images/arch1.toml",
        "roles = [\"base\"]",
        "roles = [\"base\", \"other\"]",
    );
    world.change("project/images/arch1.toml", "[endpoints]", DATABASE);
    world.cli("lock --quiet").code(0);
    world
}

/// A second server, for a base tree.
const DATABASE: &str = r#"[servers.database1]
roles = ["base"]
[servers.database1.addresses.private]
v4 = "192.168.0.12"
v6 = "2001:db8:0:1::12"

[endpoints]"#;

/// Becomes the user, from a shell script that the program's arguments follow.
fn become_user(user: &User) -> String {
    let program = user.program();
    let program = program.display();
    format!("exec setpriv --reuid {0} --regid {0} --init-groups {program} \"$@\"", user.name)
}

/// Becomes root of a user namespace with the same ids, in which no other can be made.
fn without_namespaces(folder: &str) -> String {
    format!(
        "unshare --user --mount sleep 600 >/dev/null 2>&1 & pid=$!
while [ \"$(readlink /proc/$pid/ns/user)\" = \"$(readlink /proc/self/ns/user)\" ]; do sleep 0.01; done
for file in uid_map gid_map; do echo 0 0 65536 >/proc/$pid/$file; done
run='echo 0 >/proc/sys/user/max_user_namespaces; cd {folder}project; exec \"$0\" \"$@\"'
code=0; nsenter --user --mount --target $pid sh -e -c \"$run\" \"$0\" \"$@\" || code=$?
kill $pid; exit $code"
    )
}

/// Builds as this caller, with a folder of the host open that it need not know of.
fn build(world: &World, caller: Caller<'_>) -> Cli {
    let folder = world.path("").display().to_string();
    let start = match caller {
        Caller::Own => String::new(),
        Caller::User(user) => {
            host("chown").args(["-R", &format!("{0}:{0}", user.name), &folder]).run().unwrap();
            become_user(user)
        }
        Caller::RootWithoutNamespaces => without_namespaces(&folder),
    };
    world
        .cli("arch1 --quiet --jobs 1")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .mounts(&format!("exec 7<{folder}; exec 8<>{folder}secret\n{start}"))
}

/// Whether the attack finds no way out, for each caller.
#[track_caller]
fn refused(attack: &str, callers: &[Caller<'_>]) {
    let world = with_attack(attack);
    for caller in callers {
        let said = build(&world, *caller).run();
        assert_eq!(said.code, 0, "{caller:?}: {}", said.text());
        let fallback = matches!(caller, Caller::RootWithoutNamespaces);
        let warnings = said.stderr.lines().filter(|line| line.starts_with("warning: ")).count();
        assert_eq!(warnings, usize::from(fallback), "{caller:?}: {}", said.text());
        for folder in ["store", "project/out"] {
            fs::remove_dir_all(world.path(folder)).unwrap();
        }
    }
}

const REACH: &str = include_str!("attacks/reach.pl");
const KERNEL: &str = include_str!("attacks/kernel.pl");

/// Callers that only root can be or make: tests/root runs it.
#[allow(dead_code, reason = "only root can run it")]
pub(crate) fn nor_by_others() {
    let user = User::new("escape", true);
    for attack in [REACH, KERNEL] {
        refused(attack, &[Caller::RootWithoutNamespaces, Caller::User(&user)]);
    }
}

#[test]
fn nothing_of_the_host_is_reached() {
    refused(REACH, &[Caller::Own]);
}

#[test]
fn the_kernel_gives_nothing() {
    refused(KERNEL, &[Caller::Own]);
}

/// What a result is made from cannot be changed by the one who reads it.
#[test]
fn other_results_stay_as_they_are() {
    let world = with_attack(include_str!("attacks/poison.pl"));
    let said = world.cli("arch1 --quiet").run();
    assert_eq!(said.code, 0, "{}", said.text());
    let objects = world.list("store/objects");
    let releases: Vec<String> = objects
        .iter()
        .map(|key| format!("store/objects/{key}/tree/etc/os-release"))
        .filter(|path| world.path(path).is_file())
        .map(|path| world.read(&path))
        .collect();
    assert_eq!(releases, vec!["ID=fixture\n"; releases.len()]);
    assert!(releases.len() >= 3, "tools, base, packages");
}

/// A script that types on the terminal gives commands to the caller's shell.
#[test]
fn there_is_no_terminal() {
    let world = with_attack(include_str!("attacks/terminal.pl"));
    let on_a_terminal = "exec script -qec \"$0 $*\" /dev/null";
    let said = world
        .cli("arch1 --quiet")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .mounts(on_a_terminal)
        .run();
    assert_eq!(said.code, 0, "{}", said.text());
}
