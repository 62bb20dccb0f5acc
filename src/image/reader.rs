//! Reads bytes back out of a raw image or of a qcow2 of our own kind.

use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const PIECE: u64 = 1 << 16;
/// Of an entry in a qcow2's tables: where its cluster is (bits 9 to 55).
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;

/// A disk in a file.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Raw,
    Qcow2 { cluster_bits: u32, l1: Vec<u64> },
}

impl DiskFile {
    /// Opens the file at `path`: a qcow2 by its first bytes, else a raw image.
    ///
    /// # Errors
    /// When it cannot be read, or is of a form that only other programs write.
    pub fn open(path: &Path) -> Result<DiskFile> {
        let file = fs::open(path)?;
        let mut disk = DiskFile { file, path: path.to_owned(), form: Form::Raw };
        let mut head = [0; 104];
        disk.file.read_exact_at(&mut head, 0).map_err(|e| disk.failed(&e))?;
        match &head[..4] {
            b"QFI\xfb" => disk.form = disk.qcow2(&head)?,
            // zstd's frame, VMDK, VHDX.
            b"\x28\xb5\x2f\xfd" | b"KDMV" | b"vhdx" => {
                return Err(disk.unknown("only qcow2 and raw images can be looked into"));
            }
            _ => {}
        }
        Ok(disk)
    }

    fn failed(&self, cause: &std::io::Error) -> Error {
        Error::io("read", &self.path, cause)
    }

    fn unknown(&self, why: &str) -> Error {
        Error::input(format!("{}: {why}", self.path.display()))
            .hint("build it as qcow2 or raw: `--format qcow2`")
    }

    fn qcow2(&self, head: &[u8; 104]) -> Result<Form> {
        let u32_at = |at: usize| head[at..at + 4].iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
        let u64_at = |at: usize| (u64::from(u32_at(at)) << 32) | u64::from(u32_at(at + 4));
        let (cluster_bits, entries) = (u32_at(20), u32_at(36));
        let plain = u32_at(4) == 3 && u64_at(8) == 0 && u32_at(32) == 0 && u64_at(72) == 0;
        if !plain || !(9..=21).contains(&cluster_bits) || entries > 1 << 20 {
            return Err(self.unknown("this qcow2 has features that imagebuild's have not"));
        }
        Ok(Form::Qcow2 { cluster_bits, l1: self.table(u64_at(40), entries as usize)? })
    }

    fn table(&self, at: u64, entries: usize) -> Result<Vec<u64>> {
        let mut bytes = vec![0; entries * 8];
        self.file.read_exact_at(&mut bytes, at).map_err(|e| self.failed(&e))?;
        let entry = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Ok(bytes.chunks(8).map(entry).collect())
    }

    /// Copies `length` bytes from `offset` of the disk into a new file; gives their digest.
    ///
    /// # Errors
    /// When one cannot be read or the other cannot be written.
    pub fn copy(&self, offset: u64, length: u64, into: &Path) -> Result<Sha256Digest> {
        let failed = |e: std::io::Error| Error::io("write", into, &e);
        let mut out = std::io::BufWriter::new(File::create(into).map_err(failed)?);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; PIECE as usize];
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let piece = (PIECE - at % PIECE).min(end - at);
            let buffer = &mut buffer[..piece as usize];
            self.read(at, buffer)?;
            hasher.update(&*buffer);
            out.write_all(buffer).map_err(failed)?;
            at += piece;
        }
        out.flush().map_err(failed)?;
        Ok(Sha256Digest::from_hasher(hasher))
    }

    /// Fills `into` from `offset` of the disk.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let Form::Qcow2 { cluster_bits, l1 } = &self.form else {
            return self.file.read_exact_at(into, offset).map_err(|e| self.failed(&e));
        };
        let cluster = 1_u64 << cluster_bits;
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let inside = at % cluster;
            let count = ((cluster - inside) as usize).min(into.len() - done);
            let part = &mut into[done..done + count];
            match self.place(at >> cluster_bits, *cluster_bits, l1)? {
                0 => part.fill(0),
                place => {
                    self.file.read_exact_at(part, place + inside).map_err(|e| self.failed(&e))?;
                }
            }
            done += count;
        }
        Ok(())
    }

    /// Where a cluster of the disk is in the file; 0 if it is all zeros.
    fn place(&self, number: u64, cluster_bits: u32, l1: &[u64]) -> Result<u64> {
        let entries = 1_u64 << (cluster_bits - 3);
        let table = l1.get((number / entries) as usize).copied().unwrap_or(0) & PLACE;
        if table == 0 {
            return Ok(0);
        }
        let entry = self.table(table + number % entries * 8, 1)?[0];
        // Compressed, or zero whatever the file holds there.
        if entry >> 62 & 1 == 1 {
            return Err(self.unknown("compressed clusters are not imagebuild's"));
        }
        Ok(if entry & 1 == 1 { 0 } else { entry & PLACE })
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::super::{qcow2, raw, vhdx};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn reads_what_was_written((disk, bytes) in random_disk(), from in 0.0..1.0, to in 0.0..1.0) {
            let folder = tempfile::tempdir().unwrap();
            let at = |part: f64| (bytes.len() as f64 * part) as usize;
            let (from, to) = (at(f64::min(from, to)), at(f64::max(from, to)));
            for name in ["qcow2", "raw"] {
                let (path, out) = (folder.path().join(name), folder.path().join("out"));
                if name == "raw" { raw::write(&disk, &path) } else { qcow2::write(&disk, &path) }.unwrap();
                // Shorter than a head, it is no image at all.
                if bytes.len() < 104 { continue; }
                let digest = DiskFile::open(&path).unwrap().copy(from as u64, (to - from) as u64, &out);
                prop_assert_eq!(digest.unwrap(), Sha256Digest::of(&bytes[from..to]));
                prop_assert!(std::fs::read(&out).unwrap() == bytes[from..to]);
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vhdx");
        let disk = super::super::disk::Disk::new(1 << 20);
        vhdx::write(&disk, Sha256Digest::of(""), &path).unwrap();
        let error = DiskFile::open(&path).unwrap_err();
        assert!(error.message().ends_with("x.vhdx: only qcow2 and raw images can be looked into"));
    }
}
