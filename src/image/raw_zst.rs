//! Writes a disk as a raw image compressed with zstd: the same bytes every time, and
//! the zeros of a disk of gigabytes cost neither time nor space.
//!
//! A zstd file is a row of frames (RFC 8878, section 3), and whoever decompresses one
//! joins them: each stretch of data is a frame of its own, with a checksum, and long
//! stretches of zeros are copies of one frame that was compressed once.

use super::disk::Disk;
use super::temporary::write_atomically;
use super::walk;
use crate::error::{Error, Result};
use std::fs::{File, Metadata};
use std::io::{BufWriter, Write};
use std::path::Path;
use zstd::stream::raw::{Operation, OutBuffer};

/// The layers are compressed already, so more effort gains nothing.
const LEVEL: i32 = 3;
/// Zeros of at least this many bytes end a frame of data.
const GAP: u64 = 1 << 20;
/// Zeros in the frame that long gaps are made of.
const ZEROS: u64 = 64 << 20;

/// Writes `disk` to `path`, through a temporary file.
///
/// # Errors
/// When a source cannot be read or the file cannot be written.
pub fn write(disk: &Disk, path: &Path) -> Result<Metadata> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    write_atomically(path, |file| {
        let mut frames = Frames { out: BufWriter::new(file), open: None, done: 0, zeros: None };
        walk::each_run(disk, |offset, bytes| frames.data(offset, bytes).map_err(failed))?;
        frames.finish(disk.size()).map_err(failed)
    })
}

type Encoder = zstd::stream::raw::Encoder<'static>;

struct Frames<'a> {
    out: BufWriter<&'a mut File>,
    /// The frame of data that goes on.
    open: Option<Encoder>,
    /// Bytes of the disk that are written.
    done: u64,
    /// A frame of `ZEROS` zeros.
    zeros: Option<Vec<u8>>,
}

impl Frames<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.skip_to(offset)?;
        let encoder = match &mut self.open {
            Some(encoder) => encoder,
            none => none.insert(encoder()?),
        };
        compress(encoder, bytes, &mut self.out)?;
        self.done += bytes.len() as u64;
        Ok(())
    }

    fn skip_to(&mut self, offset: u64) -> std::io::Result<()> {
        let gap = offset - self.done;
        match &mut self.open {
            Some(encoder) if gap < GAP => compress_zeros(encoder, gap, &mut self.out)?,
            Some(_) | None => {
                self.close()?;
                self.zeros(gap)?;
            }
        }
        self.done = offset;
        Ok(())
    }

    fn zeros(&mut self, mut count: u64) -> std::io::Result<()> {
        while count >= ZEROS {
            let frame = match &mut self.zeros {
                Some(frame) => frame,
                none => none.insert(frame_of_zeros(ZEROS)?),
            };
            self.out.write_all(frame)?;
            count -= ZEROS;
        }
        if count > 0 {
            self.out.write_all(&frame_of_zeros(count)?)?;
        }
        Ok(())
    }

    fn close(&mut self) -> std::io::Result<()> {
        self.open.take().map_or(Ok(()), |encoder| end(encoder, &mut self.out))
    }

    fn finish(mut self, size: u64) -> std::io::Result<()> {
        if size == 0 {
            return self.out.write_all(&frame_of_zeros(0)?);
        }
        self.skip_to(size)?;
        self.close()?;
        self.out.flush()
    }
}

/// One thread always: where zstd's own threads cut depends on how many there are.
fn encoder() -> std::io::Result<Encoder> {
    let mut encoder = Encoder::new(LEVEL)?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    Ok(encoder)
}

fn compress(encoder: &mut Encoder, mut bytes: &[u8], out: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0; 1 << 17];
    while !bytes.is_empty() {
        let status = encoder.run_on_buffers(bytes, &mut buffer)?;
        bytes = &bytes[status.bytes_read..];
        out.write_all(&buffer[..status.bytes_written])?;
    }
    Ok(())
}

fn compress_zeros(encoder: &mut Encoder, count: u64, out: &mut impl Write) -> std::io::Result<()> {
    let zeros = vec![0; count.min(GAP) as usize];
    let mut left = count;
    while left > 0 {
        let some = left.min(GAP);
        compress(encoder, &zeros[..some as usize], out)?;
        left -= some;
    }
    Ok(())
}

fn end(mut encoder: Encoder, out: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0; 1 << 17];
    loop {
        let mut into = OutBuffer::around(&mut buffer[..]);
        let left = encoder.finish(&mut into, true)?;
        out.write_all(into.as_slice())?;
        if left == 0 {
            return Ok(());
        }
    }
}

fn frame_of_zeros(count: u64) -> std::io::Result<Vec<u8>> {
    let (mut encoder, mut frame) = (encoder()?, Vec::new());
    compress_zeros(&mut encoder, count, &mut frame)?;
    end(encoder, &mut frame)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::super::disk::{Content, Disk};
    use proptest::prelude::*;

    fn written(disk: &Disk) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        super::write(disk, &folder.path().join("raw.zst")).unwrap();
        std::fs::read(folder.path().join("raw.zst")).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn decompresses_to_the_bytes((disk, bytes) in random_disk()) {
            prop_assert!(zstd::decode_all(written(&disk).as_slice()).unwrap() == bytes);
        }
    }

    #[test]
    fn zeros_cost_next_to_nothing() {
        let mut disk = Disk::new(256 << 30);
        disk.place(200 << 30, Content::bytes(vec![1; 4096])).unwrap();
        let start = std::time::Instant::now();
        // Compressing the zeros themselves would take minutes.
        assert!(written(&disk).len() < 16 << 20);
        assert!(start.elapsed().as_secs() < 20);
    }

    #[test]
    fn gaps_at_the_edges_of_a_frame() {
        for gap in [super::GAP - 1, super::GAP, super::ZEROS, super::ZEROS + 1, 2 * super::ZEROS] {
            let mut disk = Disk::new(gap + (3 << 20));
            disk.place(0, Content::bytes(vec![1; 1 << 16])).unwrap();
            disk.place(gap, Content::bytes(vec![2; 1 << 20])).unwrap();
            let mut bytes = vec![0; disk.size() as usize];
            bytes[..1 << 16].fill(1);
            bytes[gap as usize..][..1 << 20].fill(2);
            assert!(zstd::decode_all(written(&disk).as_slice()).unwrap() == bytes, "{gap}");
        }
    }
}
