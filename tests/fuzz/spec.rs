//! TOML that people write, and the lock that is merged by hand: what is wrong is shown
//! with its file, line and column.

use crate::fuzzer::Fuzz;
use crate::in_little_memory;
use imagebuild::error::Error;
use imagebuild::lock::Lock;
use imagebuild::scenario::{Promises, Scenario};
use imagebuild::spec::{Spec, Tree};
use std::path::Path;

const TOML: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    "\"\"\"",
    "\n",
    "#",
    ",",
    ".",
    "true",
    "inf",
    "nan",
    "[]",
    "{}",
    "\"\"",
    "\u{e9}",
    "\\u0000",
    "\0",
    "1979-05-27T07:32:00Z",
    "0x",
    "{{",
    "..",
    "/",
    "::",
    "0.0.0.0/0",
    "::/0",
    "255.255.255.255",
    "K",
    "T",
    "-",
    "é",
];

/// That an error says where: in `file`, at a place that it has, with the line itself.
fn points_into(error: &Error, file: &str, text: &str) {
    let said = error.to_string();
    let place = said.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let place = place.unwrap_or_else(|| panic!("no place: {said}"));
    let (path, line, column) = match place.rsplitn(3, ':').collect::<Vec<_>>()[..] {
        [column, line, path] => (path, line, column),
        _ => panic!("{place}"),
    };
    if path != file {
        return;
    }
    let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
    let there = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("no such line: {said}"));
    assert!(column <= there.chars().count() + 1, "no such column: {said}");
}

/// A place must be there for all that is wrong inside a file.
fn read_spec(tree: Tree, file: &str, bytes: &[u8]) {
    let Err(error) = Spec::load(tree) else { return };
    match std::str::from_utf8(bytes) {
        Ok(text) => points_into(&error, file, text),
        Err(_) => assert!(error.message().starts_with(&format!("{file} is not UTF-8")), "{error}"),
    }
}

/// The built-in project with the site's own key and folders, and one architecture.
fn project(architecture: &str) -> Tree {
    let mut tree = Tree::default();
    for (path, file) in Tree::embedded().files() {
        if !path.starts_with("images/") || path == format!("images/{architecture}.toml") {
            tree.insert(path, file.content.clone());
        }
    }
    tree.insert("keys/shop.asc", "a key");
    tree
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let tree = Tree::embedded();
    tree.below(folder).map(|(_, file)| file.content.clone()).collect()
}

fn fuzz_file(parser: &'static str, file: &str, seeds: Vec<Vec<u8>>, tree: &Tree) {
    in_little_memory(|| {
        Fuzz::of(parser, TOML).with(seeds).rounds(1500).run(|bytes| {
            let mut tree = tree.clone();
            tree.insert(file, bytes);
            read_spec(tree, file, bytes);
        });
    });
}

#[test]
fn sites() {
    let examples = ["dhcp", "own-addresses", "own-packages", "three-web-servers"];
    let read = |name: &&str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read(root.join("examples").join(name).join("site.toml")).unwrap()
    };
    fuzz_file("site", "site.toml", examples.iter().map(read).collect(), &project("arch6"));
}

#[test]
fn architectures() {
    fuzz_file("image", "images/arch1.toml", files("images"), &project("arch1"));
}

#[test]
fn roles() {
    fuzz_file("role", "roles/web.toml", files("roles"), &project("arch1"));
}

#[test]
fn scenarios() {
    let spec = Spec::load(Tree::embedded()).unwrap();
    let architecture = spec.architecture("arch4").unwrap();
    let promises = Promises::built_in();
    let file = "vm-tests/arch4/x.toml";
    in_little_memory(|| {
        Fuzz::of("scenario", TOML).with(files("vm-tests")).rounds(6000).run(|bytes| {
            let Err(error) = Scenario::read(file, bytes, architecture, &promises) else { return };
            match std::str::from_utf8(bytes) {
                Ok(text) => points_into(&error, file, text),
                Err(_) => assert!(error.message().contains("is not UTF-8"), "{error}"),
            }
        });
    });
}

#[test]
fn locks() {
    in_little_memory(|| {
        Fuzz::of("lock", TOML).rounds(8000).run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let file = "imagebuild.lock";
            match Lock::parse(Path::new(file), &text) {
                Err(error) => points_into(&error, file, &text),
                Ok(lock) => {
                    let written = lock.to_text();
                    assert_eq!(Lock::parse(Path::new(file), &written).unwrap(), lock);
                }
            }
        });
    });
}
