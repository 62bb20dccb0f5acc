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
        let together = table.contains("web3") || table.contains("[sources.");
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

const WRITTEN: &str = include_str!("../src/cli/site.toml");

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

const BAD: [&str; 23] = [
    "name = 'The \"best\" site'",
    "nmae = \"x\"",
    "name = 1",
    "domains = \"example.org\"",
    "domains = [\"https://example.org\"]",
    "version = \"v 1\"",
    "content = \"\"",
    "web-root = \"../public\"",
    "mirror = \"ftp://example.org/debian\"",
    "packages = [\"Htop\"]",
    "debs = [\"/srv/debs\"]",
    "dns = [\"resolver\"]",
    "[admin]\nkeys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]",
    "[timers]\ncheck-ms = \"500ms\"",
    "[timers]\ncheck-ms = -1",
    "[disk]\nstate = \"1T\"",
    "[database]\ndisk = \"sdb\"",
    "[roles.web]\nports = [80]",
    "[sources.shop]\nurl = \"https://x.example\"\nsuite = \"trixie\"",
    "[architectures.arch4.networks.public]\nv4 = \"172.16.0.0\"",
    "[architectures.arch4.networks.public]\nv6 = \"off\"",
    "[architectures.arch4.addresses.web1.public]\nv4 = \"172.16.0.256\"",
    "[architectures.arch4.servers.web3]\nroles = [\"web\"]",
];

#[test]
fn both_refuse_what_is_wrong() {
    let validator = validator();
    for bad in BAD {
        assert!(complaint(&validator, bad).is_some(), "the schema takes:\n{bad}");
        let read = Spec::read(project(bad).path());
        // That a package's name is none is said by the archive's index, when it is asked.
        assert!(read.is_err() || bad.contains("packages"), "the program takes:\n{bad}");
        assert!(!complaint(&validator, bad).unwrap().is_empty());
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
