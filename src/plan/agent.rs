//! The source of the agent of a pair of databases: the crate in `pair/`, which is compiled for
//! the images by Debian's own compiler, and tested by the simulator in `cargo test`.

use std::collections::BTreeMap;

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/pair/", $path)))),*]
    };
}

/// How it is compiled: small, and nothing in it that depends on how the work was divided.
const PROFILE: &str = "
[profile.release]
opt-level = \"s\"
codegen-units = 1
panic = \"abort\"
strip = true
";

/// cargo's configuration, for work in [`WORK`]. Crates come from Debian's packages. The linker is
/// run by rustc itself: gcc would be 40 MB more to fetch, only to run it. What gcc would add is
/// the C library's start, the loader's name, and `libgcc_s.so`, a link that Debian has in gcc's
/// own package.
const CONFIGURATION: &str = "
[source.crates-io]
replace-with = \"debian\"
[source.debian]
directory = \"/usr/share/cargo/registry\"
[build]
rustflags = [
    \"-Clinker=ld\", \"-Clinker-flavor=ld\", \"--remap-path-prefix=/out/work=/agent\",
    \"-Clink-arg=-L/out/work/lib\", \"-Clink-arg=-L/usr/lib/x86_64-linux-gnu\",
    \"-Clink-arg=--dynamic-linker=/lib64/ld-linux-x86-64.so.2\",
    \"-Clink-arg=/usr/lib/x86_64-linux-gnu/Scrt1.o\",
    \"-Clink-arg=/usr/lib/x86_64-linux-gnu/crti.o\", \"-Clink-arg=/usr/lib/x86_64-linux-gnu/crtn.o\",
]
";

/// Where it is compiled, inside the sandbox.
pub(crate) const WORK: &str = "/out/work";
/// The file with [`CONFIGURATION`].
pub(crate) const CARGO: &str = "cargo.toml";

/// All files that it is compiled from, by their paths: the crate's own, its manifest by itself
/// (without the workspace and without what tests bring), and how it is compiled.
pub(super) fn files() -> BTreeMap<&'static str, String> {
    let text = |(path, text): (&'static str, &str)| match path {
        "Cargo.toml" => {
            let end = text.find("\n[[test]]").unwrap_or(text.len());
            (path, format!("{}\n[workspace]\n{PROFILE}", &text[..end]))
        }
        _ => (path, text.to_owned()),
    };
    sources().into_iter().map(text).chain([(CARGO, CONFIGURATION.to_owned())]).collect()
}

/// The crate's files, by their paths in it.
fn sources() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from(sources![
        "Cargo.toml",
        "src/agent/commands.rs",
        "src/agent/copying.rs",
        "src/agent/look.rs",
        "src/agent/main.rs",
        "src/agent/register_file.rs",
        "src/agent/report.rs",
        "src/agent/runtime.rs",
        "src/agent/runtime/database.rs",
        "src/agent/runtime/show.rs",
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
        "src/member/tests.rs",
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
