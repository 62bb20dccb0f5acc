//! The packages tree is what the real apt and dpkg make of the same `.deb`s, file by
//! file, but for the exceptions of src/rootfs/exceptions.rs. The trees are those of the
//! store: on a fresh machine, the very ones that the boot tests' images are made of.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::project::{Project, Scratch};
use crate::reference::compare::{differences, report};
use crate::reference::{Essentials, Reference};
use crate::tools::Tools;
use imagebuild::rootfs::exceptions::{Action, EXCEPTIONS};
use imagebuild::sandbox::{FileKind, ListedFile, Op, Root, Sandbox, listing_from_json};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every distinct packages tree of all architectures; two at a time.
#[test]
#[ignore = "builds 11 servers, and the same with apt: 5 min"]
fn all_servers_equal_apts_trees() {
    let project = Project::open();
    let servers = project.distinct_trees();
    let sets: Vec<String> = servers.iter().map(|(a, s)| format!("{a}/{s}")).collect();
    let all: Vec<&str> = sets.iter().map(String::as_str).chain(["tools/build"]).collect();
    project.fetch(&all);
    let tools = project.reference_tools();
    let (architecture, name) = &servers[0];
    let essentials = Essentials::make(&project, (architecture, name), &tools);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        while let Some((architecture, name)) = servers.get(next.fetch_add(1, Ordering::SeqCst)) {
            let found = differs_from_apts(&project, (architecture, name), &tools, &essentials);
            failures.extend(found.map(|found| format!("{architecture}/{name}:\n{found}")));
        }
        failures
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(servers.len() > 5, "only {servers:?}");
}

fn differs_from_apts(
    project: &Project,
    server: (&str, &str),
    tools: &Path,
    essentials: &Essentials,
) -> Option<String> {
    let reference = Reference::make(project, server, tools, essentials);
    let object = project.provide(&project.plan_of(server.0, server.1), "packages");
    let ours = listing_from_json(&object.path("listing.json")).unwrap();
    let theirs = reference.listing();
    let found = differences(&ours, &theirs);
    if !found.is_empty() {
        return Some(report(&found, tools, &object.path("tree"), &reference.tree()));
    }
    planted_changes_are_seen(&ours, &theirs);
    dpkg_and_apt_are_content(&object.path("tree"), tools);
    None
}

/// Each change of one file of the real listing is the one difference that is found.
fn planted_changes_are_seen(ours: &[ListedFile], theirs: &[ListedFile]) {
    let find = |wanted: &dyn Fn(&ListedFile) -> bool| ours.iter().position(wanted).unwrap();
    let file = find(&|file| matches!(&file.kind, FileKind::File { size: 1.., .. }));
    let link = find(&|file| matches!(&file.kind, FileKind::Symlink { .. }));
    let folder = find(&|file| file.kind == FileKind::Directory);
    let hard = |file: &ListedFile| matches!(&file.kind, FileKind::File { hard_link: Some(_), .. });
    let hard = find(&hard);
    type Change = (usize, fn(&mut ListedFile));
    let changes: [Change; 8] = [
        (file, |file| {
            let FileKind::File { sha256, .. } = &mut file.kind else { unreachable!() };
            *sha256 = imagebuild::fs::Sha256Digest::of("another byte");
        }),
        (file, |file| file.mode ^= 0o4000),
        (folder, |file| file.mode ^= 0o1),
        (file, |file| file.uid += 1),
        (link, |file| file.gid += 1),
        (folder, |file| file.xattrs.push(("user.x".to_owned(), "00".to_owned()))),
        (link, |file| file.kind = FileKind::Symlink { target: "elsewhere".to_owned() }),
        (hard, |file| {
            let FileKind::File { hard_link, .. } = &mut file.kind else { unreachable!() };
            *hard_link = None;
        }),
    ];
    for (at, change) in changes {
        let mut changed = ours.to_vec();
        change(&mut changed[at]);
        assert_only_at(&changed, theirs, &ours[at].path);
        assert_only_at(theirs, &changed, &ours[at].path);
    }
    let without: Vec<ListedFile> =
        ours.iter().filter(|f| f.path != ours[file].path).cloned().collect();
    assert_only_at(&without, theirs, &ours[file].path);
    assert_only_at(theirs, &without, &ours[file].path);
}

fn assert_only_at(ours: &[ListedFile], theirs: &[ListedFile], path: &str) {
    let found: Vec<String> = differences(ours, theirs).into_iter().map(|d| d.path).collect();
    assert_eq!(found, [path]);
}

/// The programs that know packages find nothing wrong inside the tree.
fn dpkg_and_apt_are_content(tree: &Path, tools: &Path) {
    let apt = "apt-get -o Dir=/target -o Dir::Etc=/tmp/etc -o Dir::State=/tmp/state -o Dir::State::status=/target/var/lib/dpkg/status -o Dir::Cache=/tmp/cache -o Debug::NoLocking=1 check 2>&1";
    let commands = ["dpkg --root=/target --verify", "dpkg --root=/target --audit", apt];
    let said = ["", "", "Reading package lists...\nBuilding dependency tree...\n"];
    for (command, said) in commands.into_iter().zip(said) {
        let script = format!(
            "mkdir -p /tmp/state/lists/partial /tmp/cache /tmp/etc/sources.list.d /tmp/etc/preferences.d; touch /tmp/etc/sources.list; {command}"
        );
        let sandbox = Sandbox::new(Root::ReadOnly(tools.to_owned()), 0)
            .bind(tree, "/target")
            .program(["sh", "-c", &script], &[], false);
        let outcome = sandbox.execute().unwrap_or_else(|error| panic!("{error}")).remove(0);
        assert_eq!((outcome.code, outcome.output.as_str()), (0, said), "{command}");
    }
}

/// A listing of a real tree sees every kind of change on the disk.
#[test]
fn a_listing_sees_every_kind_of_change() {
    imagebuild::sandbox::use_helper(project::PROGRAM);
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let tree = scratch.path().join("tree");
    let at = |name: &str| tree.join(name);
    let make = || {
        imagebuild::sandbox::remove_tree(&tree).unwrap();
        std::fs::create_dir_all(at("folder")).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(at(name), name).unwrap();
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(0o644)).unwrap();
        }
        std::fs::hard_link(at("b"), at("b2")).unwrap();
        std::os::unix::fs::symlink("a", at("link")).unwrap();
    };
    let list = || {
        let into = scratch.path().join("listing.json");
        let op = Op::List { tree: tree.clone(), into: into.clone() };
        Sandbox::new(Root::Host, 0).op(op).execute().unwrap();
        listing_from_json(&into).unwrap()
    };
    make();
    let before = list();
    let relink = |from: &str, to: &str| {
        std::fs::remove_file(at(to)).unwrap();
        std::os::unix::fs::symlink(from, at(to)).unwrap();
    };
    type Change<'a> = (&'a str, &'a dyn Fn());
    let changes: [Change<'_>; 9] = [
        ("a", &|| std::fs::write(at("a"), "x").unwrap()),
        ("a", &|| std::fs::set_permissions(at("a"), PermissionsExt::from_mode(0o4755)).unwrap()),
        ("c", &|| xattr::set(at("c"), "user.planted", b"1").unwrap()),
        ("link", &|| relink("b", "link")),
        ("c", &|| relink("a", "c")),
        ("b2", &|| {
            std::fs::remove_file(at("b2")).unwrap();
            std::fs::copy(at("b"), at("b2")).map(drop).unwrap();
        }),
        ("folder", &|| std::fs::remove_dir(at("folder")).unwrap()),
        ("extra", &|| std::fs::write(at("extra"), "").unwrap()),
        ("folder/.x", &|| std::fs::create_dir(at("folder/.x")).unwrap()),
    ];
    for (path, change) in changes {
        make();
        assert_eq!(list(), before);
        change();
        assert_only_at(&list(), &before, path);
    }
    // In a sandbox, where an ordinary user has other ids, too.
    make();
    Tools::build().run(&tree, &["chown", "-h", "1", "{}/link"]);
    assert_only_at(&list(), &before, "link");
}

/// The exceptions are a golden: none comes without being seen.
#[test]
fn the_exceptions_are_these() {
    let mut text = String::new();
    for exception in EXCEPTIONS {
        let action = match exception.action {
            Action::Remove => "remove".to_owned(),
            Action::Empty => "empty".to_owned(),
            Action::SortParagraphs => "sort paragraphs".to_owned(),
            Action::SortLines => "sort lines".to_owned(),
            Action::SortAccounts(shadow) => format!("sort accounts, with /{shadow}"),
        };
        writeln!(text, "/{}: {action}: {}", exception.path, exception.reason).unwrap();
    }
    let golden = project::folder().join("tests/goldens/exceptions.txt");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&golden).unwrap_or_default());
}
