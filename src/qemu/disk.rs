//! Disks of machines: copy-on-write overlays of image files, which are bound into the
//! sandbox read-only, so that no test can write to what is shipped.

use super::emulator::{Emulator, RUN};
use crate::error::{Error, Result};
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

    /// Makes the overlay over the disk as a snapshot holds it.
    pub(super) fn make_over(
        &self,
        emulator: &Emulator,
        snapshot: &Path,
        folder: &Path,
        number: usize,
    ) -> Result<()> {
        let (below, overlay) = (format!("{SNAPSHOT}/{}", file(number)), inside(number));
        let argv =
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", &below, "-F", "qcow2", &overlay];
        let sandbox = emulator.sandbox(folder).bind(snapshot, SNAPSHOT);
        self.bind(sandbox, number).run(argv).execute().map(drop)
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
        let command = format!("read -v {offset} {SECTOR}");
        let argv = ["qemu-io", "-f", "qcow2", "-r", "-c", &command, &inside(number)];
        let outcomes = self.bind(emulator.sandbox(folder), number).run(argv).execute()?;
        let output = outcomes.first().map_or("", |done| done.output.as_str());
        let bytes: Vec<u8> = output.lines().flat_map(bytes_of_dump).collect();
        if bytes.len() as u64 == SECTOR {
            return Ok(bytes);
        }
        Err(Error::build("qemu-io did not read from the disk").detail(output))
    }
}

/// `00000400:  e2 e1 f5 e0 ...  ....`: sixteen bytes in hexadecimal, then as text.
fn bytes_of_dump(line: &str) -> Vec<u8> {
    let Some((offset, rest)) = line.split_once(":  ") else { return Vec::new() };
    if u64::from_str_radix(offset, 16).is_err() {
        return Vec::new();
    }
    let digits = rest.split_whitespace().take(16);
    digits.map_while(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

const SECTOR: u64 = 512;

/// The overlay's path inside the sandbox.
pub(super) fn inside(number: usize) -> String {
    format!("{RUN}/{}", file(number))
}

/// The overlay's name in its folder.
pub(super) fn file(number: usize) -> String {
    format!("disk{number}.qcow2")
}

/// Where the folder of a snapshot is seen inside the sandbox.
pub(super) const SNAPSHOT: &str = "/run/snapshot";

fn image_inside(number: usize) -> String {
    format!("/run/images/{number}.qcow2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_qemu_ios_dump() {
        let line = "100000400:  e2 e1 f5 e0 9b 0f f1 09 05 00 00 00 0c 00 20 00  ..............aa";
        let bytes = bytes_of_dump(line);
        assert_eq!((bytes.len(), bytes[0], bytes[14]), (16, 0xe2, 0x20));
        assert!(bytes_of_dump("read 512/512 bytes at offset 1024").is_empty());
        assert!(bytes_of_dump("512 bytes, 1 ops; 00.00 sec:  1 2").is_empty());
    }
}
