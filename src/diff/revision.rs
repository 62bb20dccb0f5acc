//! What two revisions of a project would make: their plans, side by side, without
//! building either. The one place where git is asked, and only for files.

use super::listing;
use super::report::{Entry, Report, entries, size, text_diff};
use crate::error::{Error, Result};
use crate::exec::Program;
use crate::lock::Lock;
use crate::plan::render::{ConfigFile, Content};
use crate::plan::server::Plan;
use crate::plan::step::Step;
use crate::sandbox::listing_from_json;
use crate::spec::Spec;
use crate::store::Store;
use std::collections::BTreeMap;
use std::path::Path;

/// What stands for the files as they lie there, committed or not.
pub const WORKING_TREE: &str = ".";

/// The spec and the lock of a project at a revision.
///
/// # Errors
/// When git has no such revision, or the project was wrong then.
pub fn read(folder: &Path, revision: &str) -> Result<(Spec, Lock)> {
    let at = |error: Error| error.context(format!("at the revision {revision}"));
    if revision == WORKING_TREE {
        return load(folder);
    }
    let work = tempfile::tempdir().map_err(|e| Error::build(format!("no folder for work: {e}")))?;
    let tar = archive(folder, revision)?;
    tar::Archive::new(tar.as_slice())
        .unpack(work.path())
        .map_err(|e| Error::io("unpack into", work.path(), &e))?;
    load(work.path()).map_err(at)
}

fn load(folder: &Path) -> Result<(Spec, Lock)> {
    let path = folder.join("imagebuild.lock");
    if !path.exists() {
        return Err(Error::input("there is no imagebuild.lock, so no packages are known")
            .hint("run `imagebuild lock` and commit the lock"));
    }
    Ok((Spec::read(folder)?, Lock::read(&path)?))
}

/// The project's folder at a revision, as a tar file.
fn archive(folder: &Path, revision: &str) -> Result<Vec<u8>> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let found = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|git| git.is_file());
    let git = found.ok_or_else(|| {
        Error::input("there is no git on this machine")
            .hint("install it, or compare two images: `imagebuild diff A.qcow2 B.qcow2`")
    })?;
    // Revisions only: an option in its place would be something else altogether.
    if revision.starts_with('-') {
        return Err(Error::input(format!("`{revision}` is not a revision")));
    }
    // As git is set up for this user: which folders of others he trusts, for one. Not GIT_DIR
    // and the like, which hooks have of another place.
    let is_gits =
        |name: &str| ["HOME", "XDG_CONFIG_HOME"].contains(&name) || name.starts_with("GIT_CONFIG");
    let own = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_gits));
    let output = Program::new(git)
        .env("PATH", path)
        .envs(own)
        .args(["archive", "--format=tar", revision])
        .dir(folder)
        .output()?;
    if output.code == 0 {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if said.contains("dubious ownership") {
        let message = format!("git does not read {}, which is another user's", folder.display());
        return Err(Error::input(message).detail(said));
    }
    Err(Error::input(format!("git has no revision `{revision}` of {}", folder.display()))
        .detail(said)
        .hint(format!("name what `git log` shows, or `{WORKING_TREE}` for the files as they are")))
}

/// Compares two plans; files of packages only where the store has both trees.
///
/// # Errors
/// When the store cannot be read.
pub fn compare(
    store: &Store,
    (a, plan_a): (&str, &Plan),
    (b, plan_b): (&str, &Plan),
) -> Result<Report> {
    let mut report =
        Report { image: plan_b.image.clone(), a: a.into(), b: b.into(), ..Report::default() };
    let [old, new] = [plan_a, plan_b].map(Parts::of);
    report.packages = entries(&old.packages, &new.packages);
    report.configuration = configuration(&old.files, &new.files);
    report.disk = entries(&old.disk, &new.disk);
    if plan_a.packages == plan_b.packages {
        return Ok(report);
    }
    match (store.find(plan_a.packages.key())?, store.find(plan_b.packages.key())?) {
        (Some(old), Some(new)) => {
            let [old, new] =
                [old, new].map(|object| listing_from_json(&object.path("listing.json")));
            report.files = listing::differences(&old?, &new?);
        }
        (None, _) | (_, None) => report.not_compared.push(
            "files of the packages: the store has both trees only when both were built".to_owned(),
        ),
    }
    Ok(report)
}

/// What of a plan is compared.
#[derive(Default)]
struct Parts<'a> {
    packages: BTreeMap<String, String>,
    files: BTreeMap<&'a str, &'a ConfigFile>,
    disk: BTreeMap<String, String>,
}

impl Parts<'_> {
    fn of(plan: &Plan) -> Parts<'_> {
        let mut parts = Parts::default();
        for planned in &plan.steps {
            match planned.step() {
                Step::Packages { packages, .. } => {
                    let versions = packages.iter().map(|p| (p.name.clone(), p.version.clone()));
                    parts.packages.extend(versions);
                }
                Step::ConfigLayer { files, .. } => {
                    parts.files = files.iter().map(|file| (file.path.as_str(), file)).collect();
                }
                Step::Esp { arguments, .. } => {
                    parts.disk.insert("kernel's command line".into(), arguments.clone());
                }
                Step::Tools { .. }
                | Step::Agent { .. }
                | Step::Kernel { .. }
                | Step::Bootloader { .. }
                | Step::PackagesLayer { .. }
                | Step::Validate { .. }
                | Step::State { .. }
                | Step::Inventory { .. }
                | Step::Base { .. }
                | Step::Image(_) => {}
            }
        }
        parts.disk.insert("whole disk".into(), size(plan.layout.size));
        let partitions = plan.layout.partitions.iter();
        parts.disk.extend(partitions.map(|p| (format!("partition {}", p.label), size(p.size))));
        parts
    }
}

fn configuration(a: &BTreeMap<&str, &ConfigFile>, b: &BTreeMap<&str, &ConfigFile>) -> Vec<Entry> {
    let names: std::collections::BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
    let entry = |name: &str| {
        let (old, new) = (a.get(name).copied(), b.get(name).copied());
        let same = |(old, new): (&ConfigFile, &ConfigFile)| {
            (old.mode, old.uid, old.gid, &old.content) == (new.mode, new.uid, new.gid, &new.content)
        };
        if old.zip(new).is_some_and(same) {
            return None;
        }
        let bytes = |file: Option<&ConfigFile>| match file.map(|file| &file.content) {
            Some(Content::Bytes(bytes)) => bytes.clone(),
            Some(Content::Symlink(_) | Content::Directory | Content::Agent) | None => Vec::new(),
        };
        let diff = text_diff(&bytes(old), &bytes(new));
        Some(Entry { name: name.to_owned(), from: old.map(shown), to: new.map(shown), diff })
    };
    names.into_iter().filter_map(entry).collect()
}

fn shown(file: &ConfigFile) -> String {
    let what = match &file.content {
        Content::Bytes(bytes) => format!("file of {} bytes", bytes.len()),
        Content::Symlink(target) => format!("link to {target}"),
        Content::Directory => "folder".to_owned(),
        Content::Agent => "compiled program".to_owned(),
    };
    format!("{:04o} {}:{} {what}", file.mode, file.uid, file.gid)
}
