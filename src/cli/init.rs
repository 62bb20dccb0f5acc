//! `imagebuild init`: writes a commented `site.toml`. `imagebuild schema`: what an
//! editor checks it against.

use super::Common;
use crate::error::{Error, Result};
use crate::fs;
use crate::progress;
use clap::Args;
use std::path::PathBuf;

/// The file as it is written; a test reads every line of it.
const SITE: &str = include_str!("site.toml");
/// The JSON schema; tests hold it to what the program takes.
const SCHEMA: &str = include_str!("../../site.schema.json");

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print it instead of writing site.toml
    #[arg(long)]
    print: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    if arguments.print {
        return super::print(SITE);
    }
    let folder = common.project.clone().unwrap_or_else(|| PathBuf::from("."));
    if !folder.is_dir() {
        return Err(Error::input(format!("there is no folder {}", folder.display()))
            .hint("make it first, or name another with `--project DIR`"));
    }
    // As its user would type it: not ./site.toml.
    let path = common.project.clone().unwrap_or_default().join("site.toml");
    let written = fs::write_new(&path, SITE.as_bytes())?;
    if !written {
        return Err(Error::input(format!("there is a {} already", path.display()))
            .hint("it stays as it is; `imagebuild init --print` shows what a new one would say"));
    }
    progress::step("Wrote", format!("{}: edit it, then `imagebuild plan arch4`", path.display()));
    Ok(())
}

pub(super) fn schema() -> Result<()> {
    super::print(SCHEMA)
}
