//! The project of this repository with its lock and the user's own store: what the
//! tests that build real images start from.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use imagebuild::build::Build;
use imagebuild::exec::Program;
use imagebuild::lock::Outcome;
use imagebuild::plan::server::Plan;
use imagebuild::project::{Options, REFERENCE_TOOLS, servers};
use imagebuild::sandbox;
use imagebuild::store::Object;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The built program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_imagebuild");

/// The memory that builds of tests/images/reproducible.rs want for their trees, one at a time.
pub(crate) const BUILD_IN_MEMORY: u64 = 6 << 30;

/// The project; its lock never changes.
pub(crate) struct Project(imagebuild::project::Project);

impl Deref for Project {
    type Target = imagebuild::project::Project;

    fn deref(&self) -> &imagebuild::project::Project {
        &self.0
    }
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

/// The program itself, as a user would call it to build images.
pub(crate) fn build(arguments: &[&str], out: &Path) {
    Program::new(PROGRAM)
        .args(arguments)
        .args(["--out".as_ref(), out.as_os_str()])
        .envs(std::env::vars_os())
        .dir(folder())
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
}

impl Project {
    /// This repository's.
    pub(crate) fn open() -> Project {
        Project::of(folder())
    }

    /// A folder's, with the store that `imagebuild` uses when no option names another.
    pub(crate) fn of(folder: &Path) -> Project {
        sandbox::use_helper(PROGRAM);
        let options =
            Options { project: Some(folder.to_owned()), locked: true, ..Options::default() };
        let project = imagebuild::project::Project::open(&options);
        Project(project.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Has the packages of these sets in the pool.
    pub(crate) fn fetch(&self, sets: &[&str]) {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let fetched = self.0.fetch_locked(&sets);
        match fetched.unwrap_or_else(|error| panic!("{error}")) {
            Outcome::Complete { .. } => {}
            Outcome::Vanished(gone) => panic!("no archive has any more: {gone:?}"),
        }
    }

    /// The plan of a server of arch4.
    pub(crate) fn plan(&self, server: &str) -> Plan {
        self.plan_of("arch4", server)
    }

    /// The plan of a server.
    pub(crate) fn plan_of(&self, architecture: &str, server: &str) -> Plan {
        let chosen = servers(&self.spec, architecture, Some(server)).unwrap();
        self.plans(&chosen).unwrap().remove(0)
    }

    /// A server for each packages tree: architecture and name. Servers whose trees are
    /// one step are there once.
    pub(crate) fn distinct_trees(&self) -> Vec<(String, String)> {
        let mut trees = BTreeMap::new();
        for architecture in self.spec.architectures.values() {
            for server in architecture.servers.keys() {
                let plan = self.plan_of(&architecture.name, server);
                trees
                    .entry(plan.packages.key())
                    .or_insert_with(|| (architecture.name.clone(), server.clone()));
            }
        }
        let mut servers: Vec<(String, String)> = trees.into_values().collect();
        servers.sort();
        servers
    }

    /// The result of the step of that name, made if the store lacks it.
    pub(crate) fn provide(&self, plan: &Plan, step: &str) -> Object {
        let planned = plan.steps.iter().find(|planned| planned.step().name() == step).unwrap();
        Build::new(&self.store, plan).provide(planned).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The tools closure with apt, unpacked.
    pub(crate) fn reference_tools(&self) -> PathBuf {
        self.tools(REFERENCE_TOOLS)
    }

    /// A tools closure of the lock, unpacked.
    pub(crate) fn tools(&self, set: &str) -> PathBuf {
        self.fetch(&[set]);
        self.0.tools(set).unwrap_or_else(|error| panic!("{error}"))
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
}
