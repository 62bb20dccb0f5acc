//! Goldens of what a server's configuration layer holds: the listing, and every file.
//!
//! UPDATE_GOLDENS=1 writes them anew; the diff is then read, not trusted.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::plan::render::{self, ConfigFile, Content};
use imagebuild::spec::{Spec, Tree};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folder(image: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{image}"))
}

fn load() -> Spec {
    Spec::load(Tree::embedded()).unwrap_or_else(|error| panic!("{error}"))
}

/// The configuration layer of `image`: architecture and server.
fn files(spec: &Spec, image: &str) -> Vec<ConfigFile> {
    let (architecture, server) = image.split_once('-').unwrap();
    let architecture = spec.architecture(architecture).unwrap();
    let server = architecture.server(server).unwrap();
    render::config_files(spec, architecture, server).unwrap_or_else(|error| panic!("{error}"))
}

/// The listing of `image`, and its rendered files, but for those that are the same at
/// `like`, a server that has goldens of its own.
fn rendered(spec: &Spec, image: &str, like: Option<&str>) -> BTreeMap<String, Vec<u8>> {
    let files_of = |image| files(spec, image);
    let known: BTreeMap<String, Content> =
        like.map_or_else(Vec::new, files_of).into_iter().map(|f| (f.path, f.content)).collect();
    let files = files_of(image);
    let mut goldens = BTreeMap::from([("listing.txt".to_owned(), listing(&files).into_bytes())]);
    for file in files {
        if is_copy(&file.source) || known.get(&file.path) == Some(&file.content) {
            // What is copied as it is has its golden in overlays/.
            continue;
        }
        if let Content::Bytes(bytes) = file.content {
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
            Content::Agent => "compiled".to_owned(),
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

fn check(image: &str, now: &BTreeMap<String, Vec<u8>>) {
    let folder = folder(image);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        drop(std::fs::remove_dir_all(&folder));
        for (name, bytes) in now {
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
        assert_eq!(text(&before), text(now), "{image}: {name} (UPDATE_GOLDENS=1 writes it anew)");
    }
}

/// One server of each kind with every file that differs from a similar one.
const WHOLE: [(&str, Option<&str>); 8] = [
    ("arch4-web1", None),
    ("arch4-database1", None),
    ("arch1-web1", Some("arch4-web1")),
    ("arch2-web1", Some("arch1-web1")),
    ("arch2-web2", Some("arch4-database1")),
    ("arch3-server1", Some("arch4-database1")),
    ("arch5-database1", Some("arch3-server1")),
    ("arch6-database1", Some("arch5-database1")),
];

#[test]
fn one_server_of_each_kind() {
    let spec = load();
    for (image, like) in WHOLE {
        check(image, &rendered(&spec, image, like));
    }
}

#[test]
fn the_others_by_their_listings() {
    let spec = load();
    for (name, architecture) in &spec.architectures {
        for server in architecture.servers.keys() {
            let image = format!("{name}-{server}");
            if WHOLE.iter().all(|(whole, _)| *whole != image) {
                let listing = listing(&files(&spec, &image)).into_bytes();
                check(&image, &BTreeMap::from([("listing.txt".to_owned(), listing)]));
            }
        }
    }
}
