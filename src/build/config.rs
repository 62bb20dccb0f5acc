//! The configuration layer's files as one sorted tar: what mkfs.erofs and the
//! validators read.

use crate::error::{Error, Result};
use crate::fs;
use crate::plan::render::{ConfigFile, Content};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Writes `files` (sorted by path) as a tar, with every folder above them. A folder
/// that the packages have keeps their mode and owner: the layer above would hide it.
pub(super) fn write_tar(
    files: &[ConfigFile],
    agent: Option<&Path>,
    folders: &Folders,
    epoch: u64,
    tar: &Path,
) -> Result<()> {
    let agent = agent.map(fs::read).transpose()?.unwrap_or_default();
    let (builder, made) = (tar::Builder::new(Vec::new()), BTreeSet::new());
    let mut layer = Layer { builder, agent, folders, epoch, made };
    let written = layer.folder("").and_then(|()| files.iter().try_for_each(|file| layer.add(file)));
    written
        .and_then(|()| layer.builder.into_inner())
        .and_then(|bytes| std::fs::write(tar, bytes))
        .map_err(|e| Error::io("write", tar, &e))
}

/// Mode, owner and group of the packages' folders, by path without a leading slash;
/// those that are root's and 0755 are left out.
pub(super) type Folders = BTreeMap<String, (u32, u32, u32)>;

struct Layer<'a> {
    builder: tar::Builder<Vec<u8>>,
    /// The agent's program; empty where there is none.
    agent: Vec<u8>,
    folders: &'a Folders,
    epoch: u64,
    made: BTreeSet<String>,
}

impl Layer<'_> {
    fn add(&mut self, file: &ConfigFile) -> std::io::Result<()> {
        let path = file.path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            self.folder(&path[..end])?;
        }
        let mut header = header(file.mode, file.uid, file.gid, self.epoch);
        match &file.content {
            Content::Bytes(bytes) => self.file(header, path, bytes),
            Content::Agent => {
                let agent = std::mem::take(&mut self.agent);
                self.file(header, path, &agent)
            }
            Content::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                self.builder.append_link(&mut header, path, target)
            }
            Content::Directory => self.folder(path),
        }
    }

    fn file(&mut self, mut header: tar::Header, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        // Set in so many words: mkfs.erofs passes over the old type, a NUL.
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, path, bytes)
    }

    fn folder(&mut self, path: &str) -> std::io::Result<()> {
        if !self.made.insert(path.to_owned()) {
            return Ok(());
        }
        let (mode, uid, gid) = self.folders.get(path).copied().unwrap_or((0o755, 0, 0));
        let mut header = header(mode, uid, gid, self.epoch);
        header.set_entry_type(tar::EntryType::Directory);
        self.builder.append_data(&mut header, format!("./{path}"), [].as_slice())
    }
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
