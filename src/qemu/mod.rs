//! Boots the shipped image file, unmodified, in QEMU of the lock's tools closure, and
//! talks to it from outside: console, QMP, and a shell that credentials bring in.
//!
//! A [`Machine`] is a guard: dropping it ends QEMU and removes all that it wrote. What
//! the guest did wrong is an error of kind `Check`; what the harness did, `Build`.

mod argv;
mod config;
mod console;
mod deadline;
mod disk;
mod emulator;
mod files;
mod folder;
mod kvm;
mod launch;
mod machine;
mod power;
mod qmp;
mod shell;
mod shell_protocol;
mod snapshot;

pub(crate) use config::mac_of;
pub use config::{Bus, Cable, Credential, Firmware, MEMORY_MIB, MachineConfig, Nic};
pub use console::Alarm;
pub use deadline::{Limit, Speed};
pub use disk::{DiskConfig, Edit};
pub use emulator::{Accelerator, Emulator};
pub(crate) use folder::RunFolder;
pub use kvm::{accelerator, probe_kvm};
pub use machine::Machine;
pub use snapshot::{Snapshot, restore, snapshot};
