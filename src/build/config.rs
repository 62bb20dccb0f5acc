//! The configuration layer's files as one sorted tar: what mkfs.erofs and the
//! validators read.

use crate::error::{Error, Result};
use crate::plan::render::{ConfigFile, Content};
use std::collections::BTreeSet;
use std::path::Path;

/// Writes `files` (sorted by path) as a tar, with every folder above them.
pub(super) fn write_tar(files: &[ConfigFile], epoch: u64, tar: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", tar, &e);
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for file in files {
        let path = file.path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            if folders.insert(path[..end].to_owned()) {
                let mut header = header(0o755, 0, 0, epoch);
                header.set_entry_type(tar::EntryType::Directory);
                builder
                    .append_data(&mut header, format!("{}/", &path[..end]), [].as_slice())
                    .map_err(failed)?;
            }
        }
        let mut header = header(file.mode, file.uid, file.gid, epoch);
        match &file.content {
            Content::Bytes(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, bytes.as_slice()).map_err(failed)?;
            }
            Content::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).map_err(failed)?;
            }
            Content::Directory => {
                if folders.insert(path.to_owned()) {
                    header.set_entry_type(tar::EntryType::Directory);
                    builder
                        .append_data(&mut header, format!("{path}/"), [].as_slice())
                        .map_err(failed)?;
                }
            }
        }
    }
    std::fs::write(tar, builder.into_inner().map_err(failed)?).map_err(failed)
}

fn header(mode: u32, uid: u32, gid: u32, epoch: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mtime(epoch);
    header.set_size(0);
    header
}
