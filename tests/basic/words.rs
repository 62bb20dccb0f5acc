//! The words of the code are those of the field's manuals. Some were ours alone once, and a
//! reader had to learn them: none of them comes back as a name, or as a key of a file.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The word that is not used, and the one that is.
const WORDS: [(&str, &str); 42] = [
    ("aside", "temporary"),
    ("bell", "waker"),
    ("beside", "external, next to"),
    ("blame", "cause, attribution"),
    ("calm", "clear_impairment"),
    ("cast", "aliases"),
    ("crowd", "clients"),
    ("deed", "action"),
    ("deeds", "actions"),
    ("disturb", "impair"),
    ("disturbance", "impairment"),
    ("doer", "action runner"),
    ("ear", "wakeups"),
    ("fate", "status"),
    ("fates", "statuses"),
    ("felt", "impact"),
    ("flight", "in_flight"),
    ("heal", "reset_network"),
    ("landed", "completed"),
    ("lend", "acquire"),
    ("lent", "guard"),
    ("looker", "prober"),
    ("manner", "options"),
    ("masked", "negative control"),
    ("mend", "reconnect"),
    ("programme", "suite"),
    ("props", "config"),
    ("saying", "message"),
    ("sighting", "observation"),
    ("sightings", "observations"),
    ("silence", "outage"),
    ("stage", "cluster"),
    ("stages", "clusters"),
    ("story", "scenario run"),
    ("stretch", "time_scale"),
    ("stretched", "scaled"),
    ("strike", "shut_down"),
    ("surroundings", "context, environment"),
    ("sweep", "checks"),
    ("throwaway", "dummy"),
    ("twin", "peer"),
    ("wish", "spec"),
];

/// Names that have such a word and keep it, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("in_flight", "the field's word"),
    ("masked_eq", "seccompiler's"),
    ("cast_signed", "the standard library's"),
    ("cast_unsigned", "the standard library's"),
];

/// The words of a name: `InFlight`, `in_flight`, `in-flight` have the same two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c == '-' {
            words.push(String::new());
            continue;
        }
        if c.is_uppercase() && words.last().is_some_and(|w| w.ends_with(char::is_lowercase)) {
            words.push(String::new());
        }
        words.last_mut().unwrap().extend(c.to_lowercase());
    }
    words
}

/// The names in a line of Rust, without its texts and comments.
fn names(line: &str) -> BTreeSet<String> {
    let mut code = String::new();
    let (mut in_text, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        if !in_text && line[at..].starts_with("//") {
            break;
        }
        let is_quote = c == '"' && !escaped;
        escaped = in_text && c == '\\' && !escaped;
        in_text ^= is_quote;
        code.push(if in_text || is_quote { ' ' } else { c });
    }
    let name = |c: char| c.is_alphanumeric() || c == '_';
    code.split(|c| !name(c)).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// The keys and the tables in a line of TOML.
fn keys(line: &str) -> BTreeSet<String> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return BTreeSet::new();
    }
    let is_of_key = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    if let Some(table) = line.strip_prefix('[') {
        return table.split(|c| !is_of_key(c)).map(str::to_owned).collect();
    }
    let mut found = BTreeSet::new();
    for (at, _) in line.match_indices('=') {
        let before = line[..at].trim_end();
        let start = before.rfind(|c| !is_of_key(c)).map_or(0, |at| at + 1);
        found.insert(before[start..].to_owned());
    }
    found
}

/// What is wrong with a file's names: a line each.
fn wrong(file: &Path, text: &str) -> Vec<String> {
    let is_toml = file.extension().is_some_and(|suffix| suffix == "toml");
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for name in if is_toml { keys(line) } else { names(line) } {
            let plain = words(&name).join("_");
            if EXCEPTIONS.iter().any(|(known, _)| plain.contains(known)) {
                continue;
            }
            for word in words(&name) {
                if let Some((_, better)) = WORDS.iter().find(|(one, _)| *one == word) {
                    let at = format!("{}:{}", file.display(), number + 1);
                    wrong.push(format!("{at}: `{name}`: say {better}"));
                }
            }
        }
    }
    wrong
}

fn files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "vm-tests", "roles", "images", "examples"];
    let mut files = Vec::new();
    for entry in folders.iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder))) {
        let path = entry.unwrap().into_path();
        let is_read = path.extension().is_some_and(|suffix| suffix == "rs" || suffix == "toml");
        let is_own =
            path.ends_with("tests/basic/words.rs") || path.starts_with(root.join("tests/goldens"));
        if is_read && !is_own {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path.strip_prefix(root).unwrap().to_owned(), text));
        }
    }
    files.sort();
    files
}

#[test]
fn names_are_the_fields_words() {
    let wrong: Vec<String> = files().iter().flat_map(|(file, text)| wrong(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_old_word_is_found() {
    let rust = |text: &str| wrong(Path::new("x.rs"), text);
    assert_eq!(rust("fn f() { stage.go(\"stage\") } // stage"), ["x.rs:1: `stage`: say cluster"]);
    assert_eq!(rust("struct MyCrowd;\n"), ["x.rs:1: `MyCrowd`: say clients"]);
    assert_eq!(rust("let in_flight = InFlight::new(\"a \\\" crowd\");"), [""; 0]);
    let toml = |text: &str| wrong(Path::new("x.toml"), text);
    assert_eq!(toml("[cast]\n"), ["x.toml:1: `cast`: say aliases"]);
    assert_eq!(
        toml("expect = [{ load = { name = \"cast\", silence = 1 } }]\n"),
        ["x.toml:1: `silence`: say outage"]
    );
    assert_eq!(toml("# cast = 1\nalias = \"cast\"\n"), [""; 0]);
}
