//! `imagebuild plan`: shows what a build would do.

use super::Common;
use super::project::{Project, servers};
use crate::error::{Error, Result};
use crate::plan::server::Plan;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4, or `all`
    architecture: String,
    /// Only this server of it, such as web1
    #[arg(long, value_name = "SERVER")]
    role: Option<String>,
    /// As JSON, a document a server, with all that each step reads
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let project = Project::open(common)?;
    for (architecture, server) in
        servers(&project.spec, &arguments.architecture, arguments.role.as_deref())?
    {
        let plan = Plan::new(&project.spec, &project.lock, architecture, server)?;
        if arguments.json {
            let json =
                serde_json::to_string_pretty(&plan).map_err(|e| Error::build(e.to_string()))?;
            println!("{json}");
        } else {
            print!("{}", plan.to_text());
        }
    }
    Ok(())
}
