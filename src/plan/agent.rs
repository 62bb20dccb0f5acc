//! The source of the agent of a pair of databases: the crate in `pair/`, which is compiled for
//! the images by Debian's own compiler, and tested by the simulator in `cargo test`.

use std::collections::BTreeMap;

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/pair/", $path)))),*]
    };
}

/// Its files, by their paths in the crate.
pub(super) fn sources() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from(sources![
        "Cargo.toml",
        "src/agent/commands.rs",
        "src/agent/copying.rs",
        "src/agent/look.rs",
        "src/agent/main.rs",
        "src/agent/register_file.rs",
        "src/agent/report.rs",
        "src/agent/runtime.rs",
        "src/agent/session.rs",
        "src/agent/settings.rs",
        "src/agent/threads.rs",
        "src/agent/wire.rs",
        "src/config.rs",
        "src/database.rs",
        "src/lib.rs",
        "src/member.rs",
        "src/member/deciding.rs",
        "src/member/hearing.rs",
        "src/member/rounds.rs",
        "src/message.rs",
        "src/register.rs",
        "src/times.rs",
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What is missing here is missing in the images.
    #[test]
    fn all_of_the_crate_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("pair");
        let files = walkdir::WalkDir::new(root.join("src")).into_iter().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().is_file());
        let path = |entry: walkdir::DirEntry| {
            entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned()
        };
        let mut found: Vec<String> = files.map(path).chain(["Cargo.toml".to_owned()]).collect();
        found.sort();
        assert_eq!(sources().into_keys().collect::<Vec<_>>(), found);
    }
}
