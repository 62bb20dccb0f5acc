//! Goldens of what a server's configuration layer holds: the listing, and every file.
//!
//! UPDATE_GOLDENS=1 writes them anew; the diff is then read, not trusted.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::plan::render::{self, ConfigFile, Content};
use imagebuild::spec::{Spec, Tree};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folder(server: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/arch4-{server}"))
}

fn rendered(server: &str) -> BTreeMap<String, Vec<u8>> {
    let spec = Spec::load(Tree::embedded()).unwrap_or_else(|error| panic!("{error}"));
    let architecture = spec.architecture("arch4").unwrap();
    let server = architecture.server(server).unwrap();
    let files =
        render::config_files(&spec, architecture, server).unwrap_or_else(|error| panic!("{error}"));
    let mut goldens = BTreeMap::from([("listing.txt".to_owned(), listing(&files).into_bytes())]);
    for file in files {
        // What is copied as it is has its golden in overlays/.
        if let (Content::Bytes(bytes), false) = (file.content, is_copy(&file.source)) {
            goldens.insert(format!("root{}", file.path), bytes);
        }
    }
    goldens
}

fn is_copy(source: &str) -> bool {
    source.starts_with("overlays/") && !source.ends_with(".j2")
}

fn listing(files: &[ConfigFile]) -> String {
    files.iter().fold(String::new(), |mut text, file| {
        let what = match &file.content {
            Content::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Content::Symlink(target) => format!("-> {target}"),
            Content::Directory => "folder".to_owned(),
        };
        let (mode, owner) = (file.mode, format!("{}:{}", file.uid, file.gid));
        writeln!(text, "{mode:04o} {owner} {} {what} [{}]", file.path, file.source).unwrap();
        text
    })
}

fn on_disk(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files.map(|entry| (name(entry.path()), std::fs::read(entry.path()).unwrap())).collect()
}

fn check(server: &str) {
    let (folder, now) = (folder(server), rendered(server));
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        drop(std::fs::remove_dir_all(&folder));
        for (name, bytes) in &now {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let before = on_disk(&folder);
    let names: Vec<&String> = now.keys().chain(before.keys()).collect();
    for name in names {
        let text = |files: &BTreeMap<String, Vec<u8>>| {
            files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        assert_eq!(text(&before), text(&now), "{server}: {name} (UPDATE_GOLDENS=1 writes it anew)");
    }
}

#[test]
fn arch4_web1() {
    check("web1");
}

#[test]
fn arch4_database1() {
    check("database1");
}

#[test]
fn every_server_renders() {
    let spec = Spec::load(Tree::embedded()).unwrap_or_else(|error| panic!("{error}"));
    for architecture in spec.architectures.values() {
        for server in architecture.servers.values() {
            render::config_files(&spec, architecture, server)
                .unwrap_or_else(|error| panic!("{}: {error}", server.image_id));
        }
    }
}
