//! `imagebuild test arch4`: boots the images and tells them scenarios.

use super::{Common, ProgressForm};
use crate::build::{self, Build, Format};
use crate::error::{Error, Kind, Result};
use crate::exec;
use crate::fs;
use crate::plan::server::{TOOLS, VM_TOOLS};
use crate::progress;
use crate::project::{Project, servers};
use crate::qemu::{DiskConfig, Emulator, MachineConfig, probe_kvm};
use crate::runner::outcome::{Run, Verdict};
use crate::runner::report;
use crate::runner::{Cluster, ClusterConfig, Suite, leased, pool_size};
use crate::scenario::{Host, Scenario, Scheme, Url};
use crate::spec::{Architecture, Spec};
use clap::Args;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// Only this scenario: a file of your own, or the name of
    /// a built-in one; may be repeated
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    scenario: Vec<PathBuf>,
    /// Leave out the negative controls: the runs that take a
    /// mechanism away and must fail
    #[arg(long, verbatim_doc_comment)]
    no_negative_controls: bool,
    /// No scenarios: the machines stay up, a prompt takes
    /// actions and commands, and your browser can open the
    /// website
    #[arg(long, conflicts_with_all = ["scenario", "report", "junit", "json"], verbatim_doc_comment)]
    interactive: bool,
    /// Multiply the guests' timers and all bounds by this
    /// whole number [default: measured]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100), verbatim_doc_comment)]
    time_scale: Option<u32>,
    /// How many scenarios run at a time, each on machines of
    /// its own [default: as processors and memory allow]
    #[arg(short, long, value_name = "N", conflicts_with = "interactive", verbatim_doc_comment)]
    jobs: Option<NonZeroUsize>,
    /// Write an HTML report, one page
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the results as JUnit XML, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for images, and in it for consoles and captures
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    if arguments.interactive && common.progress == Some(ProgressForm::Json) {
        return Err(Error::input("`--interactive` is for people, `--progress json` for programs")
            .hint("keep one of the two"));
    }
    let mut project = Project::open(&common.options())?;
    let spec = project.spec.clone();
    if arguments.architecture == "all" {
        return Err(Error::input("machines of one architecture are tested, not of `all`")
            .hint("name it: `imagebuild test arch4`"));
    }
    let architecture = &leased(spec.architecture(&arguments.architecture)?);
    [&arguments.report, &arguments.junit, &arguments.json]
        .into_iter()
        .flatten()
        .try_for_each(|path| check_place(path))?;
    // Whatever is wrong in a scenario is told before minutes go into images.
    let scenarios = scenarios(arguments, &project, architecture)?;
    let config = config(arguments, &mut project, architecture)?;
    if arguments.interactive {
        return interactive(&spec, architecture, config);
    }
    let suite = Suite {
        spec: &spec,
        architecture,
        scenarios: &scenarios,
        negative_controls: !arguments.no_negative_controls,
        jobs: arguments.jobs.map_or_else(|| pool_size(architecture), Ok)?,
    };
    let (run, end) = suite.run(config)?;
    // Most wanted where something went wrong at the end.
    let written = write_reports(arguments, &project, architecture, &run);
    if exec::interrupted() {
        return end.and(Err(exec::interruption()));
    }
    verdict(&run).and(end).and(written)
}

/// The machines, a prompt, and a way in for the browser where there is a website.
fn interactive(spec: &Spec, architecture: &Architecture, config: ClusterConfig) -> Result<()> {
    let mut cluster = Cluster::set_up(spec, architecture, config)?;
    match Host::website(architecture) {
        Some(host) => {
            let url = Url { scheme: Scheme::Http, host, port: 80, path: "/".to_owned() };
            cluster.with_forward(&url, Cluster::converse)?;
        }
        None => cluster.converse()?,
    }
    cluster.shut_down()
}

fn scenarios(
    arguments: &Arguments,
    project: &Project,
    architecture: &Architecture,
) -> Result<Vec<Scenario>> {
    let tree = &project.spec.tree;
    if arguments.scenario.is_empty() {
        let all = Scenario::of_architecture(tree, architecture)?;
        return Ok(if project.spec.site.has_content { for_own_site(all) } else { all });
    }
    let named = arguments.scenario.iter();
    named.map(|name| Scenario::named(name, tree, architecture)).collect()
}

/// Those that a website of the user's own can stand.
fn for_own_site(all: Vec<Scenario>) -> Vec<Scenario> {
    let (demo, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.demo_site);
    let names: Vec<&str> = demo.iter().map(|one| one.name.as_str()).collect();
    if !names.is_empty() {
        progress::warn(format!(
            "left out, as they read pages of the demo site: {}; copy them into vm-tests/ of your project, and let them ask for a page of yours",
            names.join(", ")
        ));
    }
    rest
}

/// Builds the images, as `imagebuild arch4` does, and has QEMU ready.
fn config(
    arguments: &Arguments,
    project: &mut Project,
    architecture: &Architecture,
) -> Result<ClusterConfig> {
    let spec = project.spec.clone();
    let chosen = servers(&spec, &architecture.name, None)?;
    project.complete_lock()?;
    let mut sets = Project::sets(&chosen);
    sets.extend([TOOLS.to_owned(), VM_TOOLS.to_owned()]);
    project.fetch(&sets)?;
    let plans = project.plans(&chosen)?;
    let builds: Vec<Build<'_>> = plans.iter().map(|p| Build::new(&project.store, p)).collect();
    builds.iter().try_for_each(|b| b.check_output(Format::Qcow2, &arguments.out).map(drop))?;
    build::make_all(&builds, build::default_jobs())?;
    let mut images = BTreeMap::new();
    for ((_, server), build) in chosen.iter().zip(&builds) {
        images.insert(server.name.clone(), build.write(Format::Qcow2, &arguments.out)?.0);
    }
    let tools = project.tools(TOOLS)?;
    let emulator = Emulator::provide(&project.store, &project.lock)?;
    if let Some(image) = images.values().next() {
        let config = MachineConfig::new("kvm-probe", DiskConfig::of_image(image));
        probe_kvm(&emulator, &project.store, &config)?;
    }
    let logs = arguments.out.join("test").join(&architecture.name);
    Ok(ClusterConfig { emulator, images, tools, logs, time_scale: arguments.time_scale })
}

fn write_reports(
    arguments: &Arguments,
    project: &Project,
    architecture: &Architecture,
    run: &Run,
) -> Result<()> {
    let page = || Ok(report::page(&project.spec, architecture, run));
    let junit = || Ok(report::junit(run));
    let json = || report::json(run);
    write(arguments.report.as_ref(), page)?;
    write(arguments.junit.as_ref(), junit)?;
    write(arguments.json.as_ref(), json)
}

/// Told before minutes go into machines.
fn check_place(report: &Path) -> Result<()> {
    let folder = report.parent().filter(|folder| !folder.as_os_str().is_empty());
    let reason = if report.is_dir() {
        "it is a folder"
    } else if folder.is_some_and(|folder| !folder.is_dir()) {
        "its folder is not there"
    } else {
        return Ok(());
    };
    Err(Error::input(format!("cannot write {}: {reason}", report.display()))
        .hint("name a file in a folder that is there"))
}

fn write(path: Option<&PathBuf>, text: impl FnOnce() -> Result<String>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    fs::write_atomically(path, text()?.as_bytes())?;
    progress::step("Wrote", path.display().to_string());
    super::print(format_args!("{}\n", path.display()))?;
    Ok(())
}

/// The exit code: a broken harness says nothing about the images, so it comes first.
fn verdict(run: &Run) -> Result<()> {
    let (failed, broke) = (run.count(Verdict::Failed), run.count(Verdict::Broke));
    let all = run.outcomes.len();
    let names = |verdict: Verdict| {
        let own = run.outcomes.iter().filter(|one| one.verdict == verdict);
        own.map(|one| one.full_name()).collect::<Vec<_>>().join("\n")
    };
    if broke > 0 {
        return Err(Error::new(Kind::Build, format!("the harness broke in {broke} of {all} runs"))
            .detail(names(Verdict::Broke)));
    }
    if failed > 0 {
        let what = format!("{failed} of {all} runs failed");
        return Err(Error::check(what).detail(names(Verdict::Failed)));
    }
    progress::step("Passed", format!("{all} runs"));
    Ok(())
}
