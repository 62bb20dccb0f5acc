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
    for (verb, golden) in [
        ("", "imagebuild"),
        ("flash", "flash"),
        ("lock", "lock"),
        ("plan", "plan"),
        ("test", "test"),
    ] {
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
            "`web1` is a server of arch1: `imagebuild arch1 --server web1`",
        ),
        ("plan arch2", "there is no architecture `arch2`", "did you mean `arch1`?"),
        (
            "paln",
            "there is no command and no architecture `paln`",
            "did you mean `plan`? `imagebuild --help` lists the commands",
        ),
    ];
    for (line, message, hint) in cases {
        world.cli(line).stderr(&format!("error: {message}\nhint: {hint}\n")).code(2);
    }
}

#[test]
fn verbs_and_flags_with_slips() {
    let usage = "Usage: imagebuild [OPTIONS] <COMMAND>\n       imagebuild [OPTIONS] <ARCHITECTURE> [--role <SERVER>]   (short for `build`)\n\nFor more information, try '--help'.\n";
    cli(home().path())
        .args("lokc --update")
        .stderr(&format!(
            "error: there is no command `lokc`\n\n  tip: a similar one exists: `lock`\n\n{usage}"
        ))
        .code(2);
    cli(home().path())
        .args("arch1 --rol web1")
        .stderr("error: unexpected argument '--rol' found\n\n  tip: a similar argument exists: '--role'\n\nUsage: imagebuild build --server <SERVER> <ARCHITECTURE>\n\nFor more information, try '--help'.\n")
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

/// The short form of `build`, and global options before and after the command.
#[test]
fn the_same_in_other_orders() {
    let world = World::locked();
    let plan = world.cli("plan arch1 --server web1").run();
    assert_eq!(plan.code, 0, "{}", plan.text());
    for line in ["plan arch1 --role web1", "--quiet plan arch1 --server=web1"] {
        world.cli(line).stdout(&plan.stdout).code(0);
    }
    let missing = "error: arch1 has no server `web9`\nhint: did you mean `web1`?\n";
    for line in ["arch1 --role web9", "build arch1 --server web9", "--locked arch1 --server=web9"] {
        world.cli(line).stderr(missing).code(2);
    }
    let required = "error: the following required arguments were not provided:\n  <ARCHITECTURE>\n";
    let said = world.bare("--server web1").run();
    assert_eq!((said.stderr.starts_with(required), said.code), (true, 2), "{}", said.text());
}

#[test]
fn completions_and_manual_pages() {
    let home = home();
    for shell in ["bash", "zsh", "fish"] {
        let script = cli(home.path()).args(&format!("completions {shell}")).run();
        assert_eq!((script.stderr.as_str(), script.code), ("", 0));
        assert!(script.stdout.contains("negative-controls"), "{shell}: {}", script.stdout);
    }
    let page = cli(home.path()).args("man").run();
    assert_eq!((page.stderr.as_str(), page.code), ("", 0));
    assert!(page.stdout.contains(".TH imagebuild 1"), "{}", page.stdout);
    cli(home.path()).dir(home.path()).args("man --out pages").stdout("").code(0);
    for page in ["imagebuild.1", "imagebuild-build.1", "imagebuild-test.1"] {
        assert!(home.path().join("pages").join(page).is_file(), "{page}");
    }
}

/// The events of a command line, each an object.
fn events(said: &str) -> Vec<serde_json::Value> {
    said.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn progress_for_programs() {
    let world = World::new();
    let first = world.cli("arch1 --progress json").run();
    assert_eq!((first.stdout.as_str(), first.code), ("out/arch1-web1.qcow2\n", 0));
    let all = events(&first.stderr);
    let keys = |kind: &str| -> Vec<String> {
        let of_kind = all.iter().filter(|one| one["event"] == kind);
        of_kind.map(|one| one["key"].to_string()).collect()
    };
    let (mut started, mut done) = (keys("step-started"), keys("step-done"));
    assert_eq!(started.len(), 11, "{}", first.stderr);
    started.sort();
    done.sort();
    assert_eq!(started, done);
    let bytes = all.iter().rfind(|one| one["event"] == "bytes").unwrap();
    assert_eq!(bytes["done"], bytes["total"], "{bytes}");

    let second = world.cli("arch1 --progress json").run();
    let kinds: std::collections::BTreeSet<String> =
        events(&second.stderr).iter().map(|one| one["event"].to_string()).collect();
    assert!(kinds.contains("\"step-cached\"") && !kinds.contains("\"step-started\""), "{kinds:?}");

    let both = world.cli("test arch1 --interactive --progress json").run();
    assert_eq!((events(&both.stderr)[0]["exit-code"].as_u64(), both.code), (Some(2), 2));

    let wrong = world.cli("arch9 --progress json").run();
    let all = events(&wrong.stderr);
    let error = all.last().unwrap();
    assert_eq!((&error["event"], &error["exit-code"]), (&"error".into(), &2.into()), "{error}");
    assert!(error["text"].as_str().unwrap().contains("there is no architecture"), "{error}");
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
        .stderr("        Read the indexes of 37 packages\n      Locked 34 packages in project/imagebuild.lock\n")
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
