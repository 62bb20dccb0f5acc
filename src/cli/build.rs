//! `imagebuild arch4 --role web1`: builds images.

use super::Common;
use super::project::{Project, servers};
use crate::build::{Build, Format};
use crate::error::Result;
use crate::plan::server::Plan;
use crate::progress;
use crate::spec::Spec;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture to build, such as arch4, or `all`
    #[arg(required = true)]
    architecture: Option<String>,
    /// Only this server of it, such as web1
    #[arg(long, value_name = "SERVER")]
    role: Option<String>,
    /// Folder for the images
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// The form of the image file
    #[arg(long, value_enum, default_value = "qcow2")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open(common)?;
    let name = arguments.architecture.as_deref().unwrap_or_default();
    let role = arguments.role.as_deref();
    let spec: Spec = project.spec.clone();
    let chosen = servers(&spec, name, role)?;
    project.fetch(&Project::sets(&chosen))?;
    for (architecture, server) in chosen {
        let plan = Plan::new(&project.spec, &project.lock, architecture, server)?;
        let build = Build::new(&project.store, &plan);
        let (file, written) = build.write(arguments.format, &arguments.out)?;
        for (name, time) in build.times() {
            progress::step("Took", format!("{:>6.2} s  {name}", time.as_secs_f64()));
        }
        if !written {
            progress::step("Unchanged", format!("{} is up to date", plan.image));
        }
        println!("{}", file.display());
    }
    Ok(())
}
