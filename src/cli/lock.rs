//! `imagebuild lock`: chooses packages and writes the lock.

use super::Common;
use crate::error::{Error, Result};
use crate::lock::date;
use crate::lock::update::Policy;
use crate::progress;
use crate::project::{Project, Resolving};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  imagebuild lock                     add what roles ask for newly, move nothing else
  imagebuild lock --update            move all packages to the newest versions
  imagebuild lock --update openssl    move this one, and what must move with it
  imagebuild lock --at 2026-11-01     all packages as they were on that day

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

    /// Take Debian's archives as they were then (2026-11-01,
    /// or 2026-11-01T12:00:00Z), from the snapshot archive;
    /// all packages move, unless --update names one
    #[arg(long, value_name = "TIME", verbatim_doc_comment)]
    at: Option<String>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    if common.locked {
        return Err(Error::input("`lock --locked` contradicts itself")
            .hint("`--locked` is for builds; leave it away to write the lock"));
    }
    let mut project = Project::open(&common.options())?;
    let at = arguments.at.as_deref().map(time).transpose()?;
    let policy = match arguments.update.as_deref() {
        None if at.is_some() => Policy::UpdateAll,
        None => Policy::Keep,
        Some("") => Policy::UpdateAll,
        Some(package) => Policy::Update(package.to_owned()),
    };
    let resolving = Resolving { policy: &policy, allow_older: &arguments.allow_older, at };
    if !project.resolve(&resolving)? {
        progress::step("Unchanged", "imagebuild.lock is up to date");
    }
    Ok(())
}

/// A day, whose first second is meant, or a time, in UTC.
fn time(text: &str) -> Result<u64> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    date::parse_rfc3339(&whole).ok_or_else(|| {
        Error::input(format!("`--at {text}` names no time"))
            .hint("write a day as 2026-11-01, or a time in UTC as 2026-11-01T12:00:00Z")
    })
}
