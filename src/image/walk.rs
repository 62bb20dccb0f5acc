//! Walks a disk once, in order, and hands out what is not zero.
//!
//! Holes of source files are skipped unread; blocks of zeros in them are found by
//! looking. So what a writer sees depends on the bytes alone, never on how some
//! filesystem happened to allocate them.

use super::disk::{Disk, Extent, Source};
use crate::error::{Error, Result};
use crate::fs;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

/// Zeros are told from data in blocks of this many bytes, aligned on the disk.
pub(super) const BLOCK: usize = 64 << 10;
/// How much is read at a time: whole blocks, small enough for the CPU's cache.
const WINDOW: u64 = 1 << 20;

/// Calls `sink` with every maximal run (within a window) of blocks that are not all
/// zero: its offset, a multiple of `BLOCK`, and its bytes. Only the disk's end may
/// cut a block short.
///
/// # Errors
/// As `sink`, when a source cannot be read, or when a signal ends the work.
pub(super) fn each_run(disk: &Disk, mut sink: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let pieces = pieces(disk)?;
    let mut buffer = vec![0; WINDOW as usize];
    let mut rest = &pieces[..];
    let mut done = 0;
    while let Some(next) = rest.first() {
        // A writer unwinds, and its file that is not whole goes.
        if crate::exec::interrupted() {
            return Err(crate::exec::interruption());
        }
        let start = (next.offset / WINDOW * WINDOW).max(done);
        let end = (start + WINDOW).min(disk.size());
        let window = &mut buffer[..(end - start) as usize];
        let inside = rest.partition_point(|piece| piece.offset < end);
        fill(window, start, &rest[..inside])?;
        nonzero_runs(window, |at, bytes| sink(start + at as u64, bytes))?;
        // A piece that ends beyond this window is met again in the next one.
        rest = &rest[rest.partition_point(|piece| piece.end() <= end)..];
        done = end;
    }
    Ok(())
}

/// A part of an extent that is not a hole of its file.
struct Piece<'a> {
    offset: u64,
    length: u64,
    data: Data<'a>,
}

enum Data<'a> {
    Bytes(&'a [u8]),
    File { path: &'a Path, file: Rc<File>, offset: u64 },
}

impl Piece<'_> {
    fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// Reads the bytes from `skip` on into `into`.
    fn read(&self, skip: u64, into: &mut [u8]) -> Result<()> {
        match &self.data {
            Data::Bytes(bytes) => {
                into.copy_from_slice(&bytes[skip as usize..skip as usize + into.len()]);
                Ok(())
            }
            Data::File { path, file, offset } => {
                file.read_exact_at(into, offset + skip).map_err(|e| Error::io("read", path, &e))
            }
        }
    }
}

fn pieces(disk: &Disk) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    for extent in disk.extents() {
        match &extent.source {
            Source::Bytes(bytes) => pieces.push(Piece {
                offset: extent.offset,
                length: extent.length,
                data: Data::Bytes(bytes),
            }),
            Source::File(path, start) => file_pieces(extent, path, *start, &mut pieces)?,
        }
    }
    Ok(pieces)
}

fn file_pieces<'a>(
    extent: &Extent,
    path: &'a Path,
    start: u64,
    pieces: &mut Vec<Piece<'a>>,
) -> Result<()> {
    let file = Rc::new(fs::open(path)?);
    let length = file.metadata().map_err(|e| Error::io("read", path, &e))?.len();
    let end = start + extent.length;
    if end > length {
        let what = format!("{} has {length} bytes, {end} were expected", path.display());
        return Err(Error::build(what));
    }
    let mut at = start;
    while let Some((from, to)) =
        next_data(&file, at, end).map_err(|e| Error::io("seek in", path, &e.into()))?
    {
        let data = Data::File { path, file: Rc::clone(&file), offset: from };
        pieces.push(Piece { offset: extent.offset + (from - start), length: to - from, data });
        at = to;
    }
    Ok(())
}

/// The next run of data in `from..to` of a file (lseek(2), SEEK_DATA); filesystems
/// that know no holes call everything data.
fn next_data(file: &File, from: u64, to: u64) -> nix::Result<Option<(u64, u64)>> {
    if from >= to {
        return Ok(None);
    }
    let data = match lseek(file, from.cast_signed(), Whence::SeekData) {
        Ok(at) => at.cast_unsigned(),
        // No more data.
        Err(Errno::ENXIO) => return Ok(None),
        Err(other) => return Err(other),
    };
    if data >= to {
        return Ok(None);
    }
    let hole = lseek(file, data.cast_signed(), Whence::SeekHole)?.cast_unsigned();
    Ok(Some((data, hole.min(to))))
}

/// Fills the window that starts at `start` from the pieces that touch it, zeros between.
fn fill(window: &mut [u8], start: u64, pieces: &[Piece<'_>]) -> Result<()> {
    let mut filled = 0;
    for piece in pieces {
        let from = piece.offset.max(start);
        let to = piece.end().min(start + window.len() as u64);
        let (at, until) = ((from - start) as usize, (to - start) as usize);
        window[filled..at].fill(0);
        piece.read(from - piece.offset, &mut window[at..until])?;
        filled = until;
    }
    window[filled..].fill(0);
    Ok(())
}

/// Calls `sink` with each run of blocks of `window` that are not all zero.
fn nonzero_runs(window: &[u8], mut sink: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    let mut run: Option<usize> = None;
    for (at, block) in (0..).step_by(BLOCK).zip(window.chunks(BLOCK)) {
        match (run, is_zero(block)) {
            (Some(from), true) => {
                sink(from, &window[from..at])?;
                run = None;
            }
            (None, false) => run = Some(at),
            (None, true) | (Some(_), false) => {}
        }
    }
    run.map_or(Ok(()), |from| sink(from, &window[from..]))
}

/// Whether all bytes are zero; in strides, so that data is recognised at its first
/// bytes and zeros are compared many at a time.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(256).all(|stride| stride.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::super::disk::Content;
    use super::super::disk::tests::random_disk;
    use super::*;
    use proptest::prelude::*;
    use std::io::{Seek, SeekFrom, Write};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn runs_are_aligned_ordered_and_complete((disk, bytes) in random_disk()) {
            let mut seen = vec![0; bytes.len()];
            let mut end = 0;
            each_run(&disk, |offset, run| {
                assert!(offset >= end && offset.is_multiple_of(BLOCK as u64));
                assert!(run.chunks(BLOCK).all(|block| !is_zero(block)));
                end = offset + run.len() as u64;
                seen[offset as usize..end as usize].copy_from_slice(run);
                Ok(())
            }).unwrap();
            prop_assert!(seen == bytes);
        }
    }

    #[test]
    fn holes_of_files_and_parts_of_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file_mut().set_len(20 << 20).unwrap();
        file.seek(SeekFrom::Start(9 << 20)).unwrap();
        file.write_all(&[7; 100]).unwrap();
        let mut content = Content::file(file.path()).unwrap();
        content.source = Source::File(file.path().to_owned(), 1 << 20);
        content.length = 10 << 20;
        let mut disk = Disk::new(64 << 20);
        disk.place(512, content.clone()).unwrap();
        let mut runs = Vec::new();
        each_run(&disk, |offset, run| {
            runs.push((offset, run.iter().map(|&byte| u64::from(byte)).sum::<u64>()));
            Ok(())
        })
        .unwrap();
        assert_eq!(runs, [(8 << 20, 700)]);

        content.length = 30 << 20;
        let mut disk = Disk::new(64 << 20);
        disk.place(0, content).unwrap();
        let error = each_run(&disk, |_, _| Ok(())).unwrap_err();
        assert!(error.message().ends_with("has 20971520 bytes, 32505856 were expected"));
    }
}
