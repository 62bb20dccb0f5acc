//! `imagebuild lock`: chooses packages and writes the lock.

use super::Common;
use crate::error::{Error, Result};
use crate::lock::update::Policy;
use crate::progress;
use crate::project::Project;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  imagebuild lock                     add what roles ask for newly, move nothing else
  imagebuild lock --update            move all packages to the newest versions
  imagebuild lock --update openssl    move this one, and what must move with it

Each change is shown as `old -> new`, marked (security) where it is a security update.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Move this package, and what must move with it, to
    /// the newest version; without a name, move all
    #[arg(long, value_name = "PACKAGE", num_args = 0..=1, default_missing_value = "", verbatim_doc_comment)]
    update: Option<String>,

    /// Take this suite of an archive, like `trixie`, though its
    /// mirror's state is older than the lock's
    #[arg(long, value_name = "SUITE", verbatim_doc_comment)]
    allow_older: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    if common.locked {
        return Err(Error::input("`lock --locked` contradicts itself")
            .hint("`--locked` is for builds; leave it away to write the lock"));
    }
    let mut project = Project::open(&common.options())?;
    let policy = match arguments.update.as_deref() {
        None => Policy::Keep,
        Some("") => Policy::UpdateAll,
        Some(package) => Policy::Update(package.to_owned()),
    };
    if !project.resolve(&policy, &arguments.allow_older)? {
        progress::step("Unchanged", "imagebuild.lock is up to date");
    }
    Ok(())
}
