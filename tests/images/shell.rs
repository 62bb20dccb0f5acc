//! All shell that ships, and that of the gate, judged by shellcheck: the scripts of every
//! server as its configuration layer has them, with the files that they read; the
//! initramfs; what stands before programs of maintainer scripts; the examples.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::tools::{Tools, WORK};
use imagebuild::plan::render::{self, ConfigFile, Content};
use imagebuild::spec::{Architecture, Server, Spec};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is accepted: the end of the file's name, the finding, and the reason.
const ACCEPTED: [(&str, &str, &str); 11] = [
    ("", "SC2015", "`A && B || C` is written only where C must also run when B fails"),
    ("", "SC2174", "`mkdir -m M -p`: the mode is meant for the last folder alone"),
    ("", "SC3013", "`-ef` is not POSIX, but dash and busybox have it"),
    ("/os-release", "SC2034", "it is Debian's, and one name of it is wanted"),
    ("/imagebuild-move-in", "SC2016", "the backticks are MariaDB's, in a pattern of sed"),
    ("/init", "SC1091", "boot.conf is in the layer that it mounts before"),
    ("/init", "SC2046", "each line is a module's name"),
    ("/init", "SC2086", "a list of devices, or of options of find, is split on purpose"),
    ("/.ci/run", "SC2317", "a trap calls the function at the end"),
    ("/session.sh", "SC2012", "where the links of /proc lead is asked, which find does not say"),
    ("/phpenmod", "SC2086", "the line is split on purpose, without patterns"),
];

/// Interpreters of scripts that are no shell.
const NO_SHELL: [&str; 2] = ["/usr/bin/perl", "/usr/sbin/nft"];

/// A script, by its path on the server or in the project.
struct Script {
    path: String,
    text: Vec<u8>,
}

/// Whether this text is a shell script; fails for an interpreter that nobody knows.
fn is_shell(path: &str, text: &[u8]) -> bool {
    let first = String::from_utf8_lossy(text.split(|byte| *byte == b'\n').next().unwrap());
    let Some(interpreter) = first.strip_prefix("#!") else { return path.ends_with(".sh") };
    let words: Vec<&str> = interpreter.split_whitespace().collect();
    let shell = matches!(
        words[..],
        ["/bin/sh" | "/bin/bash", ..] | ["/bin/busybox", "sh", ..] | ["/usr/bin/env", "bash"]
    );
    assert!(shell || NO_SHELL.contains(&words[0]), "{path}: what is {interpreter}?");
    shell
}

/// What shellcheck says of scripts, where the files of `configuration` are those that they
/// read: lines `path:line:column: level: text [SCnnnn]`.
fn findings(scripts: &[Script], configuration: &[ConfigFile]) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let put = |below: &str, path: &str, text: &[u8]| {
        let file = scratch.path().join(below).join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    std::fs::create_dir_all(scratch.path().join("usr/lib/imagebuild")).unwrap();
    for file in configuration {
        if let (Content::Bytes(text), true) = (&file.content, file.path.starts_with(READ)) {
            put("", &file.path, text);
        }
    }
    scripts.iter().for_each(|script| put("work", &script.path, &script.text));
    let paths = scripts.iter().map(|s| format!("{WORK}/{}", s.path.trim_start_matches('/')));
    let argv = ["shellcheck", "-f", "gcc", "-x", "-a"].map(str::to_owned).into_iter().chain(paths);
    let outcomes = Tools::test()
        .sandbox(&scratch.path().join("work"))
        .bind(scratch.path().join("usr/lib/imagebuild"), READ)
        .program(argv, &[], false)
        .execute();
    let outcome = outcomes.unwrap_or_else(|error| panic!("{error}")).remove(0);
    assert!(outcome.code < 2, "{}", outcome.output);
    outcome.output.lines().map(str::to_owned).collect()
}

/// Where scripts read files from.
const READ: &str = "/usr/lib/imagebuild";

/// The shell scripts of a server that were not `seen` on another.
fn of_server(files: &[ConfigFile], seen: &mut BTreeSet<(String, Vec<u8>)>) -> Vec<Script> {
    let bytes = |file: &ConfigFile| match &file.content {
        Content::Bytes(text) => Some((file.path.clone(), text.clone())),
        Content::Symlink(_) | Content::Directory | Content::Agent => None,
    };
    let shell = files.iter().filter_map(bytes).filter(|(path, text)| is_shell(path, text));
    shell
        .filter(|script| seen.insert(script.clone()))
        .map(|(path, text)| Script { path, text })
        .collect()
}

/// Those that no server's configuration has.
fn of_project() -> Vec<Script> {
    let root = project::folder();
    let folders = [
        ".ci",
        "examples",
        "overlays/initramfs",
        "src/flash",
        "src/rootfs/shims",
        "src/status",
        "src/verify",
    ];
    let files = folders.iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder)));
    let files = files.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let path = |entry: &walkdir::DirEntry| -> PathBuf {
        entry.path().strip_prefix(root).unwrap().to_owned()
    };
    let script = |entry: walkdir::DirEntry| Script {
        path: path(&entry).to_str().unwrap().to_owned(),
        text: std::fs::read(entry.path()).unwrap(),
    };
    files.map(script).filter(|script| is_shell(&script.path, &script.text)).collect()
}

/// The finding's file and code.
fn parts(finding: &str) -> (&str, &str) {
    let path = finding.split(':').next().unwrap();
    let code = finding.rsplit_once('[').map_or("", |(_, code)| code.trim_end_matches(']'));
    (path, code)
}

fn servers(spec: &Spec) -> Vec<(&Architecture, &Server)> {
    let architectures = spec.architectures.values();
    architectures.flat_map(|one| one.servers.values().map(move |server| (one, server))).collect()
}

#[test]
fn shellcheck_finds_nothing() {
    let spec = Spec::read(project::folder()).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = BTreeSet::new();
    let mut all = findings(&of_project(), &[]);
    for (architecture, server) in servers(&spec) {
        let files = render::config_files(&spec, architecture, server);
        let files = files.unwrap_or_else(|error| panic!("{error}"));
        let scripts = of_server(&files, &mut seen);
        if !scripts.is_empty() {
            all.extend(findings(&scripts, &files));
        }
    }
    assert!(seen.len() > 25, "only {} scripts of servers", seen.len());
    let accepts = |finding: &str, (end, code, _): &(&str, &str, &str)| {
        let (path, found) = parts(finding);
        path.ends_with(end) && found == *code
    };
    let is_new = |finding: &&String| !ACCEPTED.iter().any(|entry| accepts(finding, entry));
    let wrong: Vec<&str> = all.iter().filter(is_new).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let is_idle = |entry: &&(&str, &str, &str)| !all.iter().any(|finding| accepts(finding, entry));
    let idle: Vec<&(&str, &str, &str)> = ACCEPTED.iter().filter(is_idle).collect();
    assert!(idle.is_empty(), "accepted, and not found any more: {idle:?}");
}

#[test]
fn a_planted_mistake_is_found() {
    let script = |text: &str| [Script { path: "/x".to_owned(), text: text.into() }];
    let good = "#!/bin/sh\n. /usr/lib/imagebuild/x.conf\necho \"$NAME\"\n";
    let config = |text: &str| {
        let file = |path: &str| ConfigFile {
            path: path.to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            content: Content::Bytes(text.into()),
            source: String::new(),
        };
        [file("/usr/lib/imagebuild/x.conf")]
    };
    assert_eq!(findings(&script(good), &config("NAME=web1\n")), [""; 0]);
    // An array is bash's; what is read must assign what is used.
    let bad = findings(&script("#!/bin/sh\nall=(a b)\necho $all\n"), &[]);
    assert_eq!(parts(&bad[0]), ("/work/x", "SC3030"), "{bad:?}");
    assert!(!findings(&script(good), &[]).is_empty());
    assert!(!findings(&script(good), &config("NAEM=web1\n")).is_empty());
}

#[test]
#[should_panic(expected = "what is /usr/bin/tclsh?")]
fn an_unknown_interpreter_is_told() {
    is_shell("x", b"#!/usr/bin/tclsh\n");
}
