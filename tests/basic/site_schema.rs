//! `site.schema.json` says to editors what the program takes: held to by a validator of
//! its own (the crate jsonschema), by examples/, by what `imagebuild init` writes, and by
//! the keys that the program itself names when it meets an unknown one.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::spec::{Spec, Tree};
use jsonschema::Validator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    serde_json::from_slice(&std::fs::read(root().join("site.schema.json")).unwrap()).unwrap()
}

fn validator() -> Validator {
    jsonschema::options().should_validate_formats(true).build(&schema()).unwrap()
}

fn json(toml: &str) -> Value {
    let value: toml::Value = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    serde_json::to_value(value).unwrap()
}

/// What the schema has against a text; nothing, if it takes it.
fn complaint(validator: &Validator, toml: &str) -> Option<String> {
    let instance = json(toml);
    let first = validator.iter_errors(&instance).next()?;
    Some(format!("{}: {first}", first.instance_path()))
}

/// What `imagebuild init` writes.
fn written() -> String {
    std::fs::read_to_string(root().join("src/cli/site.toml")).unwrap()
}

/// A key or a table that is commented out: `#` with no space behind.
fn key(line: &str) -> Option<&str> {
    line.strip_prefix('#')
        .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
}

/// A project folder with the files that the examples of the text name.
fn project(site: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("site.toml", site);
    put("website/index.php", "<?php");
    put("website/public/index.php", "<?php");
    put("debs/shop_1_all.deb", "");
    put("keys/shop.asc", "");
    folder
}

fn read(site: &str) -> Spec {
    Spec::read(project(site).path()).unwrap_or_else(|error| panic!("{error}\n{site}"))
}

#[test]
fn what_init_writes_changes_nothing() {
    assert_eq!(key("#name = 1"), Some("name = 1"));
    assert_eq!(key("# name"), None);
    let spec = read(&written());
    let plain = Spec::load(Tree::embedded()).unwrap();
    assert_eq!(spec.architectures, plain.architectures);
    assert_eq!(spec.site, plain.site);
    assert_eq!(complaint(&validator(), &written()), None);
}

/// The text as tables: a header's line, its keys, and whether the comment above says
/// that it is an example and no default.
fn keys() -> Vec<(String, String, bool)> {
    let (mut table, mut found, mut example, mut comment) =
        (String::new(), Vec::new(), false, false);
    let mut whole = false;
    for line in written().lines() {
        match key(line) {
            Some(header) if header.starts_with('[') => {
                (table, whole) = (header.to_owned(), example);
            }
            Some(key) => found.push((table.clone(), key.to_owned(), example || whole)),
            None => {
                if !comment {
                    example = false;
                }
                example |= line.contains("(Example)");
            }
        }
        comment = key(line).is_none() && !line.is_empty();
        if line.is_empty() {
            example = false;
        }
    }
    found
}

#[test]
fn every_line_of_it_may_be_uncommented_alone() {
    let (validator, plain) = (validator(), Spec::load(Tree::embedded()).unwrap());
    // Keys that only make sense together.
    let third = written()
        .split("(Example)\n#[architectures.arch4.servers.web3]")
        .nth(1)
        .unwrap()
        .to_owned();
    let third =
        third.split("\n\n").next().unwrap().lines().filter_map(key).collect::<Vec<_>>().join("\n");
    let third = format!("[architectures.arch4.servers.web3]\n{third}\n");
    read(&third);
    assert_eq!(complaint(&validator, &third), None);
    let mut defaults = 0;
    for (table, line, example) in keys() {
        let new = ["web3", "witness1", "[sources.", "arch2.networks", "arch2.addresses"];
        let together = new.iter().any(|one| table.contains(one));
        let content = if line.starts_with("web-root") { "content = \"website\"\n" } else { "" };
        let text = format!("{content}{table}\n{line}\n");
        if together {
            continue;
        }
        let spec = read(&text);
        assert_eq!(complaint(&validator, &text), None, "{text}");
        if !example {
            defaults += 1;
            assert_eq!(spec.site, plain.site, "is not the default: {text}");
            // arch1's cache and nat, and arch4's addresses: each is there as it is.
            assert_eq!(spec.architectures, plain.architectures, "is not the default: {text}");
        }
    }
    assert!(defaults > 30, "{defaults}");
}

#[test]
fn all_of_it_may_be_uncommented_at_once() {
    let all: Vec<&str> = WRITTEN.lines().filter_map(key).collect();
    let spec = read(&all.join("\n"));
    assert_eq!(spec.architectures["arch4"].servers.len(), 4);
    assert_eq!(complaint(&validator(), &all.join("\n")), None);
}

const WRITTEN: &str = include_str!("../../src/cli/site.toml");

/// The tables of the schema: where each is in TOML, with names for what has any.
fn tables(schema: &Value) -> Vec<(String, BTreeSet<String>)> {
    let (mut found, mut open) = (Vec::new(), vec![(String::new(), schema.clone())]);
    while let Some((path, node)) = open.pop() {
        let node = match node["$ref"].as_str() {
            Some(name) => schema["$defs"][name.trim_start_matches("#/$defs/")].clone(),
            None => node,
        };
        let below =
            |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if let Some(properties) = node["properties"].as_object() {
            found.push((path.clone(), properties.keys().cloned().collect()));
            open.extend(properties.iter().map(|(key, value)| (below(key), value.clone())));
        } else if node["additionalProperties"].is_object() {
            open.push((below("x"), node["additionalProperties"].clone()));
        }
    }
    found
}

/// The keys that the program names when it meets one that it does not know.
fn known_to_the_program(table: &str) -> BTreeSet<String> {
    let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
    let mut tree = Tree::embedded();
    // No name is near it, so that all are listed.
    tree.insert("site.toml", format!("{header}qqqqqqqqqqqqqqqq = 1\n"));
    let error = Spec::load(tree).unwrap_err().to_string();
    let hint = error.split("hint: known: ").nth(1).unwrap_or_else(|| panic!("{table}: {error}"));
    hint.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_schema_has_the_keys_that_the_program_knows() {
    let tables = tables(&schema());
    assert!(tables.len() > 12, "{tables:?}");
    for (table, keys) in tables {
        assert_eq!(known_to_the_program(&table), keys, "[{table}]");
    }
}

/// Every table that the schema has a key of stands in what init writes.
#[test]
fn init_shows_every_key() {
    let all: Vec<&str> = WRITTEN.lines().filter_map(key).collect();
    let shown: BTreeSet<&str> =
        all.iter().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let headers: String = all.iter().filter(|line| line.starts_with('[')).copied().collect();
    for (table, keys) in tables(&schema()) {
        for key in keys {
            let below =
                headers.contains(&format!("[{key}")) || headers.contains(&format!(".{key}"));
            assert!(shown.contains(key.as_str()) || below, "[{table}] {key}");
        }
    }
}

/// What both refuse.
const BAD: &[&str] = &[
    "name = 'The \"best\" site'",
    "name = \"rings a \\u0007\"",
    "nmae = \"x\"",
    "name = 1",
    "domains = \"example.org\"",
    "domains = [\"https://example.org\"]",
    "domains = [\"localhost\"]",
    "domains = [\"Example.org\"]",
    "domains = [\"a..example\"]",
    "domains = [\"-a.example\"]",
    "domains = [\"example.org.\"]",
    "domains = [\"172.16.0.10\"]",
    "domains = [\"shop.123\"]",
    "domains = [\"a.example\", \"a.example\"]",
    "version = \"v 1\"",
    "version = \"1.0+build\"",
    "content = \"\"",
    "content = \".\"",
    "content = \"../..\"",
    "content = \"/\"",
    "content = \"website\"\nweb-root = \"../public\"",
    "content = \"website\"\nweb-root = \"public//a\"",
    "web-root = \"public\"",
    "mirror = \"ftp://example.org/debian\"",
    "packages = [\"Htop\"]",
    "debs = [\"/srv/debs\"]",
    "debs = [\"./debs\"]",
    "debs = [\"debs/../debs\"]",
    "dns = [\"resolver\"]",
    "dns = [\"0.0.0.0\"]",
    "dns = [\"127.0.0.53\"]",
    "dns = [\"224.0.0.251\"]",
    "dns = [\"255.255.255.255\"]",
    "dns = [\"::\"]",
    "dns = [\"0:0:0:0:0:0:0:1\"]",
    "dns = [\"ff02::fb\"]",
    "ntp = [\"\"]",
    "ntp = [\"a.example b.example\"]",
    "ntp = [\"time_1.example\"]",
    "ntp = [\"10.0.0\"]",
    "ntp = [\"10.0.0.256\"]",
    "ntp = [\"127.0.0.1\"]",
    "[admin]\nuser = \"Rose\"",
    "[admin]\nuser = \"2rose\"",
    "[admin]\nuser = \"rose@desk\"",
    "[admin]\nuser = \"_apt\"",
    "[admin]\nuser = \"systemd-oom\"",
    "[admin]\nssh = [\"Private\"]",
    "[admin]\nfrom = [\"10.0.0.0\"]",
    "[admin]\nfrom = [\"10.0.0.0/33\"]",
    "[admin]\nfrom = [\"10.0.0.0/08\"]",
    "[admin]\nfrom = [\"256.0.0.0/8\"]",
    "[admin]\nfrom = [\"2001:db8::/129\"]",
    "[admin]\nfrom = [\"2001:db8:::/64\"]",
    "[admin]\nfrom = [\"office\"]",
    "[timers]\ncheck-ms = \"500ms\"",
    "[timers]\ncheck-ms = -1",
    "[disk]\nstate = \"1T\"",
    "[disk]\nstate = \"01G\"",
    "[disk]\nstate = \"1g\"",
    "[database]\ndisk = \"sdb\"",
    "[database]\ndisk = \"/dev/\"",
    "[database]\ndisk = \"/dev/../sdb\"",
    "[database]\ndisk = \"/dev/mapper/data\"",
    "[database]\ndisk = \"/dev/disk/by-id/..\"",
    "[roles.web]\nports = [80]",
    "[sources.shop]\nurl = \"https://x.example\"\nsuite = \"trixie\"",
    "[sources.Shop]\nurl = \"https://x.example\"\nsuite = \"trixie\"\nkey = \"keys/shop.asc\"",
    "[sources.debian]\nurl = \"https://x.example\"\nsuite = \"trixie\"\nkey = \"keys/shop.asc\"",
    "[sources.shop]\nurl = \"x.example\"\nsuite = \"trixie\"\nkey = \"keys/shop.asc\"",
    "[sources.shop]\nurl = \"https://x.example\"\nsuite = \"../a\"\nkey = \"keys/shop.asc\"",
    "[sources.shop]\nurl = \"https://x.example\"\nsuite = \"a\"\ncomponents = [\"a b\"]\nkey = \"keys/shop.asc\"",
    "[sources.shop]\nurl = \"https://x.example\"\nsuite = \"trixie\"\nkey = \"\"",
    "[architectures.arch4.networks.public]\nv4 = \"172.16.0.0\"",
    "[architectures.arch4.networks.public]\nv4 = \"172.16.0.0/33\"",
    "[architectures.arch4.networks.public]\nv4 = \"2001:db8::/64\"",
    "[architectures.arch4.networks.public]\nv6 = \"off\"",
    "[architectures.arch4.networks.public]\nv6 = \"2001:db8::\"",
    "[architectures.arch4.networks.public]\nv6 = \"172.16.0.0/16\"",
    "[architectures.arch4.networks.public]\ngateway-v4 = \"172.16.0.300\"",
    "[architectures.arch4.networks.public]\ngateway-v6 = \"172.16.0.1\"",
    "[architectures.arch1.networks.public]\ndhcp = true\ngateway-v4 = \"172.16.0.1\"",
    "[architectures.arch1.networks.public]\nrouted = true",
    "[architectures.arch1.networks.public]\nrouted = true\ndhcp = true\ngateway-v4 = \"172.31.1.1\"",
    "[architectures.arch4.addresses.web1.public]\nv4 = \"172.16.0.256\"",
    "[architectures.arch4.addresses.web1.public]\nv4 = \"172.16.0.011\"",
    "[architectures.arch4.addresses.web1.public]\nv6 = \"2001:db8::12345\"",
    "[architectures.arch4.servers.web3]\nroles = [\"Web\"]",
    "[architectures.arch4.servers.web3]\nlike = \"Web2\"",
    "[architectures.arch4.servers.web1]\nadd-roles = [\"Cache\"]",
    "[architectures.arch4.servers.web1]\nssh = [\"Private\"]",
];

#[test]
fn both_refuse_what_is_wrong() {
    for bad in BAD {
        refused(bad);
    }
    refused(&format!("[admin]\nuser = \"{}\"", "r".repeat(33)));
    refused(&format!("domains = [\"{}.example\"]", "a".repeat(64)));
    refused(&format!("domains = [\"{}example\"]", "abcdefghi.".repeat(25)));
    refused(&format!("ntp = [\"{}example\"]", "abcdefghi.".repeat(25)));
}

/// Both refuse it.
fn refused(bad: &str) {
    thread_local!(static VALIDATOR: Validator = validator());
    let said = VALIDATOR.with(|validator| complaint(validator, bad));
    assert!(said.is_some_and(|said| !said.is_empty()), "the schema takes:\n{bad}");
    let read = Spec::read(project(bad).path());
    // That a package's name is none is said by the archive's index, when it is asked.
    assert!(read.is_err() || bad.starts_with("packages"), "the program takes:\n{bad}");
}

/// Both take it.
fn taken(good: &str) {
    thread_local!(static VALIDATOR: Validator = validator());
    let said = VALIDATOR.with(|validator| complaint(validator, good));
    assert_eq!(said, None, "the schema refuses:\n{good}");
    read(good);
}

/// What is just right still, and looks as if it were not.
const GOOD: &[&str] = &[
    "name = \"Rose\u{2019}s \u{201c}best\u{201d} site\"",
    "domains = [\"xn--bcher-kva.example\", \"3com.example\", \"a.b1\", \"0.a\"]",
    "version = \"_1.-\"",
    "content = \"./website\"",
    "content = \"website\"\nweb-root = \"public\"",
    "debs = [\"debs\"]",
    "debs = [\"debs/\", \"debs/shop_1_all.deb\"]",
    "dns = [\"9.9.9.9\", \"2620:fe::fe\", \"10.0.0.1\", \"::2\", \"fe80::1\"]",
    "ntp = [\"Time.Example\", \"ntp\", \"3com.example\", \"192.0.2.1\", \"2001:db8::1\"]",
    "[admin]\nuser = \"rose-2_b\"",
    "[admin]\nfrom = [\"0.0.0.0/0\", \"::/0\", \"10.1.2.3/32\", \"2001:db8::1/128\", \"::ffff:10.0.0.0/104\"]",
    "[disk]\nseed = \"16M\"\nsmallest = \"67108864M\"",
    "[disk]\nsmallest = \"65536G\"",
    "[database]\nsize = \"256M\"\ndisk = \"/dev/disk/by-id/scsi-0HC_Volume_1\"",
    "[database]\nsize = \"1G\"\ndisk = \"/dev/nvme1n1\"",
    "[sources.shop-2]\nurl = \"file:///srv\"\nsuite = \"a/b.c\"\ncomponents = [\"x/y\"]\nkey = \"keys/shop.asc\"",
    "[architectures.arch4.networks.private]\nv6 = \"none\"\nmtu = 1280",
    "[architectures.arch4.networks.private]\nmtu = 9216",
    "[architectures.arch4.networks.public]\ngateway-v4 = \"172.16.0.1\"\ngateway-v6 = \"fe80::1\"",
    "[architectures.arch1.networks.public]\ndhcp = true\ngateway-v6 = \"fe80::1\"",
    "[architectures.arch1.networks.public]\nrouted = true\ngateway-v4 = \"172.31.1.1\"\n[architectures.arch1.addresses.web1.public]\nv4 = \"203.0.113.7\"",
    "[architectures.arch4.addresses.web1.public]\nv6 = \"2001:DB8:0:0:0:0:ffff:13\"",
    "[architectures.arch4.addresses.web1.public]\nv6 = \"2001:db8::255.255.0.19\"",
];

#[test]
fn both_take_what_is_right() {
    for good in GOOD {
        taken(good);
    }
    taken(&format!("[admin]\nuser = \"{}\"", "r".repeat(32)));
    taken(&format!("domains = [\"{}.example\"]", "a".repeat(63)));
}

/// Numbers and sizes that have a first and a last.
#[test]
fn both_know_the_same_bounds() {
    let bounds = [
        ("[timers]\nvrrp-advert-ms", 10, 40_950),
        ("[timers]\ncheck-ms", 1, 3_600_000),
        ("[timers]\ncheck-fall", 1, 1000),
        ("[timers]\ncheck-rise", 1, 1000),
        ("[timers]\nconnect-ms", 1, 3_600_000),
        ("[architectures.arch4.networks.public]\nmtu", 1280, 9216),
    ];
    for (key, least, most) in bounds {
        for good in [least, most] {
            taken(&format!("{key} = {good}"));
        }
        for bad in [least - 1, most + 1] {
            refused(&format!("{key} = {bad}"));
        }
    }
    for bad in ["0M", "1M", "15M", "0G", "65537G", "67108865M", "70000000M", "99999G", "100000G"] {
        refused(&format!("[disk]\nsmallest = \"{bad}\""));
        refused(&format!("[database]\nsize = \"{bad}\""));
    }
    for bad in ["16M", "99M", "100M", "199M", "249M", "255M"] {
        refused(&format!("[database]\nsize = \"{bad}\""));
    }
    for good in ["4G", "9G", "10G", "9999G", "10000G", "59999G", "64999G", "65499G", "65529G"] {
        taken(&format!("[architectures.arch4.servers.web1.disk]\nsmallest = \"{good}\""));
    }
    for good in ["4096M", "9999999M", "10000000M", "66999999M", "67099999M", "67108799M"] {
        taken(&format!("[architectures.arch4.servers.web1.disk]\nsmallest = \"{good}\""));
    }
}

/// One of each type that sshd takes.
const KEYS: [&str; 7] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAOwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo=",
    "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEc3NoOg==",
];

#[test]
fn both_know_a_key_from_what_is_none() {
    let admin = |key: &str| format!("[admin]\nkeys = ['''{key}''']");
    for key in KEYS {
        let (kind, body) = key.split_once(' ').unwrap();
        for good in [key, &format!("{key} rose@desk, at home"), &format!(" {kind}  {body}\t\n")] {
            taken(&admin(good));
        }
        // Cut off, changed, of no type, with options before, or with a line behind.
        let cut = &key[..key.len() - 2];
        for bad in [
            cut,
            &key.replacen("AAAA", "AAAB", 1),
            &key.replacen("AAAA", "AA!A", 1),
            body,
            kind,
            &format!("ssh-dss {body}"),
            &format!("no-pty {key}"),
            &format!("{key} rose\nssh-dss AAAA"),
        ] {
            refused(&admin(bad));
        }
    }
    refused(&admin("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIIJxVQK1vQK8kq3p0yqW0l8T3v8hO5cQyYQv1Xr2mE9z"));
    refused(&admin("-----BEGIN OPENSSH PRIVATE KEY-----"));
}

/// The names that are taken in Debian stand in the schema one by one.
#[test]
fn both_know_whose_name_it_is() {
    let schema = schema();
    let names = &schema["properties"]["admin"]["properties"]["user"]["not"]["enum"];
    let names = names.as_array().unwrap();
    assert_eq!(names.len(), 52);
    for name in names {
        refused(&format!("[admin]\nuser = {name}"));
    }
}

/// The site.toml of every example, with its folder.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("examples")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("site.toml").is_file());
    folders.sort();
    folders
}

#[test]
fn the_examples_are_right() {
    let validator = validator();
    let examples = examples();
    assert!(examples.len() >= 5, "{examples:?}");
    for folder in examples {
        let text = std::fs::read_to_string(folder.join("site.toml")).unwrap();
        assert_eq!(complaint(&validator, &text), None, "{}", folder.display());
        Spec::read(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
}
