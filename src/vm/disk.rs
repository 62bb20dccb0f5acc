//! Disks of machines: copy-on-write overlays of image files, which are bound into the
//! sandbox read-only, so that no test can write to what is shipped.

use super::emulator::{Emulator, RUN};
use crate::error::{Error, Result};
use crate::fs;
use crate::sandbox::Sandbox;
use std::path::{Path, PathBuf};

/// A disk with an image's content, or an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// The qcow2 file that is below; it is never written.
    pub image: Option<PathBuf>,
    /// Bytes of the disk; the image's own if none is given.
    pub size: Option<u64>,
    /// What is changed in the overlay before the machine starts.
    pub edits: Vec<Edit>,
}

/// A change of a disk's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// These bytes from this offset on.
    Write(u64, Vec<u8>),
    /// The lowest bit of the byte at this offset turned over.
    Flip(u64),
}

impl DiskConfig {
    /// A disk with the content of this image.
    pub fn of_image(image: impl Into<PathBuf>) -> DiskConfig {
        DiskConfig { image: Some(image.into()), size: None, edits: Vec::new() }
    }

    /// A blank disk of `size` bytes.
    pub fn blank(size: u64) -> DiskConfig {
        DiskConfig { image: None, size: Some(size), edits: Vec::new() }
    }

    /// With another size.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> DiskConfig {
        self.size = Some(bytes);
        self
    }

    /// With one more change.
    #[must_use]
    pub fn edit(mut self, edit: Edit) -> DiskConfig {
        self.edits.push(edit);
        self
    }

    /// Makes the overlay, as disk number `number` of the machine in `folder`.
    pub(super) fn make(&self, emulator: &Emulator, folder: &Path, number: usize) -> Result<()> {
        let overlay = inside(number);
        let mut argv = vec!["qemu-img", "create", "-q", "-f", "qcow2"];
        let below = image_inside(number);
        if self.image.is_some() {
            argv.extend(["-b", &below, "-F", "qcow2"]);
        }
        let size = self.size.map(|bytes| bytes.to_string());
        argv.push(&overlay);
        argv.extend(size.as_deref());
        self.bind(emulator.sandbox(folder), number).run(argv).execute()?;
        self.edits.iter().try_for_each(|edit| self.apply(edit, emulator, folder, number))
    }

    /// Shows the image to a job that opens the overlay.
    pub(super) fn bind(&self, sandbox: Sandbox, number: usize) -> Sandbox {
        match &self.image {
            Some(image) => sandbox.bind(image, image_inside(number)),
            None => sandbox,
        }
    }

    fn apply(&self, edit: &Edit, emulator: &Emulator, folder: &Path, number: usize) -> Result<()> {
        let (offset, bytes) = match edit {
            Edit::Write(offset, bytes) => (*offset, bytes.clone()),
            Edit::Flip(offset) => {
                let sector = offset - offset % SECTOR;
                let mut bytes = self.read_sector(sector, emulator, folder, number)?;
                if let Some(byte) = bytes.get_mut((offset % SECTOR) as usize) {
                    *byte ^= 1;
                }
                (sector, bytes)
            }
        };
        let patch = folder.join("patch");
        std::fs::write(&patch, &bytes).map_err(|e| Error::io("write", &patch, &e))?;
        let command = format!("write -q -s {RUN}/patch {offset} {}", bytes.len());
        let argv = ["qemu-io", "-f", "qcow2", "-c", &command, &inside(number)];
        let outcomes = self.bind(emulator.sandbox(folder), number).run(argv).execute()?;
        // qemu-io ends with 0 when a command was refused, too.
        match outcomes.first() {
            Some(done) if done.output.trim().is_empty() => Ok(()),
            done => Err(Error::build("qemu-io did not write to the disk")
                .detail(done.map_or("", |done| done.output.as_str()))),
        }
    }

    fn read_sector(
        &self,
        offset: u64,
        emulator: &Emulator,
        folder: &Path,
        number: usize,
    ) -> Result<Vec<u8>> {
        let (skip, from) = (format!("skip={}", offset / SECTOR), format!("if={}", inside(number)));
        let to = format!("of={RUN}/sector");
        let argv = ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", &skip];
        let argv = argv.into_iter().chain([from.as_str(), to.as_str()]);
        self.bind(emulator.sandbox(folder), number).run(argv).execute()?;
        fs::read(&folder.join("sector"))
    }
}

const SECTOR: u64 = 512;

/// The overlay's path inside the sandbox.
pub(super) fn inside(number: usize) -> String {
    format!("{RUN}/disk{number}.qcow2")
}

fn image_inside(number: usize) -> String {
    format!("/run/images/{number}.qcow2")
}
