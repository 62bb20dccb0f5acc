//! One step of a build: what it makes, and everything that it reads.
//!
//! A step's key is the digest of its own value, in which earlier steps stand by
//! their keys: whatever changes, exactly the steps that read it change. Whoever has a step
//! has those that it reads, so each can be carried out.

use super::layout::Layout;
use super::render::ConfigFile;
use crate::error::Result;
use crate::fs::Sha256Digest;
use crate::lock::ids::Ids;
use crate::spec::Validator;
use crate::store::Key;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Raised when the code of any step makes other bytes from the same inputs.
const FORMAT: u32 = 11;

/// A package by name and digest; its file is in the pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The `.deb`.
    pub sha256: Sha256Digest,
    /// Packages of the set that its dependencies led to.
    pub depends: Vec<String>,
}

/// An address that the server has while its configuration is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `eth0`.
    pub interface: String,
    /// Addresses with prefix length.
    pub addresses: Vec<String>,
}

/// A step with its key. Copies share it.
///
/// Where another step reads it, it is written as its key; `serialize_whole` writes both.
#[derive(Debug, Clone)]
pub struct Planned(Arc<Keyed>);

#[derive(Debug, Serialize)]
struct Keyed {
    key: Key,
    step: Step,
}

impl Planned {
    /// The step, under the digest of its value.
    ///
    /// # Errors
    /// Never in practice: every step has a JSON form.
    pub fn new(step: Step) -> Result<Planned> {
        Ok(Planned(Arc::new(Keyed { key: Key::of(&(FORMAT, &step))?, step })))
    }

    /// Under which its result is stored.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// What it does.
    pub fn step(&self) -> &Step {
        &self.0.step
    }

    /// Steps with their keys, as a list of `{"key": ..., "step": ...}`.
    pub(super) fn serialize_whole<S: Serializer>(
        steps: &[Planned],
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(steps.iter().map(|planned| &*planned.0))
    }
}

/// Steps with the same key are the same.
impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

impl Serialize for Planned {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.key().serialize(serializer)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Unpack a tools closure, without its maintainer scripts: `tree/`.
    Tools {
        /// Its packages.
        packages: Vec<PackageRef>,
    },
    /// Make the kernel and its initramfs: `vmlinuz`, `initrd`.
    Kernel {
        /// The tools closure.
        tools: Planned,
        /// The package with the kernel and its modules.
        package: PackageRef,
        /// `uname -r`.
        release: String,
        /// The initramfs' /init.
        init: String,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// GRUB for both firmwares: `boot.img`, `core.img`, `BOOTX64.EFI`.
    Bootloader {
        /// The tools closure.
        tools: Planned,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Install what all servers have in common, with dpkg and maintainer scripts: `tree/`.
    Base {
        /// The tools closure.
        tools: Planned,
        /// The packages that all servers have. One that needs a package which only some
        /// have is left to the next step.
        packages: Vec<PackageRef>,
        /// Numbers of users and groups.
        ids: Ids,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Install the other packages in a copy of that, and finish it: `tree/`,
    /// `listing.json`, `folders.json`.
    Packages {
        /// The tools closure.
        tools: Planned,
        /// The tree to start from.
        base: Planned,
        /// All packages; those in the base are there already.
        packages: Vec<PackageRef>,
        /// Those of them that are not of Debian's archives: none may bring a setuid program.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        own: Vec<String>,
        /// Numbers of users and groups.
        ids: Ids,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// The packages as a verified file system: `layer.erofs`, `verity.json`.
    PackagesLayer {
        /// The tools closure.
        tools: Planned,
        /// The packages tree.
        tree: Planned,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Compile the agent of a pair of databases: `imagebuild-replication`.
    Agent {
        /// The tools closure with the compiler and libraries.
        compiler: Planned,
        /// All that it is compiled from, by path.
        files: BTreeMap<&'static str, String>,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// The configuration as a verified file system: `layer.erofs`, `verity.json`, `layer.tar`.
    ConfigLayer {
        /// The tools closure.
        tools: Planned,
        /// The packages tree, for the modes of its folders.
        tree: Planned,
        /// Every file.
        files: Vec<ConfigFile>,
        /// The agent, if it is one of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<Planned>,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Have the configuration judged by a program that reads it: nothing but its success.
    Validate {
        /// The packages tree.
        tree: Planned,
        /// The program.
        validator: Validator,
        /// The agent, if the program is shown it.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<Planned>,
        /// The configuration, as far as the program reads it: it is shown nothing else.
        files: Vec<ConfigFile>,
        /// The server's links and addresses.
        links: Vec<Link>,
        /// Files that credentials are copied to: path, owner, group, mode, how made.
        credentials: Vec<DummyCredential>,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// The empty /var: `state.ext4`, `state.ext4.json`.
    State {
        /// The tools closure.
        tools: Planned,
        /// The image's name.
        image: String,
        /// Bytes.
        size: u64,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// The EFI system partition: `esp.fat`, `esp.fat.json`.
    Esp {
        /// The tools closure.
        tools: Planned,
        /// GRUB.
        bootloader: Planned,
        /// Kernel and initramfs.
        kernel: Planned,
        /// The packages layer, for its root hash.
        packages: Planned,
        /// The configuration layer, for its root hash.
        config: Planned,
        /// The image's name.
        image: String,
        /// grub.cfg.
        grub_cfg: String,
        /// More of the kernel's command line.
        arguments: String,
        /// Bytes.
        size: u64,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Read what the packages say of themselves: `inventory.json`.
    Inventory {
        /// The packages tree.
        tree: Planned,
        /// The packages.
        packages: Vec<PackageRef>,
    },
    /// Put the disk together: `manifest.json`, `sbom.json`; the disk's own files are
    /// written from the inputs.
    Image(Box<ImageStep>),
}

/// What the last step reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageStep {
    /// The disk map.
    pub layout: Layout,
    /// GRUB.
    pub bootloader: Planned,
    /// The ESP.
    pub esp: Planned,
    /// The packages layer.
    pub packages_layer: Planned,
    /// The configuration layer.
    pub config: Planned,
    /// The empty /var.
    pub state: Planned,
    /// That the configuration is right, by every program that was asked.
    pub validate: Vec<Planned>,
    /// IMAGE_VERSION.
    pub version: String,
    /// The lock's digest.
    pub lock: Sha256Digest,
    /// `uname -r`.
    pub kernel_release: String,
    /// All packages.
    pub packages: Vec<PackageRef>,
    /// What they say of themselves.
    pub inventory: Planned,
    /// Packages of the tools closure that parts of the boot chain are copied from.
    pub boot: Vec<PackageRef>,
    /// Names that the server's roles ask for.
    pub requested: Vec<String>,
    /// Those of the packages that are not of Debian's own archives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<String>,
    /// SOURCE_DATE_EPOCH.
    pub epoch: u64,
}

impl ImageStep {
    /// The steps whose results it reads, in the order of its fields.
    pub fn inputs(&self) -> Vec<&Planned> {
        let ImageStep { bootloader, esp, packages_layer, config, state, .. } = self;
        let mut inputs = vec![bootloader, esp, packages_layer, config, state];
        inputs.extend(&self.validate);
        inputs.push(&self.inventory);
        inputs
    }
}

/// A credential's file, made for the validators only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DummyCredential {
    /// Where it is installed.
    pub path: String,
    /// Owner and group, as chown(1) takes them.
    pub owner: String,
    /// Permission bits.
    pub mode: u32,
    /// How it is made.
    pub kind: crate::spec::Kind,
}

impl Step {
    /// The steps whose results it reads, in the order of its fields.
    pub fn inputs(&self) -> Vec<&Planned> {
        match self {
            Step::Tools { .. } => Vec::new(),
            Step::Kernel { tools, .. }
            | Step::Bootloader { tools, .. }
            | Step::Base { tools, .. }
            | Step::State { tools, .. } => vec![tools],
            Step::Packages { tools, base, .. } => vec![tools, base],
            Step::Agent { compiler, .. } => vec![compiler],
            Step::PackagesLayer { tools, tree, .. } => vec![tools, tree],
            Step::ConfigLayer { tools, tree, agent, .. } => {
                [tools, tree].into_iter().chain(agent).collect()
            }
            Step::Validate { tree, agent, .. } => [tree].into_iter().chain(agent).collect(),
            Step::Inventory { tree, .. } => vec![tree],
            Step::Esp { tools, bootloader, kernel, packages, config, .. } => {
                vec![tools, bootloader, kernel, packages, config]
            }
            Step::Image(image) => image.inputs(),
        }
    }

    /// What it is called in plans and progress.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Tools { .. } => "tools",
            Step::Kernel { .. } => "kernel",
            Step::Bootloader { .. } => "bootloader",
            Step::Base { .. } => "base",
            Step::Packages { .. } => "packages",
            Step::PackagesLayer { .. } => "packages-layer",
            Step::Agent { .. } => "agent",
            Step::ConfigLayer { .. } => "config-layer",
            Step::Validate { .. } => "validate",
            Step::State { .. } => "state",
            Step::Esp { .. } => "esp",
            Step::Inventory { .. } => "inventory",
            Step::Image(_) => "image",
        }
    }

    /// One line on what it does it with.
    pub fn summary(&self) -> String {
        match self {
            Step::Tools { packages } => format!("unpack {} packages", packages.len()),
            Step::Kernel { release, .. } => format!("kernel and initramfs of {release}"),
            Step::Bootloader { .. } => "GRUB for BIOS and UEFI".to_owned(),
            Step::Base { packages, .. } => {
                format!("install the {} packages that all servers have", packages.len())
            }
            Step::Packages { packages, .. } => {
                format!("install the rest of {} packages", packages.len())
            }
            Step::PackagesLayer { .. } => "EROFS and hash tree of the packages".to_owned(),
            Step::Agent { .. } => "compile the agent of the pair of databases".to_owned(),
            Step::ConfigLayer { files, .. } => {
                format!("EROFS and hash tree of {} configuration files", files.len())
            }
            Step::Validate { validator, .. } => validator.summary(),
            Step::State { size, .. } => format!("ext4 of {}", crate::progress::bytes(*size)),
            Step::Esp { size, .. } => format!("FAT of {}", crate::progress::bytes(*size)),
            Step::Inventory { packages, .. } => {
                format!("suppliers and licences of {} packages", packages.len())
            }
            Step::Image(image) => format!("disk map of {}", image.layout.image),
        }
    }
}
