//! `imagebuild test arch4`: boots the images and tells them scenarios.

use super::Common;
use super::project::{Project, servers};
use crate::build::{Build, Format};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::plan::server::{Plan, TOOLS, VM_TOOLS};
use crate::progress;
use crate::scenario::Scenario;
use crate::spec::Architecture;
use crate::vm::Emulator;
use crate::vm::report;
use crate::vm::scenario::outcome::{Run, Verdict};
use crate::vm::scenario::{Programme, Props};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// Only this scenario: a file of your own, or the name of
    /// a built-in one; may be given again
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    scenario: Vec<PathBuf>,
    /// Leave out the runs that take a mechanism away and
    /// must fail
    #[arg(long, verbatim_doc_comment)]
    no_masks: bool,
    /// Stretch the guests' timers and all bounds so many
    /// times [default: measured]
    #[arg(long, value_name = "FACTOR", value_parser = clap::value_parser!(u32).range(1..=100), verbatim_doc_comment)]
    stretch: Option<u32>,
    /// Write what happened for people: one HTML page
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write results for CI: JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write all that was measured: JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for images, and in it for consoles and captures
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open(common)?;
    let spec = project.spec.clone();
    if arguments.architecture == "all" {
        return Err(Error::input("machines of one architecture are tested, not of `all`")
            .hint("name it: `imagebuild test arch4`"));
    }
    let architecture = spec.architecture(&arguments.architecture)?;
    // Whatever is wrong in a scenario is told before minutes go into images.
    let scenarios = scenarios(arguments, &project, architecture)?;
    let props = props(arguments, &mut project, architecture)?;
    let programme =
        Programme { spec: &spec, architecture, scenarios: &scenarios, masks: !arguments.no_masks };
    let run = programme.run(props)?;
    write_reports(arguments, &project, architecture, &run)?;
    verdict(&run)
}

fn scenarios(
    arguments: &Arguments,
    project: &Project,
    architecture: &Architecture,
) -> Result<Vec<Scenario>> {
    let tree = &project.spec.tree;
    if arguments.scenario.is_empty() {
        return Scenario::of_architecture(tree, architecture);
    }
    let named = arguments.scenario.iter();
    named.map(|name| Scenario::named(name, tree, architecture)).collect()
}

/// Builds the images, as `imagebuild arch4` does, and has QEMU ready.
fn props(
    arguments: &Arguments,
    project: &mut Project,
    architecture: &Architecture,
) -> Result<Props> {
    let spec = project.spec.clone();
    let chosen = servers(&spec, &architecture.name, None)?;
    let mut sets = Project::sets(&chosen);
    sets.extend([TOOLS.to_owned(), VM_TOOLS.to_owned()]);
    project.fetch(&sets)?;
    let mut images = BTreeMap::new();
    for (architecture, server) in chosen {
        let plan = Plan::new(&project.spec, &project.lock, architecture, server)?;
        let (file, _) = Build::new(&project.store, &plan).write(Format::Qcow2, &arguments.out)?;
        images.insert(server.name.clone(), file);
    }
    let plan = Plan::of_tools(&project.lock, TOOLS)?;
    let tools = Build::new(&project.store, &plan).provide(plan.steps[0].key)?.path("tree");
    let emulator = Emulator::provide(&project.store, &project.lock)?;
    let logs = arguments.out.join("test").join(&architecture.name);
    Ok(Props { emulator, images, tools, logs, stretch: arguments.stretch })
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

fn write(path: Option<&PathBuf>, text: impl FnOnce() -> Result<String>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    fs::write_atomically(path, text()?.as_bytes())?;
    progress::step("Wrote", path.display().to_string());
    println!("{}", path.display());
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
        let what = format!("{failed} of {all} runs did not go as they must");
        return Err(Error::check(what).detail(names(Verdict::Failed)));
    }
    progress::step("Passed", format!("{all} runs went as they must"));
    Ok(())
}
