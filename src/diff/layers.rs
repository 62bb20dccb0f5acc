//! The files of two images' layers: unpacked by the closure's own fsck.erofs, listed,
//! and compared.

use super::image::{self, Image};
use super::listing;
use super::report::{Entry, Report, text_diff};
use crate::error::{Error, Result};
use crate::plan::layout::Label;
use crate::sandbox::{self, ListedFile, Op, Root, Sandbox, listing_from_json};
use std::path::{Path, PathBuf};

/// Compares two images wholly; `tools` is the unpacked tools closure, `work` a folder
/// for the unpacked layers.
///
/// # Errors
/// When a layer cannot be read or unpacked.
pub fn compare(a: &Image, b: &Image, tools: &Path, work: &Path) -> Result<Report> {
    let mut report = image::compare(a, b);
    for label in image::changed_layers(a, b) {
        let sides = Scratch::new(work)?;
        let old = sides.unpack(a, label, "a", tools)?;
        let new = sides.unpack(b, label, "b", tools)?;
        let mut found = listing::differences(&old, &new);
        for entry in &mut found {
            // What a package brings is long, and not this project's.
            let both = entry.from.is_some() && entry.to.is_some();
            let shown = both || label == Label::AConfig;
            entry.diff = if shown { sides.text_diff(entry) } else { None };
        }
        if label == Label::AConfig { report.configuration = found } else { report.files = found }
    }
    Ok(report)
}

/// A folder of trees whose files may belong to others.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is below the store's tmp/, and `gc` takes it.
        drop(sandbox::remove_tree(&self.0));
    }
}

impl Scratch {
    fn new(work: &Path) -> Result<Scratch> {
        let folder = tempfile::Builder::new().prefix("diff-").tempdir_in(work);
        let folder = folder.map_err(|e| Error::io("make a folder in", work, &e))?;
        Ok(Scratch(folder.keep()))
    }

    fn unpack(
        &self,
        image: &Image,
        label: Label,
        side: &str,
        tools: &Path,
    ) -> Result<Vec<ListedFile>> {
        let folder = self.0.join(side);
        crate::fs::create_dir_all(&folder)?;
        let layer = self.0.join(format!("{side}.erofs"));
        image.extract(label, &layer)?;
        Sandbox::new(Root::ReadOnly(tools.to_owned()), 0)
            .bind(&layer, "/layer.erofs")
            .bind_writable(&folder, "/out")
            .run(["fsck.erofs", "--extract=/out/tree", "--preserve", "/layer.erofs"])
            .op(Op::List { tree: "/out/tree".into(), into: "/out/listing.json".into() })
            .execute()?;
        listing_from_json(&folder.join("listing.json"))
    }

    /// The lines that differ, where both sides are text that this user may read.
    fn text_diff(&self, entry: &Entry) -> Option<String> {
        let read = |side: &str| {
            let path = self.0.join(side).join("tree").join(entry.name.trim_start_matches('/'));
            let plain = path.symlink_metadata().is_ok_and(|data| data.is_file());
            if plain { std::fs::read(path).ok() } else { Some(Vec::new()) }
        };
        text_diff(&read("a")?, &read("b")?)
    }
}
