//! `imagebuild diff`: what differs between two images, or two revisions of the project.

use super::Common;
use super::project::{Project, servers};
use crate::build::Build;
use crate::diff::{Report, image::Image, layers, revision};
use crate::error::{Error, Result};
use crate::plan::server::{Plan, TOOLS};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An image (.qcow2, .raw, or the .json beside it), or a revision as git names it;
    /// `.` stands for the project as it lies there
    #[arg(value_name = "A")]
    a: String,
    /// The other one
    #[arg(value_name = "B")]
    b: String,
    /// For revisions: the architecture, such as arch4, or `all`
    architecture: Option<String>,
    /// Only this server of it, such as web1
    #[arg(long, value_name = "SERVER", requires = "architecture")]
    role: Option<String>,
    /// As JSON, a document a server
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let reports = match &arguments.architecture {
        Some(name) => revisions(arguments, name, common)?,
        None => vec![images(arguments, common)?],
    };
    for report in reports {
        if arguments.json {
            let json = serde_json::to_string_pretty(&report);
            super::print(format_args!("{}\n", json.map_err(|e| Error::build(e.to_string()))?))?;
        } else {
            super::print(report.to_text())?;
        }
    }
    Ok(())
}

fn images(arguments: &Arguments, common: &Common) -> Result<Report> {
    let open = |path: &str| Image::open(Path::new(path));
    let (a, b) = (open(&arguments.a)?, open(&arguments.b)?);
    let mut project = Project::open_to_look(common)?;
    project.complete_lock()?;
    project.fetch(&[TOOLS.to_owned()])?;
    let plan = Plan::of_tools(&project.lock, TOOLS)?;
    let tools = Build::new(&project.store, &plan).tools()?;
    layers::compare(&a, &b, &tools, &project.store.root().join("tmp"))
}

fn revisions(arguments: &Arguments, name: &str, common: &Common) -> Result<Vec<Report>> {
    let project = Project::open_as_it_is(common)?;
    let folder: PathBuf = project.folder().to_owned();
    let (a, b) = (&arguments.a, &arguments.b);
    let (old, old_lock) = revision::read(&folder, a)?;
    let (new, new_lock) = revision::read(&folder, b)?;
    let mut reports = Vec::new();
    for (architecture, server) in servers(&new, name, arguments.role.as_deref())? {
        let before = old.architectures.get(&architecture.name);
        let before = before.and_then(|before| Some((before, before.servers.get(&server.name)?)));
        let Some((old_architecture, old_server)) = before else {
            return Err(Error::input(format!(
                "there is no {} at the revision {a}",
                server.image_id
            ))
            .hint("name a server that both revisions have, with `--role`"));
        };
        let old = Plan::new(&old, &old_lock, old_architecture, old_server)?;
        let new = Plan::new(&new, &new_lock, architecture, server)?;
        reports.push(revision::compare(&project.store, (a, &old), (b, &new))?);
    }
    Ok(reports)
}
