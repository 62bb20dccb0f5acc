//! What the verbs share: the project's spec, its lock kept up to date, the pool.

use super::Common;
use crate::error::{Error, Result};
use crate::fs;
use crate::lock::archives::Archives;
use crate::lock::fetch::{Fetcher, Patience};
use crate::lock::file::{ESSENTIAL, Lock, LockedPackage, Requests};
use crate::lock::mirror::{LOCAL, Mirrors};
use crate::lock::openpgp::TrustAnchors;
use crate::lock::pool::{Outcome, Pool};
use crate::lock::update::{Policy, resolve};
use crate::plan::server::{Plan, TOOLS, VM_TOOLS, set_name};
use crate::progress;
use crate::sandbox;
use crate::spec::{Architecture, Server, Spec};
use crate::store::Store;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The lock's set with apt, for the tests that compare with it.
const REFERENCE_TOOLS: &str = "tools/reference";

/// The programs that touch bytes of an image.
const TOOL_PACKAGES: [&str; 13] = [
    "base-passwd",
    "busybox-static",
    "dmsetup",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "kmod",
    "mtools",
    "openssh-client",
    "openssl",
];
const VM_PACKAGES: [&str; 6] =
    ["base-files", "base-passwd", "ovmf", "qemu-system-x86", "qemu-utils", "seabios"];
const REFERENCE_PACKAGES: [&str; 1] = ["apt"];

/// More differences between spec and lock than these are counted only.
const MOST_MISFITS: usize = 10;

/// The project's folder.
///
/// # Errors
/// When it is not there.
pub(super) fn folder(common: &Common) -> Result<PathBuf> {
    let folder = common.project.clone().unwrap_or_else(|| PathBuf::from("."));
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::input(format!("there is no folder {}", folder.display()))
        .hint("`--project` names the folder of site.toml, roles/, images/ and overlays/"))
}

/// A project with its lock and the store.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) spec: Spec,
    pub(super) lock: Lock,
    pub(super) store: Store,
    folder: PathBuf,
    lock_path: PathBuf,
    mirrors: Mirrors,
    anchors: TrustAnchors,
    locked: bool,
    /// Whether a lock that must change is written, or only used.
    writes_lock: bool,
}

impl Project {
    /// Reads the project for a verb that only looks: when its lock is completed, the file
    /// stays as it is.
    pub(super) fn open_to_look(common: &Common) -> Result<Project> {
        let mut project = Project::open_as_it_is(common)?;
        project.writes_lock = false;
        Ok(project)
    }

    /// Makes or completes the lock if it must.
    pub(super) fn complete_lock(&mut self) -> Result<()> {
        let misfits = self.misfits(&requests(&self.spec))?;
        if !misfits.is_empty() {
            self.refuse_stale(misfits)?;
            self.resolve(&Policy::Keep)?;
        }
        Ok(())
    }

    /// Reads the project, with whatever lock is there.
    pub(super) fn open_as_it_is(common: &Common) -> Result<Project> {
        let folder = folder(common)?;
        let spec = Spec::read(&folder)?;
        // As its user would type it: not ./imagebuild.lock.
        let lock_path = common.project.clone().unwrap_or_default().join("imagebuild.lock");
        let lock = if lock_path.exists() { Lock::read(&lock_path)? } else { Lock::default() };
        let root = common.store.clone().unwrap_or_else(Store::default_root);
        let mirrors = mirrors(common, &spec, &folder)?;
        let anchors = match &common.keyring {
            Some(file) => TrustAnchors::from_file(file)?,
            None => TrustAnchors::debian()?,
        };
        let store = Store::open(&root)?;
        Ok(Project {
            spec,
            lock,
            store,
            folder,
            lock_path,
            mirrors,
            anchors,
            locked: common.locked,
            writes_lock: true,
        })
    }

    /// How the lock does not fit the spec, its archives and the user's own packages: a
    /// line each.
    fn misfits(&self, requests: &Requests) -> Result<Vec<String>> {
        let mut misfits = self.lock.misfits(requests);
        if misfits.is_empty() && !self.lock.matches(requests) {
            misfits.push("its requests stand in another order than the spec's".to_owned());
        }
        for package in self.lock.packages.values() {
            if !self.mirrors.knows(&package.archive) {
                let (name, archive) = (&package.name, &package.archive);
                misfits.push(format!(
                    "{name} is from the archive {archive}, which site.toml does not name"
                ));
            }
        }
        for package in self.lock.of_archive(LOCAL).filter(|_| self.mirrors.knows(LOCAL)) {
            let file = self.folder.join(&package.path);
            if !self.spec.debs.contains(&package.path) || !file.is_file() {
                misfits.push(format!("{} is not there any more", package.path));
            } else if fs::digest_file(&file)? != package.sha256 {
                misfits.push(format!("{} is another file than the locked one", package.path));
            }
        }
        Ok(misfits)
    }

    /// With `--locked`: the error that says how the lock does not fit.
    fn refuse_stale(&self, mut misfits: Vec<String>) -> Result<()> {
        let path = self.lock_path.display();
        if !self.lock_path.exists() {
            return self.refuse_if_locked(&format!("there is no {path}"));
        }
        if misfits.len() > MOST_MISFITS {
            let rest = misfits.split_off(MOST_MISFITS);
            misfits.push(format!("and {} more", rest.len()));
        }
        self.refuse_if_locked(&format!("{path} does not fit the spec"))
            .map_err(|error| misfits.into_iter().fold(error, Error::detail))
    }

    fn refuse_if_locked(&self, why: &str) -> Result<()> {
        if self.locked {
            return Err(Error::input(why).hint(
                "run `imagebuild lock` and look at what it changes, or leave `--locked` away",
            ));
        }
        Ok(())
    }

    /// Resolves anew, says what changed, and writes the lock.
    pub(super) fn resolve(&mut self, policy: &Policy) -> Result<bool> {
        let fetcher = Fetcher::new(Patience::default());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(|_| Error::build("this machine's clock stands before 1970"))?
            .as_secs();
        let root = self.store.root();
        let mut archives = Archives::load(root, &self.mirrors, &fetcher, &self.anchors, now)?;
        for (id, source) in &self.spec.site.sources {
            archives.add_source(root, &fetcher, (id, source), &self.spec.tree, now)?;
        }
        archives.add_local(&self.folder, &self.spec.debs)?;
        let old = (!self.lock.packages.is_empty()).then_some(&self.lock);
        let resolved = resolve(&archives, &requests(&self.spec), old, policy);
        let (lock, changes) = resolved.map_err(|error| name_places(error, &self.spec))?;
        if old.is_some() {
            for change in &changes {
                progress::step("Locking", change.to_string());
            }
        }
        let changed = lock != self.lock;
        let (count, path) = (lock.packages.len(), self.lock_path.display());
        if changed && self.writes_lock {
            lock.write(&self.lock_path)?;
            progress::step("Locked", format!("{count} packages in {path}"));
        } else if changed {
            progress::step("Chosen", format!("{count} packages; a build would write {path}"));
        }
        self.lock = lock;
        Ok(changed)
    }

    /// Has the packages of these sets in the pool; says how many had to be fetched.
    /// Files that no archive has any more are locked anew, in plain sight.
    pub(super) fn fetch(&mut self, sets: &[String]) -> Result<usize> {
        // Whoever wants packages unpacks them in a sandbox: before minutes of downloads.
        sandbox::check_ids()?;
        // The second time all are of an index that was just read.
        for _ in 0..2 {
            match self.pool()?.ensure(&self.packages_of(sets)?)? {
                Outcome::Complete { fetched, .. } => return Ok(fetched),
                Outcome::Vanished(gone) => {
                    let names: Vec<String> = gone.into_iter().map(|p| p.name).collect();
                    let list = names.join(", ");
                    self.refuse_if_locked(&format!(
                        "no archive has these locked packages any more: {list}"
                    ))?;
                    progress::warn(format!(
                        "no archive has the locked version any more of: {list}"
                    ));
                    self.resolve(&Policy::Relock(names))?;
                }
            }
        }
        Err(Error::archive("the mirror lists packages that it does not have").hint(
            "it may be in the middle of an update: try again in some minutes, or use `--mirror`",
        ))
    }

    /// The names of the pool's files for these sets.
    pub(super) fn pool_files(&self, sets: &[String]) -> Result<Vec<String>> {
        let mut files: Vec<String> =
            self.packages_of(sets)?.iter().map(|p| format!("{}.deb", p.sha256)).collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The project's folder.
    pub(super) fn folder(&self) -> &Path {
        self.lock_path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn pool(&self) -> Result<Pool> {
        let fetcher = Fetcher::new(Patience::default());
        Pool::new(self.store.root(), self.mirrors.clone(), fetcher, &self.lock)
    }

    fn packages_of(&self, sets: &[String]) -> Result<Vec<&LockedPackage>> {
        let mut all = Vec::new();
        for set in sets {
            all.extend(self.lock.set(set).ok_or_else(|| {
                Error::input(format!("imagebuild.lock has no set `{set}`"))
                    .hint("run `imagebuild lock`")
            })?);
        }
        Ok(all)
    }

    /// What a build of each of these servers does.
    pub(super) fn plans(&self, servers: &[(&Architecture, &Server)]) -> Result<Vec<Plan>> {
        let plan = |(architecture, server): &(&Architecture, &Server)| {
            Plan::new(&self.spec, &self.lock, architecture, server)
        };
        servers.iter().map(plan).collect()
    }

    /// The sets that a build of these servers reads.
    pub(super) fn sets(servers: &[(&Architecture, &Server)]) -> Vec<String> {
        let sets: BTreeSet<String> = servers
            .iter()
            .map(|(architecture, server)| set_name(architecture, server))
            .chain([TOOLS.to_owned()])
            .collect();
        sets.into_iter().collect()
    }
}

/// Where the archives are: the command line's word, the site's, the host's.
fn mirrors(common: &Common, spec: &Spec, folder: &Path) -> Result<Mirrors> {
    let mirror = common.mirror.as_deref().or(spec.site.mirror.as_deref());
    let mut mirrors = Mirrors::choose(mirror, common.security_mirror.as_deref(), Path::new("/"))?;
    for (id, source) in &spec.site.sources {
        mirrors = mirrors.with_beside(id, &source.url)?;
    }
    if !spec.debs.is_empty() {
        let folder = folder.canonicalize().map_err(|e| Error::io("look at", folder, &e))?;
        mirrors = mirrors.with_beside(LOCAL, &format!("file://{}", folder.display()))?;
    }
    match common.snapshot_mirror.as_deref() {
        None => Ok(mirrors),
        Some("none") => mirrors.with_snapshot(None),
        url => mirrors.with_snapshot(url),
    }
}

/// All that the spec, and imagebuild itself, ask of the archive.
pub(super) fn requests(spec: &Spec) -> Requests {
    let mut requests = Requests::default();
    let essential = || std::iter::once(ESSENTIAL.to_owned());
    let names = |list: &[&str]| -> Vec<String> { list.iter().map(|n| (*n).to_owned()).collect() };
    let tools: Vec<String> = essential().chain(names(&TOOL_PACKAGES)).collect();
    requests.sets.insert(TOOLS.to_owned(), tools);
    requests.sets.insert(VM_TOOLS.to_owned(), names(&VM_PACKAGES));
    let reference: Vec<String> = essential().chain(names(&REFERENCE_PACKAGES)).collect();
    requests.sets.insert(REFERENCE_TOOLS.to_owned(), reference);
    for architecture in spec.architectures.values() {
        for server in architecture.servers.values() {
            let asked = spec.packages(server).into_iter().map(str::to_owned);
            requests
                .sets
                .insert(set_name(architecture, server), essential().chain(asked).collect());
        }
    }
    for role in spec.roles.values() {
        requests.users.extend(role.users.iter().cloned());
        requests.groups.extend(role.groups.iter().cloned());
    }
    requests
}

/// Adds where the packages are asked for that an error of the resolver names.
fn name_places(error: Error, spec: &Spec) -> Error {
    let message = error.message().to_owned();
    let named = |package: &str| message.contains(&format!("`{package}`"));
    let mut places = spec.asked.iter().filter(|(package, _)| named(package));
    let Some((_, first)) = places.next() else { return error };
    let others = places.map(|(package, place)| {
        format!("{}:{} asks for {package}", place.file.display(), place.line)
    });
    others.fold(error.at(first.clone()), Error::detail)
}

fn all_of_one(spec: &Spec, role: &str) -> Error {
    let with = |architecture: &&Architecture| architecture.servers.contains_key(role);
    let name = spec.architectures.values().find(with).map_or("arch4", |with| &with.name);
    Error::input("`--role` needs one architecture, not `all`")
        .hint(format!("name the architecture, such as `{name} --role {role}`"))
}

/// The servers that a command line names: an architecture (or `all`), and a role.
pub(super) fn servers<'a>(
    spec: &'a Spec,
    architecture: &str,
    role: Option<&str>,
) -> Result<Vec<(&'a Architecture, &'a Server)>> {
    if architecture == "all" {
        if let Some(role) = role {
            return Err(all_of_one(spec, role));
        }
        let all = spec.architectures.values();
        return Ok(all.flat_map(|a| a.servers.values().map(move |server| (a, server))).collect());
    }
    let architecture = spec.architecture(architecture)?;
    match role {
        Some(name) => Ok(vec![(architecture, architecture.server(name)?)]),
        None => Ok(architecture.servers.values().map(|server| (architecture, server)).collect()),
    }
}
