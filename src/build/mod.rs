//! Carries a plan out: makes what is missing, in the order in which it is needed.
//!
//! The executor knows nothing of its own: every step says what it reads, the store
//! says what is there, and `perform` is one exhaustive match.

mod agent;
mod attribution;
mod config;
mod debs;
mod disk;
mod inventory;
mod output;
mod schedule;
mod secrets;
mod validate;

pub use output::Format;
pub use schedule::{default_jobs, make_all};

use crate::error::{Error, Result};
use crate::fs;
use crate::image::initramfs;
use crate::image::tools::{EspFile, Tools};
use crate::image::verity::{self, Verity};
use crate::lock::unpack::{Owners, unpack_into};
use crate::plan::guid::Guid;
use crate::plan::server::{Plan, ToolsPlan};
use crate::plan::step::{PackageRef, Planned, Step};
use crate::progress::{self, Event};
use crate::rootfs::Tree;
use crate::store::{Key, Object, Origin, Store};
use crate::threads;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Index;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The plan of an image being carried out.
#[derive(Debug)]
pub struct Build<'a> {
    executor: Executor<'a>,
    plan: &'a Plan,
}

/// Carries steps out.
#[derive(Debug)]
struct Executor<'a> {
    store: &'a Store,
    times: Mutex<Vec<(&'static str, Duration)>>,
}

/// The results of the steps that a step reads.
struct Inputs(BTreeMap<Key, Object>);

impl Inputs {
    fn of(inputs: Vec<&Planned>, provide: impl Fn(&Planned) -> Result<Object>) -> Result<Inputs> {
        let results = inputs.into_iter().map(|input| Ok((input.key(), provide(input)?)));
        results.collect::<Result<_>>().map(Inputs)
    }
}

impl Index<&Planned> for Inputs {
    type Output = Object;

    fn index(&self, input: &Planned) -> &Object {
        &self.0[&input.key()]
    }
}

/// The unpacked closure of a set of tools, made if it is missing.
///
/// # Errors
/// Those of the step.
pub fn tools(store: &Store, plan: &ToolsPlan) -> Result<PathBuf> {
    Executor::new(store).tools(&plan.0)
}

/// What a layer's dm-verity device is set up with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootHash {
    pub(crate) root_hash: fs::Sha256Digest,
    data_blocks: u64,
    hash_start_block: u64,
    length: u64,
}

impl RootHash {
    fn of(verity: &Verity) -> RootHash {
        RootHash {
            root_hash: verity.root_hash,
            data_blocks: verity.data_blocks,
            hash_start_block: verity.hash_start_block,
            length: verity.length,
        }
    }

    /// As the initramfs takes it: ROOTHASH:BLOCKS:HASHSTART:SALT.
    fn argument(&self) -> String {
        format!("{}:{}:{}:-", self.root_hash, self.data_blocks, self.hash_start_block)
    }
}

impl<'a> Build<'a> {
    /// A build of `plan` with `store`; the packages must be in the pool.
    pub fn new(store: &'a Store, plan: &'a Plan) -> Build<'a> {
        Build { executor: Executor::new(store), plan }
    }

    /// The result of a step, made if it is missing.
    ///
    /// # Errors
    /// Those of the step, named.
    pub fn provide(&self, planned: &Planned) -> Result<Object> {
        self.executor.provide(planned)
    }

    /// The unpacked tools closure of the plan, made if it is missing.
    ///
    /// # Errors
    /// Those of the step.
    pub fn tools(&self) -> Result<PathBuf> {
        self.executor.tools(&self.plan.tools)
    }

    /// The steps that were made, and how long each took without those it needed.
    pub fn times(&self) -> MutexGuard<'_, Vec<(&'static str, Duration)>> {
        self.executor.times()
    }

    /// What is carried out.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// Whether the plan's last step is there.
    ///
    /// # Errors
    /// When a damaged result cannot be taken away.
    pub fn is_made(&self) -> Result<bool> {
        Ok(self.executor.store.find(self.plan.last.key())?.is_some())
    }
}

impl<'a> Executor<'a> {
    fn new(store: &'a Store) -> Executor<'a> {
        Executor { store, times: Mutex::default() }
    }

    /// The result of a step, made if it is missing.
    fn provide(&self, planned: &Planned) -> Result<Object> {
        let (key, step) = (planned.key(), planned.step());
        if let Some(object) = self.store.find(key)? {
            return Ok(object);
        }
        let inputs = Inputs::of(step.inputs(), |input| self.provide_whole(input))?;
        if crate::exec::interrupted() {
            return Err(crate::exec::interruption());
        }
        let (name, digits, mut took) = (step.name(), key.to_string(), Duration::ZERO);
        let make = |temporary: &Path| {
            // Here and not before: another build may be making the very same.
            let summary = &step.summary();
            progress::event(Event::StepStarted { step: name, key: &digits, summary });
            let start = Instant::now();
            self.perform(step, &inputs, temporary)?;
            took = start.elapsed();
            Ok(())
        };
        let (object, origin) = self
            .store
            .provide(key, make)
            .map_err(|e| if e.kind() == crate::error::Kind::Build { e.context(name) } else { e })?;
        match origin {
            Origin::Made => {
                let seconds = took.as_secs_f64();
                progress::event(Event::StepDone { step: name, key: &digits, seconds });
                self.times().push((name, took));
            }
            // Another build was faster.
            Origin::Found => progress::event(Event::StepCached { step: name, key: &digits }),
        }
        Ok(object)
    }

    /// The same, for who reads it: the files of its tree are looked through first. A build
    /// that makes nothing reads no tree, and does not pay for it.
    fn provide_whole(&self, planned: &Planned) -> Result<Object> {
        match self.store.find_whole(planned.key())? {
            Some(object) => Ok(object),
            None => self.provide(planned),
        }
    }

    fn tools(&self, planned: &Planned) -> Result<PathBuf> {
        Ok(self.provide_whole(planned)?.path("tree"))
    }

    fn times(&self) -> MutexGuard<'_, Vec<(&'static str, Duration)>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, step: &Step, inputs: &Inputs, temporary: &Path) -> Result<()> {
        let object = |input: &Planned| &inputs[input];
        let tree = |input: &Planned| object(input).path("tree");
        match step {
            Step::Tools { packages } => self.unpack_tools(packages, temporary),
            Step::Kernel { tools, package, release, init, epoch } => {
                let tools = Tools { tree: &tree(tools), epoch: *epoch };
                self.kernel(tools, package, release, init, temporary)
            }
            Step::Bootloader { tools, epoch } => {
                Tools { tree: &tree(tools), epoch: *epoch }.bootloader(temporary)
            }
            Step::Base { tools, packages, ids, epoch } => {
                let debs = debs::self_contained(debs::read(&self.store.pool(), packages)?);
                let tools = tree(tools);
                let work = Tree { tools: &tools, debs: &debs, ids, epoch: *epoch };
                work.make_base(temporary).map_err(attribution::name_package)
            }
            Step::Packages { tools, base, packages, own, ids, epoch } => {
                let (tools, base) = (tree(tools), tree(base));
                let missing = debs::missing_in(&base, packages)?;
                let debs = debs::read(&self.store.pool(), &missing)?;
                let work = Tree { tools: &tools, debs: &debs, ids, epoch: *epoch };
                work.make(&base, temporary).map_err(attribution::name_package)?;
                secrets::scan_tree(&temporary.join("tree"))?;
                secrets::scan_rights(&temporary.join("tree"), own)
            }
            Step::PackagesLayer { tools, tree: packages, epoch } => {
                Tools { tree: &tree(tools), epoch: *epoch }.erofs_of_tree(
                    &tree(packages),
                    "packages",
                    temporary,
                )?;
                seal_layer("packages", temporary)
            }
            Step::Agent { compiler, files, epoch } => {
                agent::compile(&tree(compiler), files, *epoch, temporary)
            }
            Step::ConfigLayer { tools, tree: packages, files, agent, epoch } => {
                secrets::scan_files(files)?;
                let tar = temporary.join("layer.tar");
                let folders = object(packages).json("folders.json")?;
                let agent = agent.as_ref().map(|agent| object(agent).path(agent::PROGRAM));
                config::write_tar(files, agent.as_deref(), &folders, *epoch, &tar)?;
                Tools { tree: &tree(tools), epoch: *epoch }
                    .erofs_of_tar(&tar, "config", temporary)?;
                seal_layer("config", temporary)
            }
            Step::Validate { tree, validator, agent, files, links, credentials, epoch } => {
                let packages = object(tree);
                let agent = agent.as_ref().map(|agent| object(agent).path(agent::PROGRAM));
                let validation =
                    validate::Validation { packages, agent, files, links, credentials };
                validation.ask(validator, *epoch, temporary)
            }
            Step::State { tools, image, size, epoch } => {
                Tools { tree: &tree(tools), epoch: *epoch }.state(image, *size, temporary)?;
                disk::note_content(temporary, disk::STATE)
            }
            Step::Esp {
                tools,
                bootloader,
                kernel,
                packages,
                config,
                image,
                grub_cfg,
                arguments,
                size,
                epoch,
            } => {
                let packages: RootHash = object(packages).json("verity.json")?;
                let config: RootHash = object(config).json("verity.json")?;
                let slot = format!(
                    "set packages={}\nset config={}\nset arguments=\"{arguments}\"\n",
                    packages.argument(),
                    config.argument(),
                );
                let tools = Tools { tree: &tree(tools), epoch: *epoch };
                let (bootloader, kernel) = (object(bootloader), object(kernel));
                let work = Esp { image, size: *size, grub_cfg, slot: &slot, bootloader, kernel };
                work.make(tools, temporary)
            }
            Step::Inventory { tree: packages, packages: all } => {
                inventory::write(&tree(packages), all, temporary)
            }
            Step::Image(image) => disk::manifest(image, inputs, temporary),
        }
    }

    fn unpack_tools(&self, packages: &[PackageRef], temporary: &Path) -> Result<()> {
        let tree = temporary.join("tree");
        fs::create_dir_all(&tree)?;
        // base-files first: it has the links /bin -> usr/bin that others go through.
        let (first, others): (Vec<&PackageRef>, Vec<&PackageRef>) =
            packages.iter().partition(|package| package.name == "base-files");
        first.into_iter().try_for_each(|package| self.unpack(package, &tree))?;
        threads::for_each(&others, |package| self.unpack(package, &tree))?;
        // What base-passwd's script would do; no other script of the closure matters.
        for name in ["passwd", "group"] {
            let master = tree.join("usr/share/base-passwd").join(format!("{name}.master"));
            let path = tree.join("etc").join(name);
            std::fs::copy(&master, &path).map_err(|e| Error::io("copy", &master, &e))?;
        }
        Ok(())
    }

    /// Unpacks a package's files, without its scripts.
    fn unpack(&self, package: &PackageRef, tree: &Path) -> Result<()> {
        let deb = debs::open_verified(&self.store.pool(), package)?;
        unpack_into(deb, &package.name, tree, Owners::Mine, |_| true).map_err(|e| {
            let name = &package.name;
            e.or_hint(format!("it is the very file that the lock names, so the archive has it so; `imagebuild lock --update {name}` looks for another version"))
        })
    }

    fn kernel(
        &self,
        tools: Tools<'_>,
        package: &PackageRef,
        release: &str,
        init: &str,
        temporary: &Path,
    ) -> Result<()> {
        // Within the step's own folder: a build that is killed leaves nothing elsewhere.
        let work = temporary.join("package");
        fs::create_dir_all(&work)?;
        self.unpack(package, &work)?;
        initramfs::make(tools, &work, release, init, temporary)?;
        crate::sandbox::remove_tree(&work)
    }
}

/// A folder for small files that are read once, within the step's own: gone before the
/// result is kept, and with it when the build is killed.
fn workplace(temporary: &Path) -> Result<tempfile::TempDir> {
    tempfile::tempdir_in(temporary).map_err(|e| Error::io("make a folder in", temporary, &e))
}

/// Appends the hash tree to `layer.erofs` and notes the root hash beside it.
fn seal_layer(label: &str, temporary: &Path) -> Result<()> {
    let uuid = Guid::of_name(&format!("{label}/verity"));
    let params = verity::Params { salt: Vec::new(), uuid };
    let verity = verity::append(&temporary.join("layer.erofs"), &params)?;
    let json =
        serde_json::to_vec(&RootHash::of(&verity)).map_err(|e| Error::build(e.to_string()))?;
    fs::write_atomically(&temporary.join("verity.json"), &json)
}

/// What the EFI system partition is made of.
struct Esp<'a> {
    image: &'a str,
    size: u64,
    grub_cfg: &'a str,
    slot: &'a str,
    bootloader: &'a Object,
    kernel: &'a Object,
}

impl Esp<'_> {
    fn make(&self, tools: Tools<'_>, temporary: &Path) -> Result<()> {
        let work = workplace(temporary)?;
        let written = |name: &str, bytes: &[u8]| {
            let path = work.path().join(name);
            std::fs::write(&path, bytes).map_err(|e| Error::io("write", &path, &e)).map(|()| path)
        };
        let grub_cfg = written("grub.cfg", self.grub_cfg.as_bytes())?;
        let slot = written("slot.cfg", self.slot.as_bytes())?;
        // GRUB's environment block: 1024 bytes, a header line, padded with #.
        let header = "# GRUB Environment Block\n";
        let env = written("env", format!("{header:#<1024}").as_bytes())?;
        let efi = self.bootloader.path("BOOTX64.EFI");
        let (vmlinuz, initrd) = (self.kernel.path("vmlinuz"), self.kernel.path("initrd"));
        let files = [
            ("EFI/BOOT/BOOTX64.EFI", &efi),
            ("grub/grub.cfg", &grub_cfg),
            ("grub/env1", &env),
            ("grub/env2", &env),
            ("a/slot.cfg", &slot),
            ("a/vmlinuz", &vmlinuz),
            ("a/initrd", &initrd),
        ]
        .map(|(path, source)| EspFile { path, source });
        tools.esp(self.image, self.size, &files, temporary)?;
        disk::note_content(temporary, disk::ESP)
    }
}
