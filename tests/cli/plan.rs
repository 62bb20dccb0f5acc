//! Plans: what is shown of them, and that they show all. Keys are digests, and a
//! golden says what differs, not that a digest does: each is shown as its step.

use crate::goldens;
use crate::world::World;
use std::collections::BTreeMap;

/// The text with every key of a step replaced by the step's name.
fn named(text: &str, keys: &BTreeMap<String, String>) -> String {
    keys.iter().fold(text.to_owned(), |text, (key, name)| text.replace(key, name))
}

/// The steps' short keys, from a plan's text, as `<name>` of the same width.
fn short_keys(text: &str) -> BTreeMap<String, String> {
    let key = |line: &str| {
        let mut words = line.strip_prefix("  ")?.split_whitespace();
        let (key, name) = (words.next()?, words.next()?);
        let is_key = key.len() == 12 && key.bytes().all(|b| b.is_ascii_hexdigit());
        is_key.then(|| (key.to_owned(), format!("<{name}>")))
    };
    text.lines().filter_map(key).collect()
}

#[test]
fn of_the_servers_of_architecture_4() {
    let world = World::built_in();
    world.cli("lock --quiet").code(0);
    for server in ["database1", "web1"] {
        let said = world.bare(&format!("plan arch4 --role {server} --locked")).run();
        assert_eq!((said.stderr.as_str(), said.code), ("", 0));
        let text = named(&said.stdout, &short_keys(&said.stdout));
        goldens::check(&format!("plan/arch4-{server}.txt"), &text);
    }
    let all = world.bare("plan arch4 --locked").run().stdout;
    let images: Vec<&str> = all.lines().filter(|line| line.starts_with("plan for ")).collect();
    assert_eq!(images, ["plan for arch4-database1", "plan for arch4-web1", "plan for arch4-web2"]);
}

#[test]
fn an_edit_is_judged_by_those_who_read_it() {
    let world = World::built_in();
    world.cli("lock --quiet").code(0);
    let judges = || -> BTreeMap<String, String> {
        let text = world.bare("plan arch4 --role web1 --locked").run().stdout;
        let lines = text.lines().filter_map(|line| line.split_once("  validate  "));
        lines.map(|(key, judge)| (judge.trim().to_owned(), key.to_owned())).collect()
    };
    let mut before = judges();
    let mut check = |what: &str, asked: &[&str]| {
        let now = judges();
        let again = now.iter().filter(|(judge, key)| before.get(*judge) != Some(*key));
        assert_eq!(again.map(|(judge, _)| judge.as_str()).collect::<Vec<_>>(), asked, "{what}");
        before = now;
    };
    for (file, asked) in [
        (
            "etc/nginx/conf.d/imagebuild.conf",
            &[
                "nginx validates /etc/nginx/sites-available/monitor",
                "nginx validates /etc/nginx/sites-available/site and 1 more",
            ][..],
        ),
        ("var/www/site/index.php", &["bash validates /var/www/site/index.php"]),
        ("etc/motd", &[]),
    ] {
        world.put(&format!("project/overlays/web/{file}"), "# another\n");
        check(file, asked);
    }
    // Another server's address: php-fpm, sshd, visudo and systemd read nothing of it.
    let address = "[architectures.arch4.addresses.web2.private]\nv4 = \"192.168.0.13\"\n";
    world.put("project/site.toml", address);
    let asked = [
        "haproxy validates /etc/haproxy/haproxy.cfg",
        "nft validates /etc/nftables.conf",
        "nginx validates /etc/nginx/sites-available/monitor",
        "nginx validates /etc/nginx/sites-available/site and 1 more",
        "perl validates /etc/munin/munin.conf",
    ];
    check("an address", &asked);
}

#[test]
fn as_json() {
    let world = World::locked();
    let said = world.bare("plan arch1 --json --locked").run();
    assert_eq!((said.stderr.as_str(), said.code), ("", 0));
    let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for planned in plan["steps"].as_array().unwrap() {
        let kind = planned["step"].as_object().unwrap().keys().next().unwrap();
        names.insert(planned["key"].as_str().unwrap().to_owned(), format!("<{kind}>"));
    }
    goldens::check("plan/small.json", &volatile(&named(&said.stdout, &names)));
}

/// What differs from run to run, or from host to host: the packages' digests (the
/// host's shell is in one), the time of the fixture, the digest of the lock.
fn volatile(json: &str) -> String {
    let line = |line: &str| {
        let (start, rest) = line.split_once(": ").unwrap_or((line, ""));
        let end = if rest.ends_with(",\n") { ",\n" } else { "\n" };
        match start.trim() {
            "\"sha256\"" | "\"lock\"" => format!("{start}: \"<digest>\"{end}"),
            "\"epoch\"" => format!("{start}: \"<time>\"{end}"),
            _ => line.to_owned(),
        }
    };
    json.split_inclusive('\n').map(line).collect()
}

#[test]
fn the_same_twice_and_another_where_something_changed() {
    let world = World::locked();
    let keys = || -> BTreeMap<String, String> {
        let text = world.bare("plan arch1 --locked").run().stdout;
        short_keys(&text).into_iter().map(|(key, name)| (name, key)).collect()
    };
    let changed = |before: &BTreeMap<String, String>| -> Vec<String> {
        let now = keys();
        let differs = |name: &&String| now.get(*name) != before.get(*name);
        before.keys().filter(differs).map(|name| name.trim_matches(['<', '>']).to_owned()).collect()
    };
    let first = keys();
    assert_eq!((first.len(), changed(&first)), (11, vec![]));

    world.put("project/overlays/grub/grub.cfg", "boot --now\n");
    assert_eq!(changed(&first), ["esp", "image"]);

    let second = keys();
    world.put("project/overlays/base/etc/motd", "welcome\n");
    world.change("project/roles/base.toml", "packages", "overlay = \"base\"\npackages");
    assert_eq!(changed(&second), ["config-layer", "esp", "image"]);

    let third = keys();
    world.put("project/overlays/initramfs/init", "#!/bin/sh\nexec sh\n");
    assert_eq!(changed(&third), ["esp", "image", "kernel"]);
}

/// Before anything is built.
#[test]
fn what_does_not_fit_its_partition() {
    let world = World::locked();
    world.put_bytes("project/overlays/base/etc/large", &vec![b'x'; (5 << 20) + 1]);
    world
        .cli("plan arch1 --locked")
        .stderr("error: the content of partition `a-config` is too large\n  content:   5243537 bytes (5.2 MB)\n  partition: 4194304 bytes (4.2 MB)\nhint: write `configuration = \"6M\"` or more under `[disk]` in site.toml (and raise `smallest`, if it does not fit then), or put less in; machines in use keep the sizes that they were flashed with\n")
        .code(1);
}
