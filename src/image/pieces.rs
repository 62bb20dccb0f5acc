//! A disk in pieces of one size, in order, for who writes it somewhere else: the bytes of
//! those that hold data, and how long the zeros between them are.

use super::disk::{Disk, Source};
use super::walk;
use crate::error::{Error, Result};
use crate::fs;
use std::os::unix::fs::FileExt;

/// The next part of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes, not all of them zero.
    Data(&'a [u8]),
    /// As many zeros; several pieces where these are zero.
    Zeros(u64),
}

impl Disk {
    /// Calls `sink` with the offset and the piece for all of the disk, in order. Data comes in
    /// pieces of `size` bytes, at multiples of `size`; only the disk's end cuts one short.
    ///
    /// # Errors
    /// As `sink`, when a source cannot be read, or when a signal ends the work.
    pub fn each_piece(
        &self,
        size: u64,
        mut sink: impl FnMut(u64, Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        // Of the piece that is being filled, the offset and the bytes.
        let mut open: Option<(u64, Vec<u8>)> = None;
        let mut done = 0;
        let mut close = |open: &mut Option<(u64, Vec<u8>)>, done: &mut u64, next: u64| {
            if let Some((offset, bytes)) = open.take_if(|(offset, _)| *offset != next) {
                if offset > *done {
                    sink(*done, Piece::Zeros(offset - *done))?;
                }
                sink(offset, Piece::Data(&bytes))?;
                *done = offset + bytes.len() as u64;
            }
            if next == self.size() && *done < next {
                sink(*done, Piece::Zeros(next - *done))?;
            }
            Ok(())
        };
        walk::each_run(self, |mut at, mut bytes| {
            while !bytes.is_empty() {
                let offset = at / size * size;
                close(&mut open, &mut done, offset)?;
                let length = size.min(self.size() - offset) as usize;
                let (_, piece) = open.get_or_insert_with(|| (offset, vec![0; length]));
                let inside = (at - offset) as usize;
                let count = bytes.len().min(length - inside);
                piece[inside..inside + count].copy_from_slice(&bytes[..count]);
                at += count as u64;
                bytes = &bytes[count..];
            }
            Ok(())
        })?;
        close(&mut open, &mut done, self.size())
    }

    /// These bytes of the disk: for what is small, such as the partition table.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let end = offset + length as u64;
        for extent in self.extents() {
            let from = extent.offset.max(offset);
            let to = (extent.offset + extent.length).min(end);
            if from >= to {
                continue;
            }
            let into = &mut bytes[(from - offset) as usize..(to - offset) as usize];
            let skip = from - extent.offset;
            match &extent.source {
                Source::Bytes(all) => {
                    into.copy_from_slice(&all[skip as usize..skip as usize + into.len()]);
                }
                Source::File(path, start) => fs::open(path)?
                    .read_exact_at(into, start + skip)
                    .map_err(|e| Error::io("read", path, &e))?,
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_are_the_disk((disk, bytes) in random_disk(), size in 1_u64..9, at in 0.0..1.0) {
            let size = size << 16;
            let mut whole = Vec::new();
            disk.each_piece(size, |offset, piece| {
                assert_eq!(offset, whole.len() as u64, "none is left out");
                match piece {
                    Piece::Data(data) => {
                        assert!(offset % size == 0 && data.iter().any(|byte| *byte != 0));
                        let is_last = offset + data.len() as u64 == disk.size();
                        assert!(data.len() as u64 == size || is_last);
                        whole.extend(data);
                    }
                    Piece::Zeros(count) => {
                        assert!(count > 0);
                        whole.resize(whole.len() + count as usize, 0);
                    }
                }
                Ok(())
            }).unwrap();
            prop_assert!(whole == bytes);
            let from = (bytes.len() as f64 * at) as usize;
            let to = bytes.len().min(from + 70_000);
            prop_assert!(disk.read(from as u64, to - from).unwrap() == bytes[from..to]);
        }
    }
}
