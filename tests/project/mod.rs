//! The project of this repository with its lock and the user's own store: what the
//! tests that build real images start from.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use imagebuild::build::Build;
use imagebuild::lock::{Fetcher, Lock, Mirrors, Outcome, Patience, Pool};
use imagebuild::plan::server::{Plan, Planned, refs};
use imagebuild::plan::step::Step;
use imagebuild::sandbox;
use imagebuild::spec::Spec;
use imagebuild::store::{Key, Object, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The built program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_imagebuild");
/// The set of the lock with apt and dpkg.
pub(crate) const REFERENCE: &str = "tools/reference";

/// The project.
pub(crate) struct Project {
    pub(crate) spec: Spec,
    pub(crate) lock: Lock,
    pub(crate) store: Store,
}

/// A folder that ends with this value, also where its files belong to subordinate ids.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new_in(parent: &Path) -> Scratch {
        let folder = tempfile::Builder::new().prefix("test-").tempdir_in(parent).unwrap();
        Scratch(folder.keep())
    }

    /// In memory, where this machine has so many bytes of it for files: much that is written
    /// and thrown away, like a tree of packages, costs only its copying there.
    pub(crate) fn in_memory(room: u64) -> Option<Scratch> {
        let memory = Path::new("/dev/shm");
        let free = nix::sys::statvfs::statvfs(memory).ok()?;
        let enough = free.blocks_available() * free.fragment_size() > room;
        enough.then(|| Scratch::new_in(memory))
    }

    /// In memory if there is room for so many bytes, else where temporary files are.
    pub(crate) fn quick(room: u64) -> Scratch {
        Scratch::in_memory(room).unwrap_or_else(|| Scratch::new_in(&std::env::temp_dir()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        drop(sandbox::remove_tree(&self.0));
    }
}

/// The folder with images/, roles/ and imagebuild.lock.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Project {
    /// With the store that `imagebuild` uses when no option names another.
    pub(crate) fn open() -> Project {
        sandbox::use_helper(PROGRAM);
        let spec = Spec::read(folder()).unwrap_or_else(|error| panic!("{error}"));
        let lock = Lock::read(&folder().join("imagebuild.lock")).unwrap_or_else(|e| panic!("{e}"));
        let store = Store::open(&Store::default_root()).unwrap_or_else(|e| panic!("{e}"));
        Project { spec, lock, store }
    }

    /// Has the packages of these sets in the pool.
    pub(crate) fn fetch(&self, sets: &[&str]) {
        let mirrors = Mirrors::choose(None, None, Path::new("/")).unwrap();
        let fetcher = Fetcher::new(Patience::default());
        let pool = Pool::new(self.store.root(), mirrors, fetcher, &self.lock).unwrap();
        for set in sets {
            let outcome = pool.ensure(&self.lock.set(set).unwrap());
            match outcome.unwrap_or_else(|error| panic!("{error}")) {
                Outcome::Complete { .. } => {}
                Outcome::Vanished(gone) => panic!("no archive has any more: {gone:?}"),
            }
        }
    }

    /// The plan of a server of arch4.
    pub(crate) fn plan(&self, server: &str) -> Plan {
        self.plan_of("arch4", server)
    }

    /// The plan of a server.
    pub(crate) fn plan_of(&self, architecture: &str, server: &str) -> Plan {
        let architecture = self.spec.architecture(architecture).unwrap();
        let server = architecture.server(server).unwrap();
        Plan::new(&self.spec, &self.lock, architecture, server).unwrap()
    }

    /// A server for each packages tree: architecture and name. Servers whose trees are
    /// one step are there once.
    pub(crate) fn distinct_trees(&self) -> Vec<(String, String)> {
        let mut trees = BTreeMap::new();
        for architecture in self.spec.architectures.values() {
            for server in architecture.servers.keys() {
                let plan = self.plan_of(&architecture.name, server);
                let packages = plan.steps.iter().find(|p| p.step.name() == "packages").unwrap();
                trees
                    .entry(packages.key)
                    .or_insert_with(|| (architecture.name.clone(), server.clone()));
            }
        }
        let mut servers: Vec<(String, String)> = trees.into_values().collect();
        servers.sort();
        servers
    }

    /// The result of the step of that name, made if the store lacks it.
    pub(crate) fn provide(&self, plan: &Plan, step: &str) -> Object {
        let planned = plan.steps.iter().find(|planned| planned.step.name() == step).unwrap();
        self.provide_key(plan, planned.key)
    }

    /// The tools closure with apt, unpacked.
    pub(crate) fn reference_tools(&self) -> PathBuf {
        self.fetch(&[REFERENCE]);
        let step = Step::Tools { packages: refs(&self.lock, REFERENCE).unwrap() };
        let mut plan = self.plan("web1");
        let key = step.key().unwrap();
        plan.steps.push(Planned { key, step });
        self.provide_key(&plan, key).path("tree")
    }

    /// An empty store that has these sets in its pool: hard links, as the pool holds
    /// only files that were checked against the lock.
    pub(crate) fn empty_store(&self, folder: &Path, sets: &[&str]) {
        self.fetch(sets);
        std::fs::create_dir_all(folder.join("pool")).unwrap();
        for set in sets {
            for package in self.lock.set(set).unwrap() {
                let file = format!("pool/{}.deb", package.sha256);
                let (from, to) = (self.store.root().join(&file), folder.join(&file));
                if !to.exists() {
                    let copied = || std::fs::copy(&from, &to).map(drop);
                    std::fs::hard_link(&from, &to).or_else(|_| copied()).unwrap();
                }
            }
        }
    }

    fn provide_key(&self, plan: &Plan, key: Key) -> Object {
        Build::new(&self.store, plan).provide(key).unwrap_or_else(|error| panic!("{error}"))
    }
}
