//! `imagebuild explain`: why something would be made again, or is in an image.

use super::Common;
use crate::error::{Error, Result};
use crate::explain::{file, package, steps};
use crate::plan::server::Plan;
use crate::project::{Project, servers};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// Only this server of it, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// Why this package is in the image
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    package: Option<String>,
    /// Where this file of the image comes from, such as /etc/hosts
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open_to_look(&common.options())?;
    let spec = project.spec.clone();
    let chosen = servers(&spec, &arguments.architecture, arguments.server.as_deref())?;
    if chosen.len() != 1 && (arguments.package.is_some() || arguments.file.is_some()) {
        return Err(Error::input("packages and files are those of one server")
            .hint("name it with `--server`"));
    }
    project.complete_lock()?;
    for (architecture, server) in chosen {
        let plan = Plan::new(&spec, &project.lock, architecture, server)?;
        let (lock, store) = (&project.lock, &project.store);
        let text = if let Some(name) = &arguments.package {
            package::to_text(&spec, lock, architecture, server, name)?
        } else if let Some(path) = &arguments.file {
            file::to_text(&spec, store, (architecture, server), &plan, path)?
        } else {
            steps::to_text(&plan, &steps::rebuild_statuses(store, project.folder(), &plan)?)
        };
        super::print(text)?;
    }
    Ok(())
}
