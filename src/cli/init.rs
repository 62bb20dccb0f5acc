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
/// What of a project's folder is not for version control.
const IGNORED: &str = "/out/\n/secrets/\n";

/// Whose JSON schema is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum File {
    /// site.toml
    Site,
    /// images/NAME.toml
    Architecture,
    /// roles/NAME.toml
    Role,
    /// vm-tests/ARCHITECTURE/NAME.toml
    Scenario,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// The kind of file
    #[arg(value_enum, default_value = "site")]
    file: File,
}

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
    let ignore = path.with_file_name(".gitignore");
    if fs::write_new(&ignore, IGNORED.as_bytes())? {
        progress::step(
            "Wrote",
            format!("{}: images and secrets stay out of git", ignore.display()),
        );
    } else {
        let text = String::from_utf8_lossy(&fs::read(&ignore)?).into_owned();
        let is_there = |name: &str| text.lines().any(|line| line.trim().trim_matches('/') == name);
        if !(is_there("out") && is_there("secrets")) {
            progress::warn(format!(
                "{} leaves seeds and secrets to git: add the lines `/out/` and `/secrets/`",
                ignore.display()
            ));
        }
    }
    progress::step("Wrote", format!("{}: edit it, then `imagebuild plan arch4`", path.display()));
    Ok(())
}

/// Tests hold the schemas to what the program takes.
pub(super) fn schema(arguments: &SchemaArguments) -> Result<()> {
    super::print(match arguments.file {
        File::Site => include_str!("../../site.schema.json"),
        File::Architecture => include_str!("../../docs/reference/architecture.schema.json"),
        File::Role => include_str!("../../docs/reference/role.schema.json"),
        File::Scenario => include_str!("../../docs/reference/scenario.schema.json"),
    })
}
