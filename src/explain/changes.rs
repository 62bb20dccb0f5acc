//! What changed between two values of one kind, in words: from what, to what.
//!
//! Works on the JSON of a step, so that no field of any step can be forgotten. Lists of
//! packages and of files are compared by name and path, text by lines.

use serde_json::Value;
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Lines of a text's difference that are shown at most.
const MOST_LINES: usize = 20;
/// Characters of one value that are shown at most.
const MOST_CHARS: usize = 80;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A value that both have, and that is another now.
    Other {
        /// Where: `files /etc/motd mode`.
        at: String,
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
    /// A text of several lines that is another now.
    Text {
        /// Where.
        at: String,
        /// A unified difference, without a head.
        diff: String,
    },
    /// What was not there.
    New(String),
    /// What is not there any more.
    Gone(String),
    /// A result that the step reads, by the name of its step.
    Input(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Other { at, from, to } => write!(f, "{at}: {from} -> {to}"),
            Change::Text { at, diff } => write!(f, "{at}:\n{}", diff.trim_end()),
            Change::New(what) => write!(f, "{what}: new"),
            Change::Gone(what) => write!(f, "{what}: gone"),
            Change::Input(step) => write!(f, "reads {step}"),
        }
    }
}

/// All changes from `old` to `new`; strings that `steps` knows are results of steps.
pub fn changes(old: &Value, new: &Value, steps: &BTreeMap<String, String>) -> Vec<Change> {
    let mut compare = Compare { steps, found: Vec::new() };
    compare.values("", old, new);
    compare.found
}

struct Compare<'a> {
    steps: &'a BTreeMap<String, String>,
    found: Vec<Change>,
}

impl Compare<'_> {
    fn values(&mut self, at: &str, old: &Value, new: &Value) {
        if old == new {
            return;
        }
        if let (Value::Object(old), Value::Object(new)) = (old, new) {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let pairs = names.into_iter().map(|name| (name.clone(), old.get(name), new.get(name)));
            return self.members(at, pairs.collect());
        }
        if let (Some(old), Some(new)) = (by_name(old), by_name(new))
            && old != new
        {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let pairs = names
                .into_iter()
                .map(|name| (name.clone(), old.get(name).copied(), new.get(name).copied()));
            return self.members(at, pairs.collect());
        }
        if let (Value::String(old), Value::String(new)) = (old, new) {
            return self.strings(at, old, new);
        }
        let change = Change::Other { at: at.to_owned(), from: shown(old), to: shown(new) };
        self.found.push(change);
    }

    fn members(&mut self, at: &str, pairs: Vec<(String, Option<&Value>, Option<&Value>)>) {
        for (name, old, new) in pairs {
            let at = place(at, &name);
            match (old, new) {
                (Some(old), Some(new)) => self.values(&at, old, new),
                (Some(_), None) => self.found.push(Change::Gone(at)),
                (None, Some(_)) => self.found.push(Change::New(at)),
                (None, None) => {}
            }
        }
    }

    fn strings(&mut self, at: &str, old: &str, new: &str) {
        let at = at.to_owned();
        let change = match (self.steps.get(old), self.steps.get(new)) {
            (Some(_), Some(step)) => Change::Input(step.clone()),
            _ if old.contains('\n') || new.contains('\n') => {
                Change::Text { at, diff: diff(old, new) }
            }
            _ => Change::Other { at, from: short(old), to: short(new) },
        };
        self.found.push(change);
    }
}

/// A list as a map, if all its members have a name or a path, or are words.
fn by_name(value: &Value) -> Option<BTreeMap<String, &Value>> {
    let name = |member: &Value| match member {
        Value::String(word) => Some(word.clone()),
        Value::Object(fields) => {
            let named =
                ["path", "name", "label", "interface"].iter().find_map(|key| fields.get(*key));
            named.and_then(Value::as_str).map(str::to_owned)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    let list = value.as_array()?;
    let named: BTreeMap<String, &Value> =
        list.iter().map(|member| Some((name(member)?, member))).collect::<Option<_>>()?;
    // Two of one name, or only another order: the list as a whole says it.
    (named.len() == list.len()).then_some(named)
}

/// Names of fields that only say how a value is written do not help a reader.
fn place(at: &str, name: &str) -> String {
    if name == "content" || name == "bytes" || at.is_empty() {
        return if at.is_empty() { name.to_owned() } else { at.to_owned() };
    }
    format!("{at} {name}")
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => short(text),
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            short(&value.to_string())
        }
    }
}

/// One line, not too long; digests by their first digits.
fn short(text: &str) -> String {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return format!("{}…", &text[..12]);
    }
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(MOST_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    if short.is_empty() { "nothing".to_owned() } else { short }
}

/// A unified diff with three lines around each change, without a head.
pub fn unified(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).to_string()
}

/// The lines that differ, with one line around them, and not too many.
fn diff(old: &str, new: &str) -> String {
    let text = TextDiff::from_lines(old, new);
    let all = text.unified_diff().context_radius(1).missing_newline_hint(false).to_string();
    let lines: Vec<&str> = all.lines().collect();
    let mut shown = lines[..lines.len().min(MOST_LINES)].join("\n");
    if lines.len() > MOST_LINES {
        shown += &format!("\n({} more lines)", lines.len() - MOST_LINES);
    }
    shown + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(old: &Value, new: &Value) -> Vec<String> {
        let steps = BTreeMap::from([("k1".into(), "tools".into()), ("k2".into(), "tools".into())]);
        changes(old, new, &steps).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_kind_of_change_is_named() {
        let old = json!({ "tools": "k1", "size": 4, "packages": [
            { "name": "a", "version": "1" }, { "name": "b", "version": "1" } ],
            "files": [{ "path": "/etc/x", "content": { "bytes": "one\ntwo\n" } }], "words": ["x"] });
        let new = json!({ "tools": "k2", "size": 8, "packages": [
            { "name": "a", "version": "2" }, { "name": "c", "version": "1" } ],
            "files": [{ "path": "/etc/x", "content": { "bytes": "one\n2\n" } }], "words": ["x", "y"] });
        assert_eq!(
            told(&old, &new),
            [
                "files /etc/x:\n@@ -1,2 +1,2 @@\n one\n-two\n+2",
                "packages a version: 1 -> 2",
                "packages b: gone",
                "packages c: new",
                "size: 4 -> 8",
                "reads tools",
                "words y: new",
            ]
        );
        assert_eq!(told(&old, &old), [""; 0]);
    }

    #[test]
    fn another_order_is_a_change_too() {
        let (old, new) = (json!({ "argv": ["a", "b", "a"] }), json!({ "argv": ["a", "a", "b"] }));
        assert_eq!(told(&old, &new), [r#"argv: ["a","b","a"] -> ["a","a","b"]"#]);
        let (old, new) = (json!({ "argv": ["a", "b"] }), json!({ "argv": ["b", "a"] }));
        assert_eq!(told(&old, &new), [r#"argv: ["a","b"] -> ["b","a"]"#]);
    }

    proptest::proptest! {
        /// Whatever differs, something is said; what does not, nothing.
        #[test]
        fn no_change_is_overlooked(old in proptest::collection::vec("[a-c]{0,2}", 0..4),
                                   new in proptest::collection::vec("[a-c]{0,2}", 0..4)) {
            let said = told(&json!({ "x": old }), &json!({ "x": new }));
            proptest::prop_assert_eq!(said.is_empty(), old == new);
        }
    }
}
