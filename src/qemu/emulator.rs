//! QEMU and its tools, from the lock's closure `tools/vm`, run inside the sandbox: the
//! host's own QEMU, if it has one, is never asked.

use crate::build;
use crate::error::Result;
use crate::lock::file::Lock;
use crate::plan::server::{ToolsPlan, VM_TOOLS};
use crate::sandbox::{Root, Sandbox};
use crate::store::Store;
use std::path::{Path, PathBuf};

/// Where a machine's own folder is seen inside the sandbox.
pub(super) const RUN: &str = "/run/vm";

/// A processor without what the translator does slowly: strings a byte at a time, page
/// tables of five levels, protections that are looked up at each turn from user to kernel.
/// A server is up in 18.5 s instead of 22 s with it (web1, two idle cores).
const TCG_PROCESSOR: &str = "max,-erms,-fsrm,-la57,-smap,-smep,-umip,-fsgsbase,-pku";

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU's translator, a host thread a processor.
    Tcg,
    /// The host's own processors.
    Kvm,
}

impl Accelerator {
    /// QEMU's arguments for it.
    pub(super) fn argv(self) -> [&'static str; 4] {
        match self {
            Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", TCG_PROCESSOR],
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
        }
    }
}

/// The unpacked closure.
#[derive(Debug, Clone)]
pub struct Emulator {
    tree: PathBuf,
}

impl Emulator {
    /// The closure from the store, unpacked if it is not there yet. Its packages must be
    /// in the pool.
    ///
    /// # Errors
    /// When the lock has no such set, or a package is missing or damaged.
    pub fn provide(store: &Store, lock: &Lock) -> Result<Emulator> {
        let plan = ToolsPlan::new(lock, VM_TOOLS)?;
        Ok(Emulator { tree: build::tools(store, &plan)? })
    }

    /// A job in the closure that sees `folder`, writable, at [`RUN`].
    pub(super) fn sandbox(&self, folder: &Path) -> Sandbox {
        Sandbox::new(Root::ReadOnly(self.tree.clone()), 0).bind_writable(folder, RUN)
    }

    /// OVMF's variables as they leave the factory.
    pub(super) fn uefi_variables(&self) -> PathBuf {
        self.tree.join("usr/share/OVMF/OVMF_VARS_4M.fd")
    }
}
