//! A project: its spec, its lock kept up to date, and the store with its packages. What the
//! commands share, and the tests that build real images.

mod servers;
mod sets;

pub use servers::servers;
pub use sets::{REFERENCE_TOOLS, TEST_TOOLS, requests};

use crate::build;
use crate::error::{Error, Result};
use crate::fs;
use crate::lock::archives::{Archives, SUITES};
use crate::lock::date;
use crate::lock::fetch::{Fetcher, Patience};
use crate::lock::file::{Lock, LockedPackage, Requests};
use crate::lock::mirror::{LOCAL, Mirrors};
use crate::lock::openpgp::TrustAnchors;
use crate::lock::pool::{Outcome, Pool};
use crate::lock::proxy::Proxies;
use crate::lock::update::{Policy, refuse_older, resolve};
use crate::plan::server::{COMPILER, Plan, TOOLS, ToolsPlan, set_name};
use crate::progress;
use crate::sandbox;
use crate::spec::{Architecture, Server, Spec};
use crate::store::Store;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More differences between spec and lock than these are counted only.
const MOST_MISFITS: usize = 10;

/// Where a project and what belongs to it are. What is not said is as on the command line.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The project's folder; the working folder.
    pub project: Option<PathBuf>,
    /// The store; see [`Store::default_root`].
    pub store: Option<PathBuf>,
    /// Debian's mirror; the site's, else this machine's, else a public one.
    pub mirror: Option<String>,
    /// The mirror of the security archive.
    pub security_mirror: Option<String>,
    /// The fallback archive, or `none`.
    pub snapshot_mirror: Option<String>,
    /// OpenPGP keys that may sign the archive; Debian's.
    pub keyring: Option<PathBuf>,
    /// Whether the lock must fit as it is.
    pub locked: bool,
}

/// The project's folder.
///
/// # Errors
/// When it is not there.
pub fn folder(options: &Options) -> Result<PathBuf> {
    let folder = options.project.clone().unwrap_or_else(|| PathBuf::from("."));
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::input(format!("there is no folder {}", folder.display()))
        .hint("`--project` names the folder of site.toml, roles/, images/ and overlays/"))
}

/// A project with its lock and the store.
#[derive(Debug)]
pub struct Project {
    /// What images are made from.
    pub spec: Spec,
    /// Its packages.
    pub lock: Lock,
    /// Results of steps, and packages.
    pub store: Store,
    folder: PathBuf,
    lock_path: PathBuf,
    mirrors: Mirrors,
    anchors: TrustAnchors,
    locked: bool,
    /// Whether a lock that must change is written, or only used.
    writes_lock: bool,
}

/// With this machine's proxies.
fn fetcher() -> Fetcher {
    Fetcher::new(Patience::default(), Proxies::of_host(Path::new("/")))
}

/// How packages are chosen anew.
#[derive(Debug, Clone, Copy)]
pub struct Resolving<'a> {
    /// Which packages may move.
    pub policy: &'a Policy,
    /// Suites whose archives may be older than the lock's.
    pub allow_older: &'a [String],
    /// Debian's archives as they were then, in seconds since 1970; as they are now, if not said.
    pub at: Option<u64>,
}

impl<'a> Resolving<'a> {
    /// From the archives as they are now, none of them older than the lock's.
    pub fn by(policy: &'a Policy) -> Resolving<'a> {
        Resolving { policy, allow_older: &[], at: None }
    }
}

impl Project {
    /// Reads the project for who only looks: when its lock is completed, the file stays as it
    /// is.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn open_to_look(options: &Options) -> Result<Project> {
        let mut project = Project::open(options)?;
        project.writes_lock = false;
        Ok(project)
    }

    /// Makes or completes the lock if it must.
    ///
    /// # Errors
    /// When no lock can be made, or `locked` forbids it.
    pub fn complete_lock(&mut self) -> Result<()> {
        let misfits = self.misfits(&requests(&self.spec))?;
        if !misfits.is_empty() {
            self.refuse_stale(misfits)?;
            self.resolve(&Resolving::by(&Policy::Keep))?;
        }
        Ok(())
    }

    /// Reads the project, with whatever lock is there.
    ///
    /// # Errors
    /// When a file of it is wrong, or the store cannot be used.
    pub fn open(options: &Options) -> Result<Project> {
        let folder = folder(options)?;
        let spec = Spec::read(&folder)?;
        // As its user would type it: not ./imagebuild.lock.
        let lock_path = options.project.clone().unwrap_or_default().join("imagebuild.lock");
        let lock = if lock_path.exists() { Lock::read(&lock_path)? } else { Lock::default() };
        let root = options.store.clone().unwrap_or_else(Store::default_root);
        let mirrors = mirrors(options, &spec, &folder)?;
        let anchors = match &options.keyring {
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
            locked: options.locked,
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

    /// Resolves anew, says what changed, and writes the lock. Gives whether it changed.
    ///
    /// # Errors
    /// When an archive cannot be read or believed, or there is no solution.
    pub fn resolve(&mut self, resolving: &Resolving<'_>) -> Result<bool> {
        let Resolving { policy, allow_older, at } = *resolving;
        let fetcher = fetcher();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(|_| Error::build("this machine's clock stands before 1970"))?
            .as_secs();
        let root = self.store.root();
        let past = at.map(|at| self.mirrors_at(at, now)).transpose()?;
        let mirrors = past.as_ref().unwrap_or(&self.mirrors);
        // A Release file that was valid then may have expired since.
        let then = at.unwrap_or(now);
        let mut archives = Archives::load(root, mirrors, &fetcher, &self.anchors, then)?;
        for (id, source) in &self.spec.site.sources {
            if at.is_some() {
                progress::warn(format!(
                    "there is no past of the archive `{id}`: it is read as it is today"
                ));
            }
            archives.add_source(root, &fetcher, (id, source), &self.spec.tree, now)?;
        }
        archives.add_local(&self.folder, &self.spec.debs)?;
        let mut allowed = allow_older.to_owned();
        if at.is_some() {
            allowed.extend(SUITES.map(|(_, suite)| suite.to_owned()));
        }
        refuse_older(&archives, &self.lock, &allowed)?;
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

    /// The mirrors as they were at a time.
    fn mirrors_at(&self, at: u64, now: u64) -> Result<Mirrors> {
        if at > now {
            let when = date::rfc3339(at);
            return Err(Error::input(format!("{when} is still to come"))
                .hint("`--at` names a day of the past"));
        }
        self.mirrors.as_of(&date::snapshot(at)).ok_or_else(|| {
            Error::input("there is no snapshot archive to read the past from")
                .hint("`--snapshot-mirror URL` names one")
        })
    }

    /// Has the packages of these sets in the pool; says how many had to be fetched.
    /// Files that no archive has any more are locked anew, in plain sight.
    ///
    /// # Errors
    /// When a mirror fails, or has another file than the locked one.
    pub fn fetch(&mut self, sets: &[String]) -> Result<usize> {
        // Whoever wants packages unpacks them in a sandbox: before minutes of downloads.
        let pool = self.store.pool();
        if self.pool_files(sets)?.iter().any(|file| !pool.join(file).exists()) {
            sandbox::try_one(self.store.root())?;
        } else {
            sandbox::check_ids()?;
        }
        // The second time all are of an index that was just read.
        for _ in 0..2 {
            match self.fetch_locked(sets)? {
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
                    self.resolve(&Resolving::by(&Policy::Relock(names)))?;
                }
            }
        }
        Err(Error::archive("the mirror lists packages that it does not have").hint(
            "it may be in the middle of an update: try again in some minutes, or use `--mirror`",
        ))
    }

    /// Has the packages of these sets in the pool, or says which no archive has any more.
    ///
    /// # Errors
    /// As [`Project::fetch`].
    pub fn fetch_locked(&self, sets: &[String]) -> Result<Outcome> {
        self.pool()?.ensure(&self.packages_of(sets)?)
    }

    /// The names of the pool's files for these sets.
    ///
    /// # Errors
    /// When the lock has no such set.
    pub fn pool_files(&self, sets: &[String]) -> Result<Vec<String>> {
        let mut files: Vec<String> =
            self.packages_of(sets)?.iter().map(|p| format!("{}.deb", p.sha256)).collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        self.lock_path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn pool(&self) -> Result<Pool> {
        Pool::new(self.store.root(), self.mirrors.clone(), fetcher(), &self.lock)
    }

    /// The unpacked closure of a set of tools, made if the store lacks it; its packages must be
    /// in the pool.
    ///
    /// # Errors
    /// When the lock has no such set, or it cannot be unpacked.
    pub fn tools(&self, set: &str) -> Result<PathBuf> {
        build::tools(&self.store, &ToolsPlan::new(&self.lock, set)?)
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
    ///
    /// # Errors
    /// When the lock lacks something of them, or a template cannot be rendered.
    pub fn plans(&self, servers: &[(&Architecture, &Server)]) -> Result<Vec<Plan>> {
        let plan = |(architecture, server): &(&Architecture, &Server)| {
            Plan::new(&self.spec, &self.lock, architecture, server)
        };
        servers.iter().map(plan).collect()
    }

    /// The sets that a build of these servers reads.
    pub fn sets(servers: &[(&Architecture, &Server)]) -> Vec<String> {
        let sets: BTreeSet<String> = servers
            .iter()
            .map(|(architecture, server)| set_name(architecture, server))
            .chain([TOOLS.to_owned()])
            .chain(servers.iter().any(|(_, one)| one.has_agent()).then(|| COMPILER.to_owned()))
            .collect();
        sets.into_iter().collect()
    }
}

/// Where the archives are: the command line's word, the site's, the host's.
fn mirrors(options: &Options, spec: &Spec, folder: &Path) -> Result<Mirrors> {
    let mirror = options.mirror.as_deref().or(spec.site.mirror.as_deref());
    let mut mirrors = Mirrors::choose(mirror, options.security_mirror.as_deref(), Path::new("/"))?;
    for (id, source) in &spec.site.sources {
        mirrors = mirrors.with_external(id, &source.url)?;
    }
    if !spec.debs.is_empty() {
        let folder = folder.canonicalize().map_err(|e| Error::io("look at", folder, &e))?;
        mirrors = mirrors.with_external(LOCAL, &format!("file://{}", folder.display()))?;
    }
    match options.snapshot_mirror.as_deref() {
        None => Ok(mirrors),
        Some("none") => mirrors.with_snapshot(None),
        url => mirrors.with_snapshot(url),
    }
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
