//! `imagebuild verify`: builds again in other environments, and compares every byte.

use super::Common;
use crate::error::{Error, Result};
use crate::fs::digest_file;
use crate::plan::server::Plan;
use crate::progress;
use crate::project::{Project, servers};
use crate::spec::{Architecture, Server};
use crate::verify::{Environment, Where, compare};
use clap::Args;
use std::path::{Path, PathBuf};

const FORMATS: [&str; 2] = ["raw", "qcow2"];

/// Builds the images twice or more, from empty stores, in environments that differ, and
/// compares each step's results, the raw disks and the qcow2 files. What differs is
/// named: the first step, the partition, the files and their lines.
///
/// Varied: the paths of project, store and images, the working folder, umask, HOME and
/// USER, locale, time zone, SOURCE_DATE_EPOCH and hash seeds of the caller, the number of
/// cores, the order in which files were made, the second at which the build starts; as
/// root, the host's programs are hidden. With --elsewhere, the order in which folders
/// give their files; with --user, root and an ordinary user. The date itself is the
/// kernel's and is not changed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4, or `all`
    architecture: String,
    /// Only this server of it, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// Folder to work in; some 3 GB a server [default: $TMPDIR, else /tmp]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// A folder on another kind of file system for the second build: its folders give
    /// their files in another order
    #[arg(long, value_name = "DIR")]
    elsewhere: Option<PathBuf>,
    /// As root: build a third time as this user, who has subordinate ids
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Leave stores and images where they were made
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open(&common.options())?;
    let spec = project.spec.clone();
    let chosen = servers(&spec, &arguments.architecture, arguments.server.as_deref())?;
    project.complete_lock()?;
    if arguments.user.is_some() && !nix::unistd::geteuid().is_root() {
        return Err(Error::input("only root can build as another user")
            .hint("leave `--user` away: this user is an ordinary one"));
    }
    let sets = Project::sets(&chosen);
    project.fetch(&sets)?;
    let files = project.pool_files(&sets)?;
    let mut all = environments(arguments, project.folder())?;
    for one in &mut all {
        one.prepare(&project.store.pool(), &files)?;
    }
    // Every image, though an earlier one differs: a list tells more than its start.
    let mut first_error = None;
    for (architecture, server) in chosen {
        let plan = Plan::new(&project.spec, &project.lock, architecture, server)?;
        progress::step("Verifying", format!("{} in {} environments", plan.image, all.len()));
        build(&all, architecture, server)?;
        if let Err(error) = same(&all, &plan) {
            progress::step("Different", &plan.image);
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

fn environments(arguments: &Arguments, project: &Path) -> Result<Vec<Environment>> {
    let project = std::path::absolute(project).map_err(|e| Error::io("find", project, &e))?;
    let temporary = std::env::temp_dir();
    let work = arguments.work.as_deref().unwrap_or(&temporary);
    let elsewhere = arguments.elsewhere.as_deref().unwrap_or(work);
    let make = |name, parent: &Path, odd, user| -> Result<Environment> {
        let place = Where::new(parent, arguments.keep)?;
        if arguments.keep {
            progress::step("Keeping", format!("the {name} build in {}", place.path().display()));
        }
        Ok(Environment { name, place, project: project.clone(), odd, user })
    };
    let mut all = vec![make("usual", work, false, None)?, make("odd", elsewhere, true, None)?];
    if let Some(user) = &arguments.user {
        all.push(make("user's", work, true, Some(user.clone()))?);
    }
    Ok(all)
}

/// Leaves this thread one core of those that it may use; programs that it starts inherit it.
fn one_core() -> nix::Result<()> {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    let this = nix::unistd::Pid::from_raw(0);
    let all = sched_getaffinity(this)?;
    let first = (0..CpuSet::count()).find(|core| all.is_set(*core).unwrap_or(false));
    let mut core = CpuSet::new();
    core.set(first.unwrap_or(0))?;
    sched_setaffinity(this, &core)
}

/// Builds at the same time, the odd ones a second later and on one core.
fn build(all: &[Environment], architecture: &Architecture, server: &Server) -> Result<()> {
    let one = |(number, environment): (u64, &Environment)| -> Result<()> {
        if environment.odd {
            std::thread::sleep(std::time::Duration::from_millis(1100 * number));
            one_core().map_err(|e| Error::build(format!("cannot choose a core: {e}")))?;
        }
        FORMATS.iter().try_for_each(|f| environment.build(&architecture.name, &server.name, f))
    };
    std::thread::scope(|scope| {
        let builds: Vec<_> =
            (0..).zip(all).map(|numbered| scope.spawn(move || one(numbered))).collect();
        let died = |_| Err(Error::bug("the thread of a build died"));
        builds.into_iter().try_for_each(|build| build.join().unwrap_or_else(died))
    })
}

/// Compares all with the first.
fn same(all: &[Environment], plan: &Plan) -> Result<()> {
    let Some((usual, others)) = all.split_first() else { return Ok(()) };
    for other in others {
        let steps = compare::steps(plan, &usual.store(), &other.store())?;
        let mut found = steps;
        for ending in FORMATS.iter().chain(&["json", "cdx.json"]) {
            if found.is_none() {
                let name = format!("{}.{ending}", plan.image);
                found = compare::files(&name, &usual.out(), &other.out())?;
            }
        }
        if let Some(difference) = found {
            return Err(difference.to_error(&plan.image, other.name));
        }
    }
    for format in FORMATS {
        let file = format!("{}.{format}", plan.image);
        super::print(format_args!("{}  {file}\n", digest_file(&usual.out().join(&file))?))?;
    }
    Ok(())
}
