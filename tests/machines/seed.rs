//! The seed partition's content: `imagebuild seed` writes it to `out/IMAGE.seed`; where
//! no such file is, the tests write the format themselves.

use crate::setup::World;
use imagebuild::fs::Sha256Digest;

/// The content of partition 7 for this server.
pub(crate) fn of(world: &World, image: &str) -> Vec<u8> {
    match std::fs::read(world.out.join(format!("{image}.seed"))) {
        Ok(bytes) => bytes,
        Err(_) => written_by_hand(&world.credentials(image)),
    }
}

/// A header of 512 bytes, then a tar file with a file for each credential; the last is
/// one that no image lists, which must not get in.
pub(crate) fn written_by_hand(credentials: &[(String, Vec<u8>)]) -> Vec<u8> {
    let unlisted = (UNLISTED.to_owned(), b"[Service]\nExecStart=/bin/true\n".to_vec());
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in credentials.iter().chain([&unlisted]) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o400);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let digest = Sha256Digest::of(&tar);
    let mut seed = format!("IMAGEBUILD-SEED 1 {} {digest}\n", tar.len()).into_bytes();
    seed.resize(512, 0);
    seed.extend(tar);
    seed.resize(seed.len().next_multiple_of(512), 0);
    seed
}

/// Only SMBIOS may bring units.
pub(crate) const UNLISTED: &str = "systemd.extra-unit.evil.service";
