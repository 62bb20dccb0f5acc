//! Compares two listed trees, file by file, and says how they differ.

#![allow(dead_code, reason = "every test uses a part of it")]

use imagebuild::diff::listing::shown;
use imagebuild::sandbox::{FileKind, ListedFile, Root, Sandbox};
use std::collections::BTreeMap;
use std::path::Path;

/// A path at which two trees differ, and how; for text a unified diff comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: String,
    pub(crate) what: String,
    /// Whether both have a regular file there, with other content.
    pub(crate) content: bool,
}

/// All differences, in the order of paths.
pub(crate) fn differences(ours: &[ListedFile], theirs: &[ListedFile]) -> Vec<Difference> {
    let by_path = |listing: &[ListedFile]| -> BTreeMap<String, ListedFile> {
        listing.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (ours, theirs) = (by_path(ours), by_path(theirs));
    let only = |path: &str, whose: &str, file: &ListedFile| Difference {
        path: path.to_owned(),
        what: format!("only in {whose}: {}", shown(file)),
        content: false,
    };
    let mut all = Vec::new();
    for (path, our) in &ours {
        match theirs.get(path) {
            None => all.push(only(path, "imagebuild's tree", our)),
            Some(their) => all.extend(difference(our, their)),
        }
    }
    let missing = theirs.iter().filter(|(path, _)| !ours.contains_key(*path));
    all.extend(missing.map(|(path, their)| only(path, "apt's tree", their)));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn difference(our: &ListedFile, their: &ListedFile) -> Option<Difference> {
    if our == their {
        return None;
    }
    let content = match (&our.kind, &their.kind) {
        (FileKind::File { sha256: a, .. }, FileKind::File { sha256: b, .. }) => a != b,
        _ => false,
    };
    let what = format!("imagebuild: {}\n      apt: {}", shown(our), shown(their));
    Some(Difference { path: our.path.clone(), what, content })
}

/// The differences as a text for people; files of text with their unified diff, by
/// the diff(1) of the tools closure.
pub(crate) fn report(all: &[Difference], tools: &Path, ours: &Path, theirs: &Path) -> String {
    let mut sandbox = Sandbox::new(Root::ReadOnly(tools.to_owned()), 0)
        .bind(ours, "/imagebuild")
        .bind(theirs, "/apt");
    for difference in all.iter().filter(|difference| difference.content) {
        let [a, b] = ["imagebuild", "apt"].map(|side| format!("/{side}/{}", difference.path));
        sandbox = sandbox.program(["diff", "-u", &b, &a], &[], false);
    }
    let mut diffs = sandbox.execute().unwrap_or_else(|error| panic!("{error}")).into_iter();
    let mut text = format!("{} paths differ\n", all.len());
    for difference in all {
        text += &format!("\n/{}\n  {}\n", difference.path, difference.what);
        if difference.content {
            let lines = diffs.next().map(|outcome| outcome.output).unwrap_or_default();
            lines.lines().take(40).for_each(|line| text += &format!("    {line}\n"));
        }
    }
    text
}
