//! `imagebuild gc`: frees space in the store.

use super::Common;
use crate::error::Result;
use crate::explain::record;
use crate::plan::server::{Plan, ToolsPlan, VM_TOOLS};
use crate::progress;
use crate::project::Project;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep what was used in the last DAYS days, for other projects
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    keep_days: u64,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let project = Project::open(&common.options())?;
    let age = Duration::from_secs(arguments.keep_days * 24 * 3600);
    let mut keep = record::in_use(&project.store, age);
    for architecture in project.spec.architectures.values() {
        for server in architecture.servers.values() {
            // A lock that does not know this server yet keeps nothing for it.
            if let Ok(plan) = Plan::new(&project.spec, &project.lock, architecture, server) {
                keep.extend(plan.steps.iter().map(|planned| planned.key().to_string()));
            }
        }
    }
    // What `test` boots with; no image needs it.
    if let Ok(plan) = ToolsPlan::new(&project.lock, VM_TOOLS) {
        keep.insert(plan.0.key().to_string());
    }
    keep.extend(project.lock.packages.values().map(|package| format!("{}.deb", package.sha256)));
    let collected = project.store.collect(&keep, age)?;
    let (objects, files) = (collected.objects, collected.files);
    let freed = progress::bytes(collected.bytes);
    progress::step("Removed", format!("{objects} results and {files} files ({freed})"));
    Ok(())
}
