//! Sorts files whose order is the order in which packages were installed.

use crate::error::{Error, Result};
use crate::fs;
use std::collections::HashMap;
use std::path::Path;

/// Sorts the paragraphs (text between blank lines), by their first line.
pub(super) fn paragraphs(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let mut paragraphs: Vec<&str> = text.split("\n\n").map(|p| p.trim_matches('\n')).collect();
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.sort_unstable();
    let sorted: String = paragraphs.iter().map(|paragraph| format!("{paragraph}\n\n")).collect();
    std::fs::write(path, sorted).map_err(|e| Error::io("write", path, &e))
}

/// Sorts the lines, if the file is there.
pub(super) fn lines(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let sorted: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(path, sorted).map_err(|e| Error::io("write", path, &e))
}

/// Sorts passwd(5) or group(5) by number, and the file with the passwords in the same
/// order: what `pwck --sort` and `grpck --sort` do.
pub(super) fn accounts(path: &Path, shadow: &Path) -> Result<()> {
    let [text, secrets] = [fs::read_to_string(path)?, fs::read_to_string(shadow)?];
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let number = |line: &str| line.split(':').nth(2).and_then(|n| n.parse::<u32>().ok());
    let numbers: HashMap<String, u32> =
        text.lines().filter_map(|line| Some((name(line), number(line)?))).collect();
    let place = |line: &str| numbers.get(&name(line)).copied().unwrap_or(u32::MAX);
    for (path, text) in [(path, &text), (shadow, &secrets)] {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| place(line));
        let sorted: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(path, sorted).map_err(|e| Error::io("write", path, &e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_sorted_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let [path, shadow] = ["passwd", "shadow"].map(|name| folder.path().join(name));
        std::fs::write(&path, "root:x:0:0::/:\nb:x:503:1::/:\na:x:99:1::/:\n").unwrap();
        std::fs::write(&shadow, "root:*::\nb:!::\na:*::\n").unwrap();
        accounts(&path, &shadow).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "root:x:0:0::/:\na:x:99:1::/:\nb:x:503:1::/:\n");
        assert_eq!(read(&shadow), "root:*::\na:*::\nb:!::\n");
    }
}
