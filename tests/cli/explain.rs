//! Explanations: what would be made again and why, and what brought a package or a file.

use crate::world::World;

/// A project whose base role has an overlay with a template, built once.
fn built() -> World {
    let world = World::new();
    world.put(
        "project/overlays/base/etc/motd.j2",
        "Welcome\nto {{ server.name }}\nof {{ site.name }}\n",
    );
    world.put("project/overlays/base/etc/plain", "plain\n");
    world.change("project/roles/base.toml", "packages", "overlay = \"base\"\npackages");
    assert_eq!(world.cli("arch1 --quiet").run().code, 0);
    world
}

#[test]
fn nothing_changed() {
    let world = built();
    world
        .bare("explain arch1")
        .stdout("arch1-web1: nothing would be made, every result is in the store\n")
        .code(0);
    let record = world.list("store/builds");
    assert_eq!((record.len(), &record[0][..11]), (1, "arch1-web1-"));
}

#[test]
fn an_edit_reaches_the_steps_that_read_it() {
    let world = built();
    world.change("project/overlays/base/etc/motd.j2", "Welcome", "Be welcome");
    world.change("project/images/arch1.toml", "state = \"4M\"", "state = \"5M\"");
    let said = world.bare("explain arch1 --role web1").run();
    let text = "arch1-web1: 4 of 11 steps would be made
  config-layer    files /etc/motd:
                    @@ -1,2 +1,2 @@
                    -Welcome
                    +Be welcome
                     to web1
  state           size: 4194304 -> 5242880
  esp             reads config-layer, which changed
";
    assert_eq!((said.stderr.as_str(), said.code), ("", 0));
    assert!(said.stdout.starts_with(text), "{}", said.stdout);
    assert!(
        said.stdout
            .contains("\n  image           layout partitions state size: 4194304 -> 5242880\n"),
        "{}",
        said.stdout
    );
    let rest = "                  reads config-layer, esp, state, which changed
unchanged: tools, kernel, bootloader, base, packages, packages-layer, inventory
";
    assert!(said.stdout.ends_with(rest), "{}", said.stdout);

    // Built, and taken back: the results of the first build are still there.
    assert_eq!(world.cli("arch1 --quiet").run().code, 0);
    world.change("project/overlays/base/etc/motd.j2", "Be welcome", "Welcome");
    let said = world.bare("explain arch1").run().stdout;
    assert!(said.contains("  config-layer    files /etc/motd:\n"), "{said}");
    assert!(said.contains("(its result is in the store: it was made before)"), "{said}");
}

#[test]
fn a_result_that_is_gone_and_a_build_that_never_was() {
    let world = built();
    let plan = world.bare("plan arch1").run().stdout;
    let key = plan.lines().find(|line| line.contains("  state  ")).unwrap().trim()[..12].to_owned();
    let name = world.list("store/objects").into_iter().find(|name| name.starts_with(&key));
    std::fs::remove_dir_all(world.path("store/objects").join(name.unwrap())).unwrap();
    world
        .bare("explain arch1")
        .stdout("arch1-web1: 1 of 11 steps would be made\n  state           its result is not in the store any more\nunchanged: tools, kernel, bootloader, base, packages, packages-layer, config-layer, esp, inventory, image\n")
        .code(0);
    std::fs::remove_dir_all(world.path("store/objects")).unwrap();
    std::fs::remove_dir_all(world.path("store/builds")).unwrap();
    let said = world.bare("explain arch1").run().stdout;
    assert!(said.starts_with("arch1-web1: 11 of 11 steps would be made\nno build of this image from this folder is on record: tools, kernel"), "{said}");
}

#[test]
fn why_a_package_is_there() {
    let world = built();
    world
        .bare("explain arch1 --role web1 --package linux-image-6.12.1-cloud-amd64")
        .stdout("linux-image-6.12.1-cloud-amd64 6.12.1-1 is in arch1-web1:\n  roles/base.toml asks for linux-image-cloud-amd64\n  linux-image-cloud-amd64 6.12.1-1 depends on linux-image-6.12.1-cloud-amd64\n")
        .code(0);
    world
        .bare("explain arch1 --role web1 --package base-files")
        .stdout("base-files 13 is in arch1-web1:\n  it is essential, or an essential package needs it\n")
        .code(0);
    world
        .bare("explain arch1 --role web1 --package base-file")
        .stderr("error: the image arch1-web1 does not hold the package base-file\nhint: did you mean `base-files`?\n")
        .code(2);
}

#[test]
fn where_a_file_comes_from() {
    let world = built();
    world
        .bare("explain arch1 --role web1 --file /etc/motd")
        .stdout("/etc/motd of arch1-web1\n  is rendered from overlays/base/etc/motd.j2\n  role: base\n  mode 0644, owner 0:0\n  it uses\n    server.name  \"web1\"\n    site.name    \"Demo site\"\n")
        .code(0);
    world
        .bare("explain arch1 --role web1 --file /etc/plain")
        .stdout("/etc/plain of arch1-web1\n  is from overlays/base/etc/plain\n  role: base\n  mode 0644, owner 0:0\n")
        .code(0);
    world
        .bare("explain arch1 --role web1 --file /etc/machine-id")
        .stdout("/etc/machine-id of arch1-web1\n  is from imagebuild\n  mode 0644, owner 0:0\n")
        .code(0);
    world
        .bare("explain arch1 --role web1 --file /etc/passwd")
        .stdout("/etc/passwd of arch1-web1\n  is in no package's list: made by a maintainer script, or by dpkg itself\n")
        .code(0);
    world
        .bare("explain arch1 --role web1 --file /etc/mot")
        .stderr("error: the image arch1-web1 has no /etc/mot\nhint: did you mean `/etc/motd`?\n")
        .code(2);
    world
        .bare("explain all --file /etc/motd")
        .stdout("/etc/motd of arch1-web1\n  is rendered from overlays/base/etc/motd.j2\n  role: base\n  mode 0644, owner 0:0\n  it uses\n    server.name  \"web1\"\n    site.name    \"Demo site\"\n")
        .code(0);
}

#[test]
fn a_package_that_the_site_adds_to_a_role() {
    let mut world = World::new();
    world.archive.add("trixie", "more 7");
    world.archive.publish();
    world.put("project/site.toml", "[roles.base]\npackages = [\"more\"]\n");
    world.cli("lock --quiet").code(0);
    world
        .bare("explain arch1 --role web1 --package more")
        .stdout("more 7 is in arch1-web1:\n  site.toml:2 asks for more, for the role base\n")
        .code(0);
}
