//! Texts that are too long for a test's own file. UPDATE_GOLDENS=1 writes them anew;
//! the diff is then read, not trusted.

use std::path::Path;

/// Compares a text with `tests/goldens/<name>`.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let differences = differences(&golden, text);
    assert!(
        differences.is_empty(),
        "{name} (UPDATE_GOLDENS=1 writes it anew):\n{}",
        differences.join("\n")
    );
}

/// The lines that only one of the texts has, between the parts that both share.
fn differences(golden: &str, text: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), text.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let start = old.iter().zip(&new).take_while(same).count();
    let rest = (&old[start..], &new[start..]);
    let end = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(same).count();
    let lines = |sign: char, lines: &[&str]| -> Vec<String> {
        let middle = &lines[start..lines.len() - end];
        middle
            .iter()
            .enumerate()
            .map(|(at, line)| format!("{sign} {:4} {line}", start + at + 1))
            .collect()
    };
    [lines('-', &old), lines('+', &new)].concat()
}

#[test]
fn says_what_differs() {
    assert_eq!(differences("a\nb\nc\n", "a\nx\ny\nc\n"), ["-    2 b", "+    2 x", "+    3 y"]);
    assert_eq!(differences("a\n", "a\n"), [""; 0]);
}
