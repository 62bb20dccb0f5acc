//! Data flows one way, and a module uses only earlier ones: held to here, over every
//! `crate::` path of src/. Some programs and libraries have one door each.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules, each after all that it may use. Those of one line use each other freely.
const ORDER: [&[&str]; 18] = [
    &["error", "names", "exec", "fs", "fuzzer", "progress", "remote", "threads"],
    &["sandbox"],
    &["store"],
    &["spec"],
    &["graph", "lock", "scenario"],
    &["plan"],
    &["rootfs"],
    &["image"],
    &["build", "seed"],
    &["project"],
    &["qemu"],
    &["netsim"],
    &["client"],
    &["runner", "flash", "status"],
    &["explain"],
    &["diff"],
    &["verify"],
    &["cli"],
];

/// What only one file may name.
const DOORS: [(&str, &str); 3] = [
    ("duct::", "src/exec.rs"),
    ("process::Command", "src/exec.rs"),
    ("minijinja::", "src/plan/render.rs"),
];

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|line| line.contains(&module))
}

/// The module that a file of src/ belongs to; nothing for main.rs and lib.rs, which
/// name all.
fn module_of(file: &Path) -> Option<String> {
    let first = file.strip_prefix("src").unwrap().components().next().unwrap();
    let name = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
    (!["main", "lib"].contains(&name.as_str())).then_some(name)
}

/// What is wrong with a file's imports: a line each.
fn wrong_imports(file: &Path, text: &str) -> Vec<String> {
    let Some(module) = module_of(file) else { return Vec::new() };
    let at = |number: usize| format!("{}:{number}", file.display());
    let Some(own) = place(&module) else {
        return vec![format!(
            "{}: `{module}` has no place in the order of tests/basic/imports.rs",
            at(1)
        )];
    };
    let mut wrong = Vec::new();
    for (number, used) in uses(text) {
        match place(&used) {
            Some(other) if other <= own => {}
            Some(_) => {
                wrong.push(format!("{}: {module} uses {used}, which comes later", at(number)))
            }
            None => {
                wrong.push(format!("{}: {module} uses `{used}`, which has no place", at(number)))
            }
        }
    }
    wrong
}

/// The modules that follow `crate::`, with their lines; `crate::{a, b::C}` has several.
fn uses(text: &str) -> Vec<(usize, String)> {
    let code = without_comments(text);
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        // `$crate::` of a macro and `imagebuild_crate::` are other things.
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + marker.len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => top_level(list),
            None => vec![rest],
        };
        found.extend(names.into_iter().map(first_word).filter(|n| is_module(n)).map(|n| (line, n)));
    }
    found
}

/// Types and macros at the crate's root would start with a capital; there are none.
fn is_module(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The items of a list up to its closing brace, without what nested braces hold.
fn top_level(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                return items;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// The text with comment lines emptied, so that lines keep their numbers: comments may
/// speak of whatever they like.
fn without_comments(text: &str) -> String {
    let code = |line: &str| {
        if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() }
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// Lines that name what only another file may name.
fn wrong_doors(file: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in without_comments(text).lines().enumerate() {
        for (name, door) in DOORS {
            if line.contains(name) && file != Path::new(door) {
                let at = format!("{}:{}", file.display(), number + 1);
                wrong.push(format!("{at}: only {door} may name {name}"));
            }
        }
    }
    wrong
}

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    walkdir::WalkDir::new(root.join("src"))
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|suffix| suffix == "rs"))
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.path().strip_prefix(root).unwrap().to_owned(), text)
        })
        .collect()
}

#[test]
fn modules_use_only_earlier_ones() {
    let wrong: Vec<String> =
        sources().iter().flat_map(|(file, text)| wrong_imports(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_door_is_the_only_one() {
    let wrong: Vec<String> =
        sources().iter().flat_map(|(file, text)| wrong_doors(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_door_leads_somewhere() {
    let sources = sources();
    for (name, door) in DOORS {
        let text = sources.iter().find(|(file, _)| file == Path::new(door)).map(|(_, text)| text);
        assert!(text.is_some_and(|text| text.contains(name)), "{door} does not name {name}");
    }
}

#[test]
fn a_backwards_import_is_found() {
    let wrong = |file: &str, text: &str| wrong_imports(Path::new(file), text);
    let text =
        "//! crate::cli in a comment\nuse crate::error::Error;\nuse crate::plan::step::Step;\n";
    assert_eq!(
        wrong("src/lock/pool.rs", text),
        ["src/lock/pool.rs:3: lock uses plan, which comes later"]
    );
    let nested = "use crate::{\n    fs::{self, cli},\n    qemu::Machine,\n    store,\n};\nfn f() { crate::build::go() }\n";
    assert_eq!(
        wrong("src/store/mod.rs", nested),
        [
            "src/store/mod.rs:1: store uses qemu, which comes later",
            "src/store/mod.rs:6: store uses build, which comes later",
        ]
    );
    assert_eq!(wrong("src/plan/x.rs", "use crate::{lock::Lock, spec, store::Key};\n"), [""; 0]);
    assert_eq!(
        wrong("src/utils.rs", ""),
        ["src/utils.rs:1: `utils` has no place in the order of tests/basic/imports.rs"]
    );
    assert_eq!(
        wrong("src/plan/x.rs", "use crate::utils::x;\n"),
        ["src/plan/x.rs:1: plan uses `utils`, which has no place"]
    );
}

#[test]
fn a_second_door_is_found() {
    let text = "fn f() { duct::cmd(\"sh\", &[]) }\n// duct::cmd\n";
    assert_eq!(
        wrong_doors(Path::new("src/qemu/x.rs"), text),
        ["src/qemu/x.rs:1: only src/exec.rs may name duct::"]
    );
    assert_eq!(wrong_doors(Path::new("src/exec.rs"), text), [""; 0]);
}

/// The files of src/spec, by their module paths below it, with those that each names.
fn spec_graph() -> BTreeMap<String, BTreeSet<String>> {
    let path = |file: &Path| {
        let inside = file.strip_prefix("src/spec").ok()?.with_extension("");
        Some(inside.to_str().unwrap().replace('/', "::"))
    };
    let files: BTreeMap<String, String> = sources()
        .into_iter()
        .filter_map(|(file, text)| Some((path(&file)?, text)))
        .filter(|(name, _)| !name.ends_with("mod"))
        .map(|(name, text)| (name, text.split("#[cfg(test)]").next().unwrap().to_owned()))
        .collect();
    let folder = |name: &str| name.rsplit_once("::").map_or("", |(folder, _)| folder).to_owned();
    let named = |own: &str, text: &str| -> BTreeSet<String> {
        let code = without_comments(text);
        let is_named = |path: &str| {
            code.match_indices(path).any(|(at, _)| {
                let next = code[at + path.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        };
        let names = files.keys().filter(|name| {
            let sibling = format!("super::{}", name.rsplit("::").next().unwrap());
            is_named(&format!("crate::spec::{name}"))
                || (folder(name) == folder(own) && is_named(&sibling))
        });
        names.cloned().collect()
    };
    files.iter().map(|(name, text)| (name.clone(), named(name, text))).collect()
}

/// All that can be reached from a file.
fn reachable(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(next) = open.pop() {
        for one in &graph[&next] {
            if found.insert(one.clone()) {
                open.push(one.clone());
            }
        }
    }
    found
}

#[test]
fn no_circle_of_the_spec_has_more_than_two_files() {
    let graph = spec_graph();
    assert!(graph["load"].contains("check::architecture"), "{graph:?}");
    for file in graph.keys() {
        let circle: Vec<String> = reachable(&graph, file)
            .into_iter()
            .filter(|other| reachable(&graph, other).contains(file))
            .collect();
        assert!(circle.len() <= 2, "{file} is in a circle: {}", circle.join(", "));
    }
}
