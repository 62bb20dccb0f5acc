//! The image as bytes: where the partitions lie, what boots the disk, and the
//! files (raw, raw.zst, qcow2, VMDK, VHDX) that carry it.
//!
//! Everything here is a pure function of its inputs and runs in this process: no
//! external tool, no loop device, no root. Filesystems, GRUB's images and the
//! packages come in as files that other stages made.

pub mod cpio;
pub mod disk;
pub mod gpt;
pub mod grub;
pub mod initramfs;
pub mod manifest;
pub mod modules;
pub mod pieces;
pub mod qcow2;
pub mod raw;
pub mod raw_zst;
pub mod reader;
pub mod sbom;
mod temporary;
pub mod tools;
pub mod verity;
pub mod vhdx;
pub mod vmdk;
mod walk;
