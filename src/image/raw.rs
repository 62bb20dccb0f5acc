//! Writes a disk as a raw image: byte for byte, with holes where it is zero.

use super::disk::Disk;
use super::temporary::write_atomically;
use super::walk;
use crate::error::{Error, Result};
use std::fs::Metadata;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Writes `disk` to `path`, through a temporary file. Blocks of 64 KiB that are zero become holes.
///
/// # Errors
/// When a source cannot be read or the file cannot be written.
pub fn write(disk: &Disk, path: &Path) -> Result<Metadata> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    write_atomically(path, |file| {
        file.set_len(disk.size()).map_err(failed)?;
        walk::each_run(disk, |offset, bytes| file.write_all_at(bytes, offset).map_err(failed))
    })
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::super::disk::{Content, Disk};
    use proptest::prelude::*;
    use std::os::unix::fs::MetadataExt;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn holds_the_bytes((disk, bytes) in random_disk()) {
            let folder = tempfile::tempdir().unwrap();
            super::write(&disk, &folder.path().join("raw")).unwrap();
            prop_assert!(std::fs::read(folder.path().join("raw")).unwrap() == bytes);
        }
    }

    #[test]
    fn zeros_take_no_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw");
        let mut disk = Disk::new(6 << 30);
        disk.place(1 << 20, Content::bytes(vec![0; 8 << 20])).unwrap();
        disk.place(5 << 30, Content::bytes(vec![1; 4096])).unwrap();
        super::write(&disk, &path).unwrap();
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!(metadata.len(), 6 << 30);
        assert!(metadata.blocks() * 512 <= 1 << 20);
    }
}
