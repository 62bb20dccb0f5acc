//! `imagebuild diff`: what differs between two images, or two revisions of the project.

use super::Common;
use crate::diff::{Report, image::Image, layers, revision};
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::plan::server::{Plan, TOOLS};
use crate::project::{Project, requests, servers};
use crate::spec::{Architecture, Server, Spec};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An image (.qcow2, .raw, or the .json next to it), or a revision as git names it;
    /// `.` stands for the project as it lies there
    #[arg(value_name = "A")]
    a: String,
    /// The other one
    #[arg(value_name = "B")]
    b: String,
    /// For revisions: the architecture, such as arch4, or `all`
    architecture: Option<String>,
    /// Only this server of it, such as web1
    #[arg(long, alias = "role", value_name = "SERVER", requires = "architecture")]
    server: Option<String>,
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
    let mut project = Project::open_to_look(&common.options())?;
    project.complete_lock()?;
    project.fetch(&[TOOLS.to_owned()])?;
    let tools = project.tools(TOOLS)?;
    layers::compare(&a, &b, &tools, &project.store.root().join("tmp"))
}

fn revisions(arguments: &Arguments, name: &str, common: &Common) -> Result<Vec<Report>> {
    let project = Project::open(&common.options())?;
    let folder: PathBuf = project.folder().to_owned();
    let (a, b) = (&arguments.a, &arguments.b);
    let (old, old_lock) = revision::read(&folder, a)?;
    let (new, new_lock) = revision::read(&folder, b)?;
    fits(a, &old, &old_lock)?;
    fits(b, &new, &new_lock)?;
    let server_name = arguments.server.as_deref();
    let has = |spec: &Spec, of: &Architecture, server: &Server| {
        spec.architectures.get(&of.name).is_some_and(|of| of.servers.contains_key(&server.name))
    };
    let mut reports = Vec::new();
    for (architecture, server) in servers(&new, name, server_name)? {
        if !has(&old, architecture, server) {
            reports.push(one_sided(arguments, server, a));
            continue;
        }
        let before = old.architecture(&architecture.name)?;
        let old = Plan::new(&old, &old_lock, before, before.server(&server.name)?)?;
        let new = Plan::new(&new, &new_lock, architecture, server)?;
        reports.push(revision::compare(&project.store, (a, &old), (b, &new))?);
    }
    // What is gone; an architecture that the old revision lacks has lost nothing.
    for (architecture, server) in servers(&old, name, server_name).unwrap_or_default() {
        if !has(&new, architecture, server) {
            reports.push(one_sided(arguments, server, b));
        }
    }
    Ok(reports)
}

/// A server that one revision does not have.
fn one_sided(arguments: &Arguments, server: &Server, lacks: &str) -> Report {
    let not_compared = vec![format!("there is no {} at the revision {lacks}", server.image_id)];
    let (image, a, b) = (server.image_id.clone(), arguments.a.clone(), arguments.b.clone());
    Report { image, a, b, not_compared, ..Report::default() }
}

/// A lock that is behind its spec would show other packages than a build installs.
fn fits(revision: &str, spec: &Spec, lock: &Lock) -> Result<()> {
    let misfits = lock.misfits(&requests(spec));
    if misfits.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!(
        "imagebuild.lock does not fit its project at the revision {revision}"
    ))
    .detail(misfits.join("\n"))
    .hint("run `imagebuild lock` there (and commit it, unless the revision is `.`)"))
}
