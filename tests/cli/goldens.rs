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
    assert_eq!(golden, text, "{name} (UPDATE_GOLDENS=1 writes it anew)");
}
