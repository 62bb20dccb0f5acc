//! The content of the seed partition.
//!
//! 512 bytes of header: the line `IMAGEBUILD-SEED 1 LENGTH SHA256`, then zeros; then
//! a tar of LENGTH bytes with that digest and one file a credential, named as the
//! credential. An empty partition (zeros) is no seed. Read by
//! `overlays/initramfs/init`, which has nothing but a shell and busybox.

use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use std::collections::BTreeMap;
use std::io::Read;

const HEADER: usize = 512;
const MAGIC: &str = "IMAGEBUILD-SEED 1";

/// The partition's content for these credentials (name to value).
///
/// # Errors
/// When a name is too long for a tar (it has at most 100 bytes).
pub fn write(credentials: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::build(format!("cannot write the seed: {e}"));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, value) in credentials {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o400);
        header.set_mtime(0);
        header.set_size(value.len() as u64);
        builder.append_data(&mut header, name, value.as_slice()).map_err(failed)?;
    }
    let tar = builder.into_inner().map_err(failed)?;
    let line = format!("{MAGIC} {} {}\n", tar.len(), Sha256Digest::of(&tar));
    let mut content = line.into_bytes();
    content.resize(HEADER, 0);
    content.extend(tar);
    Ok(content)
}

/// The credentials in a seed; nothing if the partition is empty.
///
/// # Errors
/// When there is a seed, and it is damaged.
pub fn parse(content: &[u8]) -> Result<Option<BTreeMap<String, Vec<u8>>>> {
    let damaged = |why: &str| Error::build(format!("the seed is damaged: {why}"));
    let (header, rest) = content.split_at(HEADER.min(content.len()));
    let line = header.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let Some(fields) = line.strip_prefix(MAGIC) else {
        let empty = header.iter().all(|byte| *byte == 0);
        return if empty { Ok(None) } else { Err(damaged("it does not begin with its mark")) };
    };
    let mut fields = fields.split_whitespace();
    let length: Option<usize> = fields.next().and_then(|field| field.parse().ok());
    let digest = fields.next().and_then(Sha256Digest::parse);
    let tar =
        length.and_then(|length| rest.get(..length)).ok_or_else(|| damaged("it is cut off"))?;
    if digest != Some(Sha256Digest::of(tar)) {
        return Err(damaged("its digest is not the one that it names"));
    }
    read_tar(tar).map(Some).map_err(|e| damaged(&e.to_string()))
}

fn read_tar(tar: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut credentials = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut value = Vec::new();
        entry.read_to_end(&mut value)?;
        credentials.insert(name, value);
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;

    fn two() -> BTreeMap<String, Vec<u8>> {
        let pair = |name: &str, value: &[u8]| (name.to_owned(), value.to_owned());
        BTreeMap::from([pair("ssh.host-key-ed25519", b"key\n"), pair("a", &[0, 255])])
    }

    #[test]
    fn reads_back() {
        let content = write(&two()).unwrap();
        assert!(content.starts_with(b"IMAGEBUILD-SEED 1 "));
        assert_eq!(content.len() % 512, 0);
        let mut partition = content.clone();
        partition.resize(1 << 20, 0);
        assert_eq!(parse(&partition).unwrap(), Some(two()));
    }

    #[test]
    fn no_seed_and_a_damaged_one_differ() {
        assert_eq!(parse(&[0; 4096]).unwrap(), None);
        let mut content = write(&two()).unwrap();
        content[700] ^= 1;
        assert_eq!(
            parse(&content).unwrap_err().message(),
            "the seed is damaged: its digest is not the one that it names"
        );
        assert!(parse(&content[..600]).unwrap_err().message().ends_with("it is cut off"));
        assert!(parse(b"garbage").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            drop(parse(&bytes));
            let mut seed = write(&two()).unwrap();
            for (at, byte) in bytes.iter().enumerate().step_by(97) {
                seed[at] ^= byte;
            }
            drop(parse(&seed));
        }
    }

    #[test]
    fn a_corpus_of_seeds_changed_at_random() {
        let tokens = &["IMAGEBUILD-SEED 1 ", "ustar\0", "\n", "\0"];
        Fuzz::of("seed", tokens).with([write(&two()).unwrap()]).run(|bytes| {
            // As damage leaves it, and with a digest that fits what the damage left.
            for bytes in [bytes.to_vec(), with_digest(bytes)] {
                let Ok(Some(credentials)) = parse(&bytes) else { continue };
                if let Ok(written) = write(&credentials) {
                    assert_eq!(parse(&written).unwrap(), Some(credentials));
                }
            }
        });
    }

    fn with_digest(seed: &[u8]) -> Vec<u8> {
        let tar = seed.get(HEADER..).unwrap_or_default();
        let mut whole = format!("{MAGIC} {} {}\n", tar.len(), Sha256Digest::of(tar)).into_bytes();
        whole.resize(HEADER, 0);
        whole.extend(tar);
        whole
    }
}
