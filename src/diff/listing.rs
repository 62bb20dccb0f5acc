//! Two listed trees, file by file.

use super::report::{Entry, entries};
use crate::sandbox::{FileKind, ListedFile};
use std::collections::BTreeMap;

/// The files that differ, by path, with what they are on each side.
pub fn differences(a: &[ListedFile], b: &[ListedFile]) -> Vec<Entry> {
    let map = |files: &[ListedFile]| -> BTreeMap<String, String> {
        files.iter().map(|file| (format!("/{}", file.path), shown(file))).collect()
    };
    entries(&map(a), &map(b))
}

/// A file in one line: all that a listing holds of it.
pub fn shown(file: &ListedFile) -> String {
    let kind = match &file.kind {
        FileKind::File { sha256, size, hard_link } => {
            let link = hard_link.as_ref().map(|to| format!(", the same file as /{to}"));
            let digest = &sha256.to_string()[..12];
            format!("file of {size} bytes, sha256 {digest}…{}", link.unwrap_or_default())
        }
        FileKind::Directory => "folder".to_owned(),
        FileKind::Symlink { target } => format!("link to {target}"),
        FileKind::Special { what } => format!("special file {what}"),
    };
    let xattrs: String =
        file.xattrs.iter().map(|(name, value)| format!(", {name}={value}")).collect();
    format!("{:04o} {}:{} {kind}{xattrs}", file.mode, file.uid, file.gid)
}
