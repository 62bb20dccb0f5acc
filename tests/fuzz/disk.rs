//! What is read from images: qcow2.

use crate::fuzzer::Fuzz;
use crate::in_little_memory;
use imagebuild::image::reader::DiskFile;

#[test]
fn qcow2() {
    let work = tempfile::tempdir().unwrap();
    let (image, copy) = (work.path().join("image"), work.path().join("copy"));
    in_little_memory(|| {
        Fuzz::of("qcow2", &["QFI\u{fb}"]).rounds(1500).run(|bytes| {
            std::fs::write(&image, bytes).unwrap();
            let Ok(disk) = DiskFile::open(&image) else { return };
            for (offset, length) in [(0, 70_000), (1 << 20, 4096), (u64::MAX - 9000, 4096)] {
                drop(disk.copy(offset, length, &copy));
            }
        });
    });
}
