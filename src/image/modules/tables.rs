//! The text tables that depmod writes, and module files in their compressions.

use crate::error::{Error, Result};
use crate::fs;
use crate::lock::xz;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// One module, as modules.dep has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path below the release's folder ("kernel/fs/erofs/erofs.ko.xz").
    pub(super) path: String,
    /// Names of what must be loaded before, the last one first.
    pub(super) needs: Vec<String>,
}

/// "kernel/drivers/md/dm-verity.ko.xz" -> "dm_verity"
pub(super) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    canonical(file.split(".ko").next().unwrap_or(file))
}

/// The kernel takes `-` and `_` for the same.
pub(super) fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The path without the suffix of a compression.
pub(super) fn plain_path(path: &str) -> String {
    path.rfind(".ko").map_or(path, |at| &path[..at + 3]).to_owned()
}

pub(super) fn dependencies(table: &str) -> Result<BTreeMap<String, Entry>> {
    let line = |line: &str| {
        let (path, needs) = line
            .split_once(':')
            .ok_or_else(|| Error::build(format!("modules.dep has a strange line: `{line}`")))?;
        let needs = needs.split_whitespace().map(name_of).collect();
        Ok((name_of(path), Entry { path: path.to_owned(), needs }))
    };
    table.lines().filter(|text| !text.is_empty()).map(line).collect()
}

/// Lines "alias PATTERN MODULE", without comments.
pub(super) fn aliases(table: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()?, words.next()?) {
            ("alias", pattern, module) => Some((pattern.to_owned(), canonical(module))),
            _ => None,
        }
    };
    table.lines().filter_map(line).collect()
}

/// Lines "softdep MODULE pre: A B post: C"; only what comes before matters here.
pub(super) fn soft_dependencies(table: &str) -> BTreeMap<String, Vec<String>> {
    let mut soft: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in table.lines() {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(module)) = (words.next(), words.next()) else { continue };
        let mut before = false;
        for word in words {
            match word {
                "pre:" => before = true,
                "post:" => before = false,
                name if before => {
                    soft.entry(canonical(module)).or_default().push(name.to_owned());
                }
                _ => {}
            }
        }
    }
    soft
}

/// The largest module that is taken once unpacked; Debian's largest has some 10 MiB.
const MOST_OF_A_MODULE: u64 = 256 << 20;

/// Reads a module by the suffix of its name: `.ko`, `.ko.xz`, `.ko.zst` or `.ko.gz`.
pub(super) fn uncompressed(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::io("uncompress", path, &e);
    let packed = fs::read(path)?;
    let reader: Box<dyn Read + '_> = match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("xz") => Box::new(xz::decoder(&packed[..]).map_err(|e| failed(e.into()))?),
        Some("zst") => Box::new(zstd::Decoder::new(&packed[..]).map_err(failed)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(&packed[..])),
        _ => return Ok(packed),
    };
    let mut bytes = Vec::with_capacity(packed.len() * 4);
    reader.take(MOST_OF_A_MODULE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_OF_A_MODULE {
        let why = format!("it unpacks to more than {} MiB", MOST_OF_A_MODULE >> 20);
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, why)));
    }
    Ok(bytes)
}
