//! Differences as values, as JSON, and as text.

use crate::explain::changes;
use crate::progress;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// All that differs between two sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The image's name, the same on both sides unless two images are compared.
    pub image: String,
    /// The left side, as the user named it.
    pub a: String,
    /// The right side.
    pub b: String,
    /// Packages whose version differs, or that only one side has.
    pub packages: Vec<Entry>,
    /// Files of the packages.
    pub files: Vec<Entry>,
    /// Files of the configuration.
    pub configuration: Vec<Entry>,
    /// Parts of the disk with another size or another content.
    pub disk: Vec<Entry>,
    /// What could not be compared, and why.
    pub not_compared: Vec<String>,
}

/// One thing that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name or path.
    pub name: String,
    /// What it is on the left side; nothing if it is not there.
    pub from: Option<String>,
    /// What it is on the right side.
    pub to: Option<String>,
    /// Of a text: the lines that differ, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// The entries for two maps from names to descriptions.
pub fn entries(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Entry> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let entry = |name: &String| {
        let (from, to) = (a.get(name).cloned(), b.get(name).cloned());
        (from != to).then(|| Entry { name: name.clone(), from, to, diff: None })
    };
    names.into_iter().filter_map(entry).collect()
}

/// The unified diff of two files, if both are text and differ.
pub fn text_diff(a: &[u8], b: &[u8]) -> Option<String> {
    let (a, b) = (std::str::from_utf8(a).ok()?, std::str::from_utf8(b).ok()?);
    (a != b && !a.contains('\0') && !b.contains('\0')).then(|| changes::unified(a, b))
}

impl Report {
    /// Whether nothing differs in what was compared.
    pub fn is_empty(&self) -> bool {
        let all = [&self.packages, &self.files, &self.configuration, &self.disk];
        all.iter().all(|entries| entries.is_empty())
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}: {} -> {}\n", self.image, self.a, self.b);
        if self.is_empty() && self.not_compared.is_empty() {
            text += "  nothing differs\n";
        }
        let parts = [
            ("packages", &self.packages),
            ("files of the packages", &self.files),
            ("configuration", &self.configuration),
            ("disk", &self.disk),
        ];
        for (title, entries) in parts.iter().filter(|(_, entries)| !entries.is_empty()) {
            text += &format!("{title} ({})\n", entries.len());
            entries.iter().for_each(|entry| text += &entry.to_text());
        }
        self.not_compared.iter().for_each(|why| text += &format!("not compared: {why}\n"));
        text
    }
}

impl Entry {
    fn to_text(&self) -> String {
        let name = &self.name;
        let mut text = match (&self.from, &self.to) {
            (Some(from), Some(to)) if from == to => format!("  {name}\n"),
            (Some(from), Some(to)) => format!("  {name}  {from} -> {to}\n"),
            (Some(from), None) => format!("- {name}  {from}\n"),
            (None, Some(to)) => format!("+ {name}  {to}\n"),
            (None, None) => String::new(),
        };
        for line in self.diff.iter().flat_map(|diff| diff.lines()) {
            text += &format!("    {line}\n");
        }
        text
    }
}

/// "113.2 MB (113204000 bytes)".
pub fn size(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", progress::bytes(bytes))
}
