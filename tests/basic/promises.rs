//! docs/promises.md is rendered from src/scenario/promises.toml, with the scenarios that test each.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use goldenfile::Mint;
use imagebuild::scenario::{Promise, Promises, Scenario};
use imagebuild::spec::{Spec, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

const INTRODUCTION: &str = r#"# What the images promise

Each row is a promise of an architecture, rendered from `src/scenario/promises.toml`. Scenarios in
`vm-tests/` refer to it by its number (`promise = "A4.1"`). If a scenario names a number that is
not listed there, that is an error. A row without a scenario is a promise that no scenario tests
yet.

Times are those of real machines: from the fault until web users get good answers
again. *ours* follows from the timers of `images/` (VRRP 3 with an advert every 250 ms,
HAProxy's checks every 500 ms, two failures). *book's* is what the timers of the book
"Web Scaling vol. 1: Small Architectures" ([book.md](book.md)) would give, for comparison. Under
emulation the guests' timers and all bounds are multiplied by one measured number (`time-scale`);
reports also give the times in advert intervals, which do not depend on it.

A promise without a time holds whenever it is checked.
"#;

/// The scenarios that refer to each promise.
fn tested() -> BTreeMap<String, BTreeSet<String>> {
    let spec = Spec::load(Tree::embedded()).unwrap();
    let mut tested: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for architecture in spec.architectures.values() {
        for scenario in Scenario::of_architecture(&spec.tree, architecture).unwrap() {
            for promise in scenario.promise.into_iter().chain(scenario.also) {
                tested.entry(promise).or_default().insert(scenario.name.clone());
            }
        }
    }
    tested
}

fn row(promise: &Promise, scenarios: Option<&BTreeSet<String>>) -> String {
    let or_empty = |time: &Option<String>| time.clone().unwrap_or_default();
    let names = scenarios.into_iter().flatten().map(|name| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    let (ours, book) = (or_empty(&promise.ours), or_empty(&promise.book));
    let row = format!("| **{}** | {} | {ours} | {book} | {names} |", promise.number, promise.text);
    row.replace("|  |", "| |").replace("|  |", "| |") + "\n"
}

#[test]
fn the_document_says_what_is_promised_and_what_tests_it() {
    let tested = tested();
    let mut text = INTRODUCTION.to_owned();
    for group in Promises::built_in().groups {
        text += &format!("\n## {}\n\n", group.title);
        text += "| # | promise | ours | book's | scenarios |\n|---|---|---|---|---|\n";
        for promise in &group.promises {
            text += &row(promise, tested.get(&promise.number));
        }
        if let Some(note) = group.note {
            text += &format!("\n{note}\n");
        }
    }
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    Mint::new(docs).new_goldenfile("promises.md").unwrap().write_all(text.as_bytes()).unwrap();
}
