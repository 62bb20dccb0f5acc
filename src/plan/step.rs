//! One step of a build: what it makes, and everything that it reads.
//!
//! A step's key is the digest of its own value, in which earlier steps stand by
//! their keys: whatever changes, exactly the steps that read it change.

use super::layout::Layout;
use super::render::ConfigFile;
use crate::error::Result;
use crate::fs::Sha256Digest;
use crate::lock::ids::Ids;
use crate::spec::Validator;
use crate::store::Key;
use serde::Serialize;

/// Raised when the code of any step makes other bytes from the same inputs.
const FORMAT: u32 = 10;

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
        tools: Key,
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
        tools: Key,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Install what all servers have in common, with dpkg and maintainer scripts: `tree/`.
    Base {
        /// The tools closure.
        tools: Key,
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
        tools: Key,
        /// The tree to start from.
        base: Key,
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
        tools: Key,
        /// The packages tree.
        tree: Key,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// The configuration as a verified file system: `layer.erofs`, `verity.json`, `layer.tar`.
    ConfigLayer {
        /// The tools closure.
        tools: Key,
        /// The packages tree, for the modes of its folders.
        tree: Key,
        /// Every file.
        files: Vec<ConfigFile>,
        /// SOURCE_DATE_EPOCH.
        epoch: u64,
    },
    /// Have the configuration judged by a program that reads it: nothing but its success.
    Validate {
        /// The packages tree.
        tree: Key,
        /// The program.
        validator: Validator,
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
        tools: Key,
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
        tools: Key,
        /// GRUB.
        bootloader: Key,
        /// Kernel and initramfs.
        kernel: Key,
        /// The packages layer, for its root hash.
        packages: Key,
        /// The configuration layer, for its root hash.
        config: Key,
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
        tree: Key,
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
    pub bootloader: Key,
    /// The ESP.
    pub esp: Key,
    /// The packages layer.
    pub packages_layer: Key,
    /// The configuration layer.
    pub config: Key,
    /// The empty /var.
    pub state: Key,
    /// That the configuration is right, by every program that was asked.
    pub validate: Vec<Key>,
    /// IMAGE_VERSION.
    pub version: String,
    /// The lock's digest.
    pub lock: Sha256Digest,
    /// `uname -r`.
    pub kernel_release: String,
    /// All packages.
    pub packages: Vec<PackageRef>,
    /// What they say of themselves.
    pub inventory: Key,
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
    /// The step's key.
    ///
    /// # Errors
    /// Never in practice: every step has a JSON form.
    pub fn key(&self) -> Result<Key> {
        Key::of(&(FORMAT, self))
    }

    /// Keys of the steps whose results it reads, in the order of its fields.
    pub fn inputs(&self) -> Vec<Key> {
        match self {
            Step::Tools { .. } => Vec::new(),
            Step::Kernel { tools, .. }
            | Step::Bootloader { tools, .. }
            | Step::Base { tools, .. }
            | Step::State { tools, .. } => vec![*tools],
            Step::Packages { tools, base, .. } => vec![*tools, *base],
            Step::PackagesLayer { tools, tree, .. } | Step::ConfigLayer { tools, tree, .. } => {
                vec![*tools, *tree]
            }
            Step::Validate { tree, .. } | Step::Inventory { tree, .. } => vec![*tree],
            Step::Esp { tools, bootloader, kernel, packages, config, .. } => {
                vec![*tools, *bootloader, *kernel, *packages, *config]
            }
            Step::Image(image) => {
                let ImageStep { bootloader, esp, packages_layer, config, state, .. } = **image;
                let mut inputs = vec![bootloader, esp, packages_layer, config, state];
                inputs.extend(&image.validate);
                inputs.push(image.inventory);
                inputs
            }
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
