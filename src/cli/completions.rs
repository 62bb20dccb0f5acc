//! `imagebuild completions bash`, `imagebuild man`: for shells and `man`.

use super::Cli;
use crate::error::{Error, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell: bash, zsh, fish, elvish or powershell
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for each command into this folder:
    /// imagebuild.1, imagebuild-build.1, ... [default: print
    /// imagebuild.1]
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    out: Option<PathBuf>,
}

/// Prints the script that the shell reads.
pub(super) fn completions(arguments: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "imagebuild", &mut script);
    super::print(String::from_utf8_lossy(&script))
}

/// Prints the manual page, or writes all of them.
pub(super) fn man(arguments: &Man) -> Result<()> {
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|e| Error::build(format!("cannot render the manual page: {e}")))?;
        return super::print(String::from_utf8_lossy(&page));
    };
    crate::fs::create_dir_all(folder)?;
    let written = clap_mangen::generate_to(Cli::command(), folder);
    written.map_err(|e| Error::io("write manual pages in", folder, &e))
}
