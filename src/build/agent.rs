//! The agent of a pair of databases, compiled inside the sandbox by the Debian toolchain that
//! the lock names: the same bytes on every machine.

use crate::error::{Error, Result};
use crate::fs;
use crate::plan::agent::{CARGO, WORK};
use crate::sandbox::{Root, Sandbox};
use std::collections::BTreeMap;
use std::path::Path;

/// The program's file in the step's result.
pub(super) const PROGRAM: &str = "imagebuild-replication";

/// Compiles the files into `out/imagebuild-replication`.
pub(super) fn compile(
    compiler: &Path,
    files: &BTreeMap<&'static str, String>,
    epoch: u64,
    out: &Path,
) -> Result<()> {
    let work = out.join("work");
    for (path, text) in files {
        write(&work.join(path), text)?;
    }
    let lib = work.join("lib");
    fs::create_dir_all(&lib)?;
    let link = lib.join("libgcc_s.so");
    std::os::unix::fs::symlink("/usr/lib/x86_64-linux-gnu/libgcc_s.so.1", &link)
        .map_err(|e| Error::io("make", &link, &e))?;
    let (manifest, configuration) = (format!("{WORK}/Cargo.toml"), format!("{WORK}/{CARGO}"));
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

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).map_err(|e| Error::io("write", path, &e))
}
