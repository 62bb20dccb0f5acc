//! `imagebuild build arch4 --server web1`, or `imagebuild arch4 --role web1`: builds images.

use super::Common;
use crate::build::{self, Build, Format};
use crate::error::{Error, Result};
use crate::explain::record;
use crate::names;
use crate::progress;
use crate::project::{Project, servers};
use crate::spec::{Architecture, Server, Spec};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture to build, such as arch4, or `all`
    architecture: String,
    /// Only this server of it, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// Folder for the images
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// The image file's form: qcow2 (QEMU's), raw, raw.zst,
    /// vmdk (VMware's, stream-optimized) or vhdx (Hyper-V's)
    #[arg(
        long,
        value_enum,
        default_value = "qcow2",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    format: Format,
    /// How many steps run at a time [default: one per processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open(&common.options())?;
    let name = &arguments.architecture;
    let server = arguments.server.as_deref();
    let spec: Spec = project.spec.clone();
    let chosen = servers(&spec, name, server).map_err(|error| or_verb(error, &spec, name))?;
    project.complete_lock()?;
    let sets = Project::sets(&chosen);
    project.fetch(&sets)?;
    let mut made = make(arguments, &project, &chosen);
    // A file of the pool that was damaged is gone now, and this brings it back.
    if made.is_err() && project.fetch(&sets)? > 0 {
        made = make(arguments, &project, &chosen);
    }
    made
}

/// Makes the images of these servers; those that are whole when another one fails are
/// written all the same.
fn make(
    arguments: &Arguments,
    project: &Project,
    chosen: &[(&Architecture, &Server)],
) -> Result<()> {
    let plans = project.plans(chosen)?;
    let builds: Vec<Build<'_>> = plans.iter().map(|p| Build::new(&project.store, p)).collect();
    // To fail after all the work is done is late.
    builds.iter().try_for_each(|b| b.check_output(arguments.format, &arguments.out).map(drop))?;
    let jobs = arguments.jobs.map_or_else(build::default_jobs, NonZeroUsize::get);
    let made = build::make_all(&builds, jobs);
    for build in &builds {
        tell_times(&build.times());
    }
    for build in &builds {
        if made.is_ok() || build.is_made()? {
            write(arguments, project, build)?;
        }
    }
    made
}

/// Says how long the steps took; those of one name in one line.
fn tell_times(times: &[(&'static str, Duration)]) {
    let mut kinds: Vec<(&str, u32, Duration)> = Vec::new();
    for (name, time) in times {
        match kinds.iter_mut().find(|(kind, ..)| kind == name) {
            Some((_, count, total)) => {
                *count += 1;
                *total += *time;
            }
            None => kinds.push((name, 1, *time)),
        }
    }
    for (name, count, total) in kinds {
        let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
        progress::step("Took", format!("{:>6.2} s  {name}{times}", total.as_secs_f64()));
    }
}

/// Writes one image and says so.
fn write(arguments: &Arguments, project: &Project, build: &Build<'_>) -> Result<()> {
    let (file, written) = build.write(arguments.format, &arguments.out)?;
    record::remember(&project.store, project.folder(), build.plan())?;
    if !written {
        progress::step("Unchanged", format!("{} is up to date", build.plan().image));
    }
    super::print(format_args!("{}\n", file.display()))?;
    Ok(())
}

/// The first word of a command line may have been meant as a verb.
fn or_verb(error: Error, spec: &Spec, name: &str) -> Error {
    if spec.architectures.contains_key(name) || name == "all" {
        return error;
    }
    let verbs = super::verbs();
    let known = || {
        let architectures = spec.architectures.keys().map(String::as_str);
        architectures.chain(["all"]).chain(verbs.iter().map(String::as_str))
    };
    let near = names::nearest(name, known());
    let Some(first) = near.first().filter(|first| verbs.iter().any(|verb| verb == *first)) else {
        return error;
    };
    Error::input(format!("there is no command and no architecture `{name}`"))
        .hint(format!("did you mean `{first}`? `imagebuild --help` lists the commands"))
}
