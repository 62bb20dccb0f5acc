//! `imagebuild plan`: shows what a build would do.

use super::Common;
use crate::error::{Error, Result};
use crate::plan::server::Plan;
use crate::project::{Project, servers};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4, or `all`
    architecture: String,
    /// Only this server of it, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// As JSON, a document a server, with all that each step reads
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open_to_look(&common.options())?;
    let spec = project.spec.clone();
    let chosen = servers(&spec, &arguments.architecture, arguments.server.as_deref())?;
    project.complete_lock()?;
    for (architecture, server) in chosen {
        let plan = Plan::new(&spec, &project.lock, architecture, server)?;
        if arguments.json {
            let json =
                serde_json::to_string_pretty(&plan).map_err(|e| Error::build(e.to_string()))?;
            super::print(format_args!("{json}\n"))?;
        } else {
            super::print(plan.to_text())?;
        }
    }
    Ok(())
}
