//! Two revisions of a project: what they would make, without building either.

use crate::world::World;
use imagebuild::exec::Program;

/// A project in git: a commit with a template, then one that changes it.
fn two_commits() -> World {
    let world = World::new();
    world.put("project/overlays/base/etc/motd.j2", "Welcome\nto {{ server.name }}\n");
    world.change("project/roles/base.toml", "packages", "overlay = \"base\"\npackages");
    world.cli("lock --quiet").code(0);
    let git = |line: &str| {
        let who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=x"];
        let program = Program::new("/usr/bin/git").env("PATH", "/usr/bin:/bin").args(who);
        program.args(line.split(' ')).dir(world.path("project")).run().unwrap();
    };
    git("init -q");
    git("add .");
    git("commit -q -m one");
    world.change("project/overlays/base/etc/motd.j2", "Welcome", "Be welcome");
    world.put("project/overlays/base/etc/new", "new\n");
    world.change("project/images/arch1.toml", "configuration = \"4M\"", "configuration = \"5M\"");
    git("add .");
    git("commit -q -m two");
    world
}

const TEXT: &str = "arch1-web1: HEAD~1 -> HEAD
configuration (2)
  /etc/motd  0644 0:0 file of 16 bytes -> 0644 0:0 file of 19 bytes
    @@ -1,2 +1,2 @@
    -Welcome
    +Be welcome
     to web1
+ /etc/new  0644 0:0 file of 4 bytes
    @@ -0,0 +1 @@
    +new
disk (2)
  partition a-config  4.2 MB (4194304 bytes) -> 5.2 MB (5242880 bytes)
  partition b-config  4.2 MB (4194304 bytes) -> 5.2 MB (5242880 bytes)
";

#[test]
fn a_commit_in_words_and_as_json() {
    let world = two_commits();
    world
        .bare("diff HEAD~1 HEAD arch1 --role web1")
        .env("PATH", "/usr/bin:/bin")
        .stdout(TEXT)
        .code(0);
    // The working tree is the second commit.
    let tree = TEXT.replace("HEAD~1 -> HEAD", "HEAD~1 -> .");
    world.bare("diff HEAD~1 . arch1").env("PATH", "/usr/bin:/bin").stdout(&tree).code(0);
    let same = "arch1-web1: HEAD -> .\n  nothing differs\n";
    world.bare("diff HEAD . arch1").stdout(same).code(0);
    let said = world.bare("diff HEAD~1 HEAD all --json").run();
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&json["image"], &json["a"]), (&"arch1-web1".into(), &"HEAD~1".into()));
    assert_eq!(
        json["configuration"][0]["diff"],
        "@@ -1,2 +1,2 @@\n-Welcome\n+Be welcome\n to web1\n"
    );
    assert_eq!(json["configuration"][1]["from"], serde_json::Value::Null);
    assert_eq!(world.list("store/objects"), [""; 0], "nothing is built");
}

#[test]
fn packages_that_came_or_have_another_version() {
    let mut world = two_commits();
    world.archive.forget("trixie", "linux-image-cloud-amd64");
    world.archive.add(
        "trixie",
        "linux-image-cloud-amd64 6.12.2-1; Depends: linux-image-6.12.1-cloud-amd64, more",
    );
    world.archive.add("trixie", "more 7");
    world.archive.publish();
    world.cli("lock --update --quiet").code(0);
    let said = world.bare("diff HEAD . arch1").run();
    let text = "arch1-web1: HEAD -> .
packages (2)
  linux-image-cloud-amd64  6.12.1-1 -> 6.12.2-1
+ more  7
not compared: files of the packages: the store has both trees only when both were built
";
    assert_eq!(said.text(), format!("stdout:\n{text}stderr:\nexit code 0\n"));
}

#[test]
fn what_cannot_be_compared() {
    let world = two_commits();
    world
        .bare("diff nope HEAD arch1")
        .stderr("error: git has no revision `nope` of .\n  fatal: not a valid object name: nope\nhint: name what `git log` shows, or `.` for the files as they are\n")
        .code(2);
    world
        .bare("diff HEAD HEAD arch2")
        .stderr("error: there is no architecture `arch2`\nhint: did you mean `arch1`?\n")
        .code(2);
    world
        .bare("diff HEAD~1 HEAD")
        .stderr("error: there is no image HEAD~1\nhint: name an image of `imagebuild` (.qcow2, .raw), or its .json; for revisions name an architecture too: `imagebuild diff HEAD~1 HEAD arch4`\n")
        .code(2);
    world.put("project/x.qcow2", "not an image");
    world
        .bare("diff x.qcow2 x.qcow2")
        .stderr("error: cannot read x.json: No such file or directory\nhint: the manifest that `imagebuild` writes next to an image must stay there\n")
        .code(1);
}

#[test]
fn a_lock_that_is_behind_its_project() {
    let mut world = two_commits();
    world.archive.add("trixie", "more 7");
    world.archive.publish();
    world.change("project/roles/base.toml", "packages = [", "packages = [\"more\", ");
    world
        .bare("diff HEAD . arch1")
        .stderr("error: imagebuild.lock does not fit its project at the revision .\n  asked for, but not locked: more (arch1/web1)\nhint: run `imagebuild lock` there (and commit it, unless the revision is `.`)\n")
        .code(2);
}

#[test]
fn servers_that_only_one_revision_has() {
    let world = two_commits();
    let second = "[servers.web2]\nroles = [\"base\"]\n[servers.web2.addresses.private]\nv4 = \"192.168.0.12\"\nv6 = \"2001:db8:0:1::12\"\n\n[endpoints]";
    world.change("project/images/arch1.toml", "[endpoints]", second);
    world.cli("lock --quiet").code(0);
    let text = |a, b, lacks| {
        format!(
            "arch1-web1: {a} -> {b}\n  nothing differs\narch1-web2: {a} -> {b}\nnot compared: there is no arch1-web2 at the revision {lacks}\n"
        )
    };
    world.bare("diff HEAD . arch1").stdout(&text("HEAD", ".", "HEAD")).code(0);
    world.bare("diff . HEAD arch1").stdout(&text(".", "HEAD", "HEAD")).code(0);
}
