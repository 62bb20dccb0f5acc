//! How long the image stage takes on an image of typical size, and the modules of a real
//! kernel. Ignored by default; run with
//! `cargo test --release --test image_speed -- --ignored --nocapture --test-threads=1`.

use imagebuild::image::disk::{Content, Disk};
use imagebuild::image::manifest::ContentDigest;
use imagebuild::image::modules::{INITRAMFS, Modules};
use imagebuild::image::{qcow2, raw, verity};
use imagebuild::plan::guid::Guid;
use std::path::Path;
use std::time::Instant;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    eprintln!("{what:>24}: {:4} ms", start.elapsed().as_millis());
    value
}

#[test]
#[ignore = "a measurement"]
fn writes_400_mb() {
    let folder = tempfile::tempdir().unwrap();
    let layer = folder.path().join("layer");
    std::fs::write(&layer, noise(300 << 20)).unwrap();
    // Else the kernel's writing of the input is measured, too.
    std::fs::File::open(&layer).unwrap().sync_all().unwrap();
    let params = verity::Params { salt: vec![1; 32], uuid: Guid::of_name("speed") };
    timed("verity of 300 MiB", || verity::append(&layer, &params).unwrap());
    timed("digest of the layer", || ContentDigest::of_file(&layer).unwrap());
    let state = folder.path().join("state");
    std::fs::write(&state, noise(90 << 20)).unwrap();
    std::fs::File::options().write(true).open(&state).unwrap().set_len(512 << 20).unwrap();

    let mut disk = Disk::new(3332 << 20);
    disk.place(258 << 20, Content::file(&layer).unwrap()).unwrap();
    disk.place(2819 << 20, Content::file(&state).unwrap()).unwrap();
    timed("qcow2", || qcow2::write(&disk, &folder.path().join("image.qcow2")).unwrap());
    timed("raw", || raw::write(&disk, &folder.path().join("image.raw")).unwrap());
    timed("flat digest of 3332 MiB", || disk.flat_digest().unwrap());
}

#[test]
#[ignore = "needs IMAGEBUILD_MODULES=<tree>/usr/lib/modules/<release>"]
fn modules_of_a_real_kernel() {
    let folder = std::env::var("IMAGEBUILD_MODULES").unwrap();
    let modules = Modules::read(Path::new(&folder)).unwrap();
    for wanted in INITRAMFS {
        let selection = modules.select(&[wanted]).unwrap();
        let names: Vec<_> = selection.load_order.iter().map(|m| m.name.as_str()).collect();
        let built = if selection.builtin.is_empty() { "" } else { "(built in)" };
        eprintln!("{wanted:>14}: {} {built}", names.join(" "));
    }
    let all = timed("all", || modules.select(INITRAMFS).unwrap());
    assert!(all.load_order.iter().all(|module| module.bytes.starts_with(b"\x7fELF")));
    let size: usize = all.load_order.iter().map(|module| module.bytes.len()).sum();
    let names: Vec<_> = all.load_order.iter().map(|module| module.name.as_str()).collect();
    eprintln!("order: {}\n{size} bytes\n{}{}", names.join(" "), all.modules_dep, all.modules_alias);
}
