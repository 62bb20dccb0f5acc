//! Two builds of one plan: the first step whose result differs, the partition that it
//! ends up in, and the files, with the lines that differ.

use crate::diff::listing;
use crate::diff::report::text_diff;
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest, digest_file};
use crate::image::manifest::Manifest;
use crate::plan::server::Plan;
use crate::plan::step::Planned;
use crate::plan::step::Step;
use crate::sandbox::{ListedFile, Op, Root, Sandbox, listing_from_json};
use crate::store::is_record;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files that are shown at most, and lines of each.
const MOST_FILES: usize = 20;
const MOST_LINES: usize = 20;

/// Where two builds part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The first step whose results differ; nothing when only the disk's file does.
    pub step: Option<&'static str>,
    /// The partition with what differs, if it is in one.
    pub partition: Option<String>,
    /// The files and lines, or the byte.
    pub details: Vec<String>,
}

/// The first difference between the results of `plan` in two stores.
///
/// # Errors
/// When a result cannot be read.
pub fn steps(plan: &Plan, a: &Path, b: &Path) -> Result<Option<Difference>> {
    for planned in &plan.steps {
        let folders = [a, b].map(|store| store.join("objects").join(planned.key().to_string()));
        let [in_a, in_b] = [digests(&folders[0])?, digests(&folders[1])?];
        let names: BTreeSet<&String> = in_a.keys().chain(in_b.keys()).collect();
        let differing: Vec<&String> =
            names.into_iter().filter(|name| in_a.get(*name) != in_b.get(*name)).collect();
        let Some(first) = differing.first() else { continue };
        if let Some(details) = tools_differ(plan, [a, b])? {
            return Ok(Some(Difference { step: Some("tools"), partition: None, details }));
        }
        // A listing, and a tar, name the files; a file system only the byte.
        let told = ["listing.json", "layer.tar"].into_iter();
        let told = told.map(str::to_owned).find(|name| differing.contains(&name));
        let name = told.as_ref().unwrap_or(first);
        if let Step::Packages { tools, base, .. } = planned.step()
            && let Some(details) = base_differs([a, b], tools, base, &folders)?
        {
            let partition = partition(planned.step());
            return Ok(Some(Difference { step: Some("base"), partition, details }));
        }
        let details = details(name, &folders)?;
        let partition = partition(planned.step());
        return Ok(Some(Difference { step: Some(planned.step().name()), partition, details }));
    }
    Ok(None)
}

/// The files that differ in the tools with which two builds were made. They are looked at
/// when something made with them differs: what is the same is not worth the time.
fn tools_differ(plan: &Plan, stores: [&Path; 2]) -> Result<Option<Vec<String>>> {
    let folders = stores.map(|store| store.join("objects").join(plan.tools.key().to_string()));
    let list = |folder: &PathBuf| list_tree(folder, folder).map(ownerless);
    let [a, b] = [list(&folders[0])?, list(&folders[1])?];
    let details = listed(&a, &b, &folders);
    Ok((!details.is_empty()).then_some(details))
}

/// Trees of the store belong to who made them, or to ids that only he knows: that is no
/// difference. A wrong owner shows in what is made of them.
fn ownerless(mut files: Vec<ListedFile>) -> Vec<ListedFile> {
    files.iter_mut().for_each(|file| (file.uid, file.gid) = (0, 0));
    files
}

/// What of the files that differ in two packages trees came from their bases, which hold no
/// listing: most builds need none. Nothing, when they differ only since.
fn base_differs(
    stores: [&Path; 2],
    tools: &Planned,
    base: &Planned,
    folders: &[PathBuf; 2],
) -> Result<Option<Vec<String>>> {
    let [a, b] = listings(folders)?.map(ownerless);
    let differ = listing::differences(&a, &b);
    let of = |store: &Path, step: &Planned| store.join("objects").join(step.key().to_string());
    let bases = stores.map(|store| of(store, base));
    let list = |store: usize| list_tree(&of(stores[store], tools), &bases[store]).map(ownerless);
    let [mut a, mut b] = [list(0)?, list(1)?];
    // What is changed later again (times in logs) may differ before.
    let same: BTreeSet<String> = (listing::differences(&a, &b).into_iter())
        .filter(|entry| differ.contains(entry))
        .map(|entry| entry.name)
        .collect();
    let matters = |file: &ListedFile| same.contains(&format!("/{}", file.path));
    a.retain(matters);
    b.retain(matters);
    let details = listed(&a, &b, &bases);
    Ok((!details.is_empty()).then_some(details))
}

/// Lists a tree of the store with a tools closure of it.
fn list_tree(tools: &Path, result: &Path) -> Result<Vec<ListedFile>> {
    let work = tempfile::tempdir().map_err(|e| Error::build(format!("no room for a list: {e}")))?;
    let listing = work.path().join("listing.json");
    std::fs::write(&listing, "").map_err(|e| Error::io("write", &listing, &e))?;
    Sandbox::new(Root::ReadOnly(tools.join("tree")), 0)
        .bind(result.join("tree"), "/tree")
        .bind_writable(&listing, "/listing.json")
        .op(Op::List { tree: "/tree".into(), into: "/listing.json".into() })
        .execute()?;
    listing_from_json(&listing)
}

fn listings(folders: &[PathBuf; 2]) -> Result<[Vec<ListedFile>; 2]> {
    let [a, b] = folders.each_ref().map(|folder| listing_from_json(&folder.join("listing.json")));
    Ok([a?, b?])
}

/// The files that differ, with the lines of those that are text.
fn listed(a: &[ListedFile], b: &[ListedFile], folders: &[PathBuf; 2]) -> Vec<String> {
    let mut told = Vec::new();
    for entry in listing::differences(a, b).into_iter().take(MOST_FILES) {
        let read = |folder: &PathBuf| {
            let path = folder.join("tree").join(entry.name.trim_start_matches('/'));
            std::fs::read(path).unwrap_or_default()
        };
        let from = entry.from.as_deref().unwrap_or("not there");
        let to = entry.to.as_deref().unwrap_or("not there");
        told.push(format!("{}\n  {from}\n  {to}", entry.name));
        told.extend(lines(&read(&folders[0]), &read(&folders[1])));
    }
    told
}

/// The files of a result, but for its records, which have times of the store's disk.
fn digests(folder: &Path) -> Result<BTreeMap<String, Sha256Digest>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("list", folder, &e))?;
    let mut all = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io("list", folder, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && !is_record(&name) {
            all.insert(name, digest_file(&path)?);
        }
    }
    Ok(all)
}

fn details(name: &str, folders: &[PathBuf; 2]) -> Result<Vec<String>> {
    let paths = folders.each_ref().map(|folder| folder.join(name));
    match name {
        "listing.json" => {
            let [a, b] = listings(folders)?;
            Ok(listed(&a, &b, folders))
        }
        "layer.tar" => {
            let [a, b] = [tar_files(&paths[0])?, tar_files(&paths[1])?];
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let differ = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
            let empty = Vec::new();
            let told = differ.take(MOST_FILES).flat_map(|name| {
                let [a, b] = [a.get(name).unwrap_or(&empty), b.get(name).unwrap_or(&empty)];
                std::iter::once(format!("/{name}")).chain(lines(a, b)).collect::<Vec<_>>()
            });
            Ok(told.collect())
        }
        _ => Ok(vec![first_byte(name, &paths[0], &paths[1])?]),
    }
}

fn lines(a: &[u8], b: &[u8]) -> Option<String> {
    let diff = text_diff(a, b)?;
    let lines: Vec<&str> = diff.lines().take(MOST_LINES).collect();
    Some(lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"))
}

/// The files of a tar, each with its header before its content.
fn tar_files(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let failed = |e: std::io::Error| Error::io("read", path, &e);
    let mut archive = tar::Archive::new(fs::open(path)?);
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
        let header = entry.header();
        let mut text = format!(
            "mode {:o} owner {}:{} time {}\n",
            header.mode().unwrap_or_default(),
            header.uid().unwrap_or_default(),
            header.gid().unwrap_or_default(),
            header.mtime().unwrap_or_default(),
        )
        .into_bytes();
        entry.read_to_end(&mut text).map_err(failed)?;
        files.insert(name, text);
    }
    Ok(files)
}

/// "NAME differs at byte N: 00 01 02 -> 00 ff 02".
fn first_byte(name: &str, a: &Path, b: &Path) -> Result<String> {
    let lengths = [a, b].map(|path| path.metadata().map(|data| data.len()).unwrap_or_default());
    match offset(a, b)? {
        Some(at) => {
            let around = |path: &Path| -> Result<String> {
                use std::os::unix::fs::FileExt;
                let mut bytes = [0; 16];
                let count = fs::open(path)?.read_at(&mut bytes, at).unwrap_or(0);
                let words: Vec<String> =
                    bytes[..count].iter().map(|b| format!("{b:02x}")).collect();
                Ok(words.join(" "))
            };
            Ok(format!("{name} differs at byte {at}\n  {}\n  {}", around(a)?, around(b)?))
        }
        None => Ok(format!("{name} has {} bytes, then {}", lengths[0], lengths[1])),
    }
}

/// The first byte that differs in what both have.
fn offset(a: &Path, b: &Path) -> Result<Option<u64>> {
    let mut files = [fs::open(a)?, fs::open(b)?];
    let mut parts = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut at = 0;
    loop {
        let mut counts = [0, 0];
        for (number, path) in [a, b].into_iter().enumerate() {
            counts[number] = fill(&mut files[number], &mut parts[number])
                .map_err(|e| Error::io("read", path, &e))?;
        }
        let both = counts[0].min(counts[1]);
        if parts[0][..both] != parts[1][..both] {
            let place = (0..both).find(|&i| parts[0][i] != parts[1][i]).unwrap_or_default();
            return Ok(Some(at + place as u64));
        }
        if both == 0 {
            return Ok(None);
        }
        at += both as u64;
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..])? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Where on the disk the result of a step is.
fn partition(step: &Step) -> Option<String> {
    let names = match step {
        Step::Base { .. } | Step::Packages { .. } | Step::PackagesLayer { .. } => "a-packages",
        Step::Agent { .. } | Step::ConfigLayer { .. } => "a-config",
        Step::State { .. } => "state",
        Step::Kernel { .. } | Step::Esp { .. } => "esp",
        Step::Bootloader { .. } => "bios, esp",
        Step::Tools { .. } | Step::Validate { .. } | Step::Inventory { .. } | Step::Image(_) => {
            return None;
        }
    };
    Some(names.to_owned())
}

/// The first difference between two files of one image in the folders for images; the
/// partition is looked up in the manifest when it is the raw disk.
///
/// # Errors
/// When one cannot be read.
pub fn files(name: &str, a: &Path, b: &Path) -> Result<Option<Difference>> {
    let paths = [a.join(name), b.join(name)];
    if digest_file(&paths[0])? == digest_file(&paths[1])? {
        return Ok(None);
    }
    let details = vec![first_byte(name, &paths[0], &paths[1])?];
    let mut partition = None;
    if let (Some(stem), Some(at)) = (name.strip_suffix(".raw"), offset(&paths[0], &paths[1])?) {
        let text = fs::read_to_string(&a.join(format!("{stem}.json")))?;
        let map = Manifest::from_json(&text)?.map;
        let holds = map.partitions.iter().find(|p| p.offset <= at && at < p.offset + p.size);
        partition = holds.map(|record| record.label.to_string());
    }
    Ok(Some(Difference { step: None, partition, details }))
}

impl Difference {
    /// As an error about `image`.
    pub fn to_error(&self, image: &str, other: &str) -> Error {
        let mut error = Error::check(format!("{image} is not the same in the {other} build"));
        if let Some(step) = self.step {
            error = error.detail(format!("the step {step} differs first"));
        }
        if let Some(partition) = &self.partition {
            error = error.detail(format!("partition: {partition}"));
        }
        self.details.iter().fold(error, |error, detail| error.detail(detail))
    }
}
