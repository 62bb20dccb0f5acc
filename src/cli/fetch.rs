//! `imagebuild fetch`: has the locked packages in the store before a build wants them, and
//! locks anew what no archive has any more.

use super::Common;
use crate::error::Result;
use crate::progress;
use crate::project::{Project, servers};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  imagebuild fetch arch4     what builds of architecture 4 read, so that they need no network
  imagebuild fetch           everything that imagebuild.lock has

A package that has left the mirrors is locked at its newest version, as by a build; each
is shown.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The architecture, such as arch4; without it, all
    /// packages of the lock, those of the tests with them
    #[arg(verbatim_doc_comment)]
    architecture: Option<String>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open(&common.options())?;
    let spec = project.spec.clone();
    let chosen = arguments.architecture.as_deref().map(|name| servers(&spec, name, None));
    let chosen = chosen.transpose()?;
    project.complete_lock()?;
    let sets = match chosen {
        Some(servers) => Project::sets(&servers),
        None => project.lock.sets.keys().cloned().collect(),
    };
    let fetched = project.fetch(&sets)?;
    progress::step("Complete", format!("{} sets, {fetched} packages were fetched", sets.len()));
    Ok(())
}
