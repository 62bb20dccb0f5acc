//! The command line itself: help, typing errors, which folder is the project.

use crate::goldens;
use crate::harness::cli;
use crate::world::World;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_version() {
    let version = concat!("imagebuild ", env!("CARGO_PKG_VERSION"), "\n");
    cli(home().path()).args("--version").stdout(version).code(0);
}

/// `seed` has its own tests.
#[test]
fn help_of_every_verb() {
    for (verb, golden) in [("", "imagebuild"), ("lock", "lock"), ("plan", "plan"), ("test", "test")]
    {
        let said = cli(home().path()).args(&format!("{verb} --help")).run();
        assert_eq!((said.stderr.as_str(), said.code), ("", 0));
        let widest = said.stdout.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "a line of {widest} characters in the help of `{verb}`");
        goldens::check(&format!("help/{golden}.txt"), &said.stdout);
    }
}

/// The reader of a result has gone, or its disk is full.
#[test]
fn results_that_nobody_takes() {
    let run = |script: &str| {
        let output = imagebuild::exec::Program::new("/bin/sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_imagebuild")])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // Written after `true` has ended.
    let said = run(r#"{ sleep 0.3; "$0" schema; echo "code $?" >&2; } | true"#);
    assert_eq!(said, "code 0\n");
    let said = run(r#""$0" schema >/dev/full; echo "code $?" >&2"#);
    let full = "error: cannot write the result: No space left on device (os error 28)\n";
    assert_eq!(said, format!("{full}code 1\n"));
}

#[test]
fn without_arguments_it_explains_itself() {
    let said = cli(home().path()).run();
    let help = cli(home().path()).args("-h").run();
    assert_eq!((said.stdout.as_str(), said.code), ("", 2));
    assert_eq!(said.stderr, help.stdout);
}

#[test]
fn names_with_slips() {
    let world = World::locked();
    let cases = [
        ("arhc1", "there is no architecture `arhc1`", "did you mean `arch1`?"),
        ("arch7", "there is no architecture `arch7`", "did you mean `arch1`?"),
        ("zzz", "there is no architecture `zzz`", "known: arch1"),
        ("arch1 --role wbe1", "arch1 has no server `wbe1`", "did you mean `web1`?"),
        ("arch1 --role database1", "arch1 has no server `database1`", "known: web1"),
        (
            "web1",
            "there is no architecture `web1`",
            "`web1` is a server of arch1: `imagebuild arch1 --role web1`",
        ),
        ("plan arch2", "there is no architecture `arch2`", "did you mean `arch1`?"),
        (
            "paln",
            "there is no verb and no architecture `paln`",
            "did you mean `plan`? `imagebuild --help` lists the verbs",
        ),
    ];
    for (line, message, hint) in cases {
        world.cli(line).stderr(&format!("error: {message}\nhint: {hint}\n")).code(2);
    }
}

#[test]
fn verbs_and_flags_with_slips() {
    let usage = "Usage: imagebuild [OPTIONS] <ARCHITECTURE>\n       imagebuild <COMMAND>\n\nFor more information, try '--help'.\n";
    cli(home().path())
        .args("lokc --update")
        .stderr(&format!(
            "error: there is no verb `lokc`\n\n  tip: a similar one exists: `lock`\n\n{usage}"
        ))
        .code(2);
    cli(home().path())
        .args("arch1 --rol web1")
        .stderr("error: unexpected argument '--rol' found\n\n  tip: a similar argument exists: '--role'\n\nUsage: imagebuild --role <SERVER> <ARCHITECTURE>\n\nFor more information, try '--help'.\n")
        .code(2);
    cli(home().path())
        .args("--quiet --project x plan arch1")
        .stderr(&format!(
            "error: options stand behind the verb\n\n  tip: `imagebuild plan --quiet --project x arch1`\n\n{usage}"
        ))
        .code(2);
    cli(home().path())
        .args("plan")
        .stderr("error: the following required arguments were not provided:\n  <ARCHITECTURE>\n\nUsage: imagebuild plan <ARCHITECTURE>\n\nFor more information, try '--help'.\n")
        .code(2);
    cli(home().path())
        .args("arch1 --format vhd")
        .stderr("error: invalid value 'vhd' for '--format <FORMAT>'\n  [possible values: qcow2, raw, raw.zst, vmdk, vhdx]\n\n  tip: a similar value exists: 'vhdx'\n\nFor more information, try '--help'.\n")
        .code(2);
}

/// A path need not be text.
#[test]
fn a_project_that_is_not_there() {
    let lost = OsStr::from_bytes(b"/nowhere/caf\xe9");
    for line in [&["graph", "arch1"][..], &["plan", "arch1"]] {
        let output = imagebuild::exec::Program::new(env!("CARGO_BIN_EXE_imagebuild"))
            .args(line)
            .arg("--project")
            .arg(lost)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with("error: there is no folder /nowhere/caf"), "{said}");
        assert_eq!(output.code, 2);
    }
}

#[test]
fn a_folder_without_a_project_uses_the_built_in_one() {
    let world = World::built_in();
    assert_eq!(world.list("project"), [""; 0]);
    let said = world.cli("plan arch4 --role web1").run();
    assert_eq!(said.code, 0, "{}", said.text());
    assert!(said.stdout.starts_with("plan for arch4-web1\n"), "{}", said.stdout);
    let chosen = " packages; a build would write imagebuild.lock\n";
    assert!(said.stderr.ends_with(chosen), "{}", said.stderr);
    assert_eq!(world.list("project"), [""; 0], "who only looks changes no file");
    assert_eq!(world.cli("arch9").run().code, 2);
    assert_eq!(world.list("project"), [""; 0], "a slip of the pen changes no file");
    world.cli("lock --quiet").code(0);
    assert_eq!(world.list("project"), ["imagebuild.lock"], "the lock is the user's own");
    world.bare("plan arch4 --role web1 --locked").stdout(&said.stdout).code(0);

    // A site.toml alone changes the built-in project.
    world.put("project/site.toml", "version = \"7\"\n");
    let site = world.bare("plan arch4 --role web1 --locked").run();
    assert_eq!((site.stderr.as_str(), site.code), ("", 0));
    assert_ne!(site.stdout, said.stdout);
}

#[test]
fn the_project_may_be_elsewhere() {
    let world = World::new();
    let elsewhere = world.path("");
    let line = "--project project --keyring key.asc --snapshot-mirror none";
    let mirror = format!("{}/debian", world.server.url());
    world
        .bare(&format!("lock {line} --mirror {mirror}"))
        .dir(&elsewhere)
        .stderr("        Read the indexes of 21 packages\n      Locked 21 packages in project/imagebuild.lock\n")
        .code(0);
    world.put("project/roles/base.toml", "description = 7\n");
    world
        .bare("plan arch1 --project project")
        .dir(&elsewhere)
        .stderr(
            "error: invalid type: integer `7`, expected a string
 --> roles/base.toml:1:15
  |
1 | description = 7
  |               ^
hint: the built-in files show the form of every key of roles/base.toml
",
        )
        .code(2);
    world
        .bare("plan arch1 --project nowhere")
        .dir(&elsewhere)
        .stderr("error: there is no folder nowhere\nhint: `--project` names the folder of site.toml, roles/, images/ and overlays/\n")
        .code(2);
}
