//! The agent of a pair of databases, compiled inside the sandbox by the Debian toolchain that
//! the lock names: the same bytes on every machine.

use crate::error::{Error, Result};
use crate::fs;
use crate::sandbox::{Root, Sandbox};
use std::collections::BTreeMap;
use std::path::Path;

/// The program's file in the step's result.
pub(super) const PROGRAM: &str = "imagebuild-replication";

/// Where it is compiled, inside the sandbox: the path gets into nothing.
const WORK: &str = "/out/work";

/// How: small, and nothing in it that depends on how the work was divided.
const PROFILE: &str = "
[profile.release]
opt-level = \"s\"
codegen-units = 1
panic = \"abort\"
strip = true
";

/// Crates come from Debian's packages. The linker is run by rustc itself: gcc would be 40 MB more
/// to fetch, only to run it. What gcc would add is the C library's start, the loader's name, and
/// `libgcc_s.so`, a link that Debian has in gcc's own package.
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

/// Compiles the sources into `out/imagebuild-replication`.
pub(super) fn compile(
    compiler: &Path,
    sources: &BTreeMap<&'static str, &'static str>,
    epoch: u64,
    out: &Path,
) -> Result<()> {
    let work = out.join("work");
    for (path, text) in sources {
        let text = if *path == "Cargo.toml" { manifest(text) } else { (*text).to_owned() };
        write(&work.join(path), &text)?;
    }
    write(&work.join("cargo.toml"), CONFIGURATION)?;
    let lib = work.join("lib");
    fs::create_dir_all(&lib)?;
    let link = lib.join("libgcc_s.so");
    std::os::unix::fs::symlink("/usr/lib/x86_64-linux-gnu/libgcc_s.so.1", &link)
        .map_err(|e| Error::io("make", &link, &e))?;
    let (manifest, configuration) = (format!("{WORK}/Cargo.toml"), format!("{WORK}/cargo.toml"));
    let cargo = ["cargo", "build", "--quiet", "--release", "--offline"];
    let places = ["--manifest-path", &manifest, "--config", &configuration];
    Sandbox::new(Root::ReadOnly(compiler.to_owned()), epoch)
        .bind_writable(out, "/out")
        .program(cargo.into_iter().chain(places), &[("CARGO_HOME", "/out/work/home")], true)
        .execute()?;
    let made = work.join("target/release").join(PROGRAM);
    std::fs::rename(&made, out.join(PROGRAM)).map_err(|e| Error::io("move", &made, &e))?;
    crate::sandbox::remove_tree(&work)
}

/// The crate's manifest by itself: without the workspace's lock and without what tests bring.
fn manifest(text: &str) -> String {
    let end = text.find("\n[[test]]").unwrap_or(text.len());
    format!("{}\n[workspace]\n{PROFILE}", &text[..end])
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).map_err(|e| Error::io("write", path, &e))
}
