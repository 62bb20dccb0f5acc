//! dm-verity hash trees, in this process: byte for byte what `veritysetup format
//! --hash=sha256 --data-block-size=4096 --hash-block-size=4096` appends with
//! `--hash-offset`.
//!
//! Superblock and tree are those of cryptsetup's lib/verity/verity.h and
//! verity_hash.c (format 1: digest of salt, then block), described in
//! <https://docs.kernel.org/admin-guide/device-mapper/verity.html>.

use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use crate::plan::guid::Guid;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a data block and of a hash block.
pub const BLOCK: usize = 4096;
const DIGEST: usize = 32;
/// Data blocks that a thread reads at a time.
const BATCH: usize = 64;
const SUPERBLOCK: usize = 512;
const MAX_SALT: usize = 256;

/// What `veritysetup` would draw at random.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Hashed before each block; at most 256 bytes.
    pub salt: Vec<u8>,
    /// The superblock's UUID.
    pub uuid: Guid,
}

/// A file with its hash tree appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verity {
    /// Vouches for every data block.
    pub root_hash: Sha256Digest,
    /// Blocks of data, 4096 bytes each.
    pub data_blocks: u64,
    /// Where the superblock is, in bytes: `--hash-offset`.
    pub hash_offset: u64,
    /// The first block of the tree, counted from the start of the file.
    pub hash_start_block: u64,
    /// The salt.
    pub salt: Vec<u8>,
    /// Bytes of the file: data, superblock and tree.
    pub length: u64,
}

impl Verity {
    /// The table for `dmsetup create`, with data and tree on the same `device`.
    pub fn table(&self, device: &str) -> String {
        let salt = if self.salt.is_empty() { "-".to_owned() } else { hex::encode(&self.salt) };
        format!(
            "0 {sectors} verity 1 {device} {device} {BLOCK} {BLOCK} {blocks} {start} sha256 {root} {salt}",
            sectors = self.data_blocks * (BLOCK as u64 / 512),
            blocks = self.data_blocks,
            start = self.hash_start_block,
            root = self.root_hash,
        )
    }
}

/// Pads the file at `path` with zeros to whole blocks and appends superblock and tree.
/// Not atomic: seal a file before it is put in its place.
///
/// # Errors
/// When the file is empty or cannot be read or written, or the salt is too long.
pub fn append(path: &Path, params: &Params) -> Result<Verity> {
    let failed = |e: std::io::Error| Error::io("hash", path, &e);
    if params.salt.len() > MAX_SALT {
        return Err(Error::build(format!("a verity salt has at most {MAX_SALT} bytes")));
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let data_blocks = file.metadata().map_err(failed)?.len().div_ceil(BLOCK as u64);
    if data_blocks == 0 {
        return Err(Error::build(format!("{} is empty: nothing to hash", path.display())));
    }
    let hash_offset = data_blocks * BLOCK as u64;
    file.set_len(hash_offset).map_err(failed)?;

    let seed = Sha256::new().chain_update(&params.salt);
    let leaves = hash_file(&file, data_blocks as usize, &seed).map_err(failed)?;
    let tree = tree(leaves, &seed);
    let root_hash = root_hash(&file, &tree, &seed).map_err(failed)?;
    // The superblock has a hash block to itself.
    let mut tail = superblock(data_blocks, params).to_vec();
    tail.resize(BLOCK, 0);
    tail.extend(&tree);
    file.write_all_at(&tail, hash_offset).map_err(failed)?;
    Ok(Verity {
        root_hash,
        data_blocks,
        hash_offset,
        hash_start_block: data_blocks + 1,
        salt: params.salt.clone(),
        length: hash_offset + tail.len() as u64,
    })
}

/// The digest of every data block, in order, with all cores: blocks are independent.
fn hash_file(file: &File, blocks: usize, seed: &Sha256) -> std::io::Result<Vec<u8>> {
    let mut digests = vec![0; blocks * DIGEST];
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let share = blocks.div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..)
            .step_by(share)
            .zip(digests.chunks_mut(share * DIGEST))
            .map(|(first, into)| scope.spawn(move || hash_share(file, first, into, seed)))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a hashing thread died")))
        })
    })?;
    Ok(digests)
}

/// Hashes as many blocks from `first` on as `into` has room for.
fn hash_share(file: &File, first: usize, into: &mut [u8], seed: &Sha256) -> std::io::Result<()> {
    let mut buffer = vec![0; BATCH * BLOCK];
    for (batch, into) in (0..).zip(into.chunks_mut(BATCH * DIGEST)) {
        let blocks = &mut buffer[..into.len() / DIGEST * BLOCK];
        file.read_exact_at(blocks, ((first + batch * BATCH) * BLOCK) as u64)?;
        hash_blocks(blocks, into, seed);
    }
    Ok(())
}

fn hash_blocks(blocks: &[u8], into: &mut [u8], seed: &Sha256) {
    for (block, into) in blocks.chunks_exact(BLOCK).zip(into.chunks_exact_mut(DIGEST)) {
        into.copy_from_slice(&seed.clone().chain_update(block).finalize());
    }
}

/// The tree above `leaves`, top level first as on disk; empty for a single leaf.
fn tree(leaves: Vec<u8>, seed: &Sha256) -> Vec<u8> {
    let mut levels: Vec<Vec<u8>> = Vec::new();
    let mut digests = leaves;
    while digests.len() > DIGEST {
        let mut blocks = digests;
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        digests = vec![0; blocks.len() / BLOCK * DIGEST];
        hash_blocks(&blocks, &mut digests, seed);
        levels.push(blocks);
    }
    levels.reverse();
    levels.concat()
}

/// The digest of the tree's top block, or of the only data block where there is no tree.
fn root_hash(file: &File, tree: &[u8], seed: &Sha256) -> std::io::Result<Sha256Digest> {
    let mut top = [0; BLOCK];
    match tree.get(..BLOCK) {
        Some(block) => top.copy_from_slice(block),
        None => file.read_exact_at(&mut top, 0)?,
    }
    Ok(Sha256Digest::from_hasher(seed.clone().chain_update(top)))
}

/// struct verity_sb, little-endian.
fn superblock(data_blocks: u64, params: &Params) -> [u8; SUPERBLOCK] {
    let mut bytes = [0; SUPERBLOCK];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"verity\0\0");
    // Version of the superblock, and hash type 1.
    put(8, &1_u32.to_le_bytes());
    put(12, &1_u32.to_le_bytes());
    put(16, params.uuid.as_bytes());
    put(32, b"sha256");
    put(64, &(BLOCK as u32).to_le_bytes());
    put(68, &(BLOCK as u32).to_le_bytes());
    put(72, &data_blocks.to_le_bytes());
    put(80, &(params.salt.len() as u16).to_le_bytes());
    put(88, &params.salt);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params { salt: vec![0xab; 32], uuid: Guid::of_name("test") }
    }

    fn seal(bytes: &[u8]) -> (Verity, Vec<u8>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let verity = append(file.path(), &params()).unwrap();
        (verity, std::fs::read(file.path()).unwrap())
    }

    #[test]
    fn pads_and_appends() {
        let (verity, bytes) = seal(&[1; 4097]);
        assert_eq!((verity.data_blocks, verity.hash_offset, verity.hash_start_block), (2, 8192, 3));
        assert_eq!(bytes.len(), 4 * BLOCK);
        assert_eq!(verity.length, bytes.len() as u64);
        assert_eq!(&bytes[8192..8198], b"verity");
    }

    #[test]
    fn the_table_is_one_line_for_dmsetup() {
        let (verity, _) = seal(&[1; 4096]);
        let salt = "ab".repeat(32);
        let root = verity.root_hash;
        assert_eq!(
            verity.table("/dev/vda3"),
            format!("0 8 verity 1 /dev/vda3 /dev/vda3 4096 4096 1 2 sha256 {root} {salt}")
        );
    }

    #[test]
    fn every_byte_counts() {
        let mut bytes = vec![0; 300 * BLOCK];
        let (before, _) = seal(&bytes);
        bytes[299 * BLOCK] = 1;
        assert_ne!(seal(&bytes).0.root_hash, before.root_hash);
    }

    #[test]
    fn nothing_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(append(file.path(), &params()).is_err());
    }
}
