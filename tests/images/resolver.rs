//! The resolver chooses what apt chooses: for every set of the lock, the same names
//! and versions as `apt-get install --no-install-recommends` of the tools closure, on
//! an empty system and the same indexes.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project::{Project, Scratch};
use imagebuild::lock::file::{ESSENTIAL, Lock, Requests, Set};
use imagebuild::lock::version::Version;
use imagebuild::lock::{
    Archives, Fetcher, Mirrors, Patience, Policy, TrustAnchors, builtin, resolve,
};
use imagebuild::sandbox::{Root, Sandbox};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

const APT_CONF: &str = r#"Dir "/apt";
Dir::Bin::methods "/usr/lib/apt/methods";
Dir::State "/tmp/state";
Dir::State::status "/apt/status";
Dir::Cache "/tmp/cache";
APT::Architecture "amd64";
APT::Install-Recommends "false";
APT::Solver "internal";
APT::Sandbox::User "root";
Acquire::Languages "none";
"#;

type Versions = BTreeMap<String, String>;

#[test]
#[ignore = "reads the whole archive with apt, too: 1 min"]
fn chooses_what_apt_chooses() {
    let project = Project::open();
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let archives = load(scratch.path());
    let requests = requests(&project.lock);
    let (lock, _) = resolve(&archives, &requests, None, &Policy::Keep).unwrap();
    let apt = scratch.path().join("apt");
    write_configuration(&apt, &scratch.path().join("indexes"));
    let essential = archives.essential().unwrap();
    let theirs = apts_choices(&project.reference_tools(), &apt, &lock.sets, &essential);
    let mut report = String::new();
    for (set, theirs) in &theirs {
        let packages = lock.set(set).unwrap();
        let ours: Versions =
            packages.iter().map(|p| (p.name.clone(), p.version.to_string())).collect();
        assert!(theirs.len() > 5, "apt chose next to nothing for {set}");
        report += &differences(set, &ours, theirs);
    }
    assert_eq!(theirs.len(), project.lock.sets.len());
    assert!(report.is_empty(), "{report}");
}

fn version() -> impl Strategy<Value = Version> {
    "([0-3]:)?[0-9a-b~+.]{1,6}(-[0-9a~+.]{1,3})?".prop_map(|text| Version::parse(&text).unwrap())
}

/// Versions are compared as dpkg compares them; with the wrong relation it says no.
#[test]
fn dpkg_orders_versions_alike() {
    let strategy = proptest::collection::vec((version(), version()), 200);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let pairs = strategy.new_tree(&mut runner).unwrap().current();
    let mut sandbox = crate::tools::Tools::build().empty_sandbox();
    let mut wanted = Vec::new();
    for (a, b) in &pairs {
        let (relation, wrong) = match a.cmp(b) {
            Ordering::Less => ("lt", "ge"),
            Ordering::Equal => ("eq", "ne"),
            Ordering::Greater => ("gt", "le"),
        };
        for (relation, code) in [(relation, 0), (wrong, 1)] {
            let argv = ["dpkg", "--compare-versions", a.as_str(), relation, b.as_str()];
            sandbox = sandbox.program(argv, &[], false);
            wanted.push((a.as_str(), relation, b.as_str(), code));
        }
    }
    for (outcome, wanted) in sandbox.execute().unwrap().iter().zip(wanted) {
        assert_eq!(outcome.code, wanted.3, "{wanted:?}: {}", outcome.output);
    }
}

/// A missing package, one too many and another version are each reported.
#[test]
fn planted_differences_are_seen() {
    let versions = |pairs: &[(&str, &str)]| -> Versions {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    let right = versions(&[("a", "1"), ("b", "2")]);
    assert_eq!(differences("s", &right, &right), "");
    assert_eq!(
        differences("s", &versions(&[("a", "1")]), &right),
        "s: b is not chosen by imagebuild, 2 by apt\n"
    );
    assert_eq!(
        differences("s", &right, &versions(&[("b", "3")])),
        "s: a is 1 by imagebuild, not chosen by apt\ns: b is 2 by imagebuild, 3 by apt\n"
    );
}

/// The archives as they are now, their indexes alone in `folder/indexes`.
fn load(folder: &Path) -> Archives {
    let mirrors = Mirrors::choose(None, None, Path::new("/")).unwrap();
    let fetcher = Fetcher::new(
        Patience::default(),
        imagebuild::lock::proxy::Proxies::of_host(Path::new("/")),
    );
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let anchors = TrustAnchors::debian().unwrap();
    Archives::load(folder, &mirrors, &fetcher, &anchors, since.as_secs())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What the lock of the project answers, to be answered anew.
fn requests(lock: &Lock) -> Requests {
    let sets = lock.sets.iter();
    let names = |map: &BTreeMap<String, u32>| map.keys().cloned().collect();
    Requests {
        sets: sets.map(|(name, set)| (name.clone(), set.requests.clone())).collect(),
        users: names(&lock.ids.users),
        groups: names(&lock.ids.groups),
    }
}

/// A repository for each index, and one for what is built in.
fn write_configuration(apt: &Path, indexes: &Path) {
    for folder in ["apt.conf.d", "preferences.d", "trusted.gpg.d", "sources.list.d"] {
        std::fs::create_dir_all(apt.join("etc/apt").join(folder)).unwrap();
    }
    std::fs::write(apt.join("apt.conf"), APT_CONF).unwrap();
    std::fs::write(apt.join("status"), "").unwrap();
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(indexes).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        let mut text = Vec::new();
        liblzma::read::XzDecoder::new(file).read_to_end(&mut text).unwrap();
        texts.push(text);
    }
    for name in [builtin::INITRAMFS, builtin::COMPILER] {
        let built_in = String::from_utf8(builtin::deb(name).unwrap()).unwrap();
        let control = built_in.find("Package: ").unwrap();
        let control = built_in[control..].split('\0').next().unwrap();
        texts.push(format!("{}\nFilename: ./x.deb\nSize: 1\n", control.trim()).into_bytes());
    }
    let mut sources = String::new();
    for (number, text) in texts.iter().enumerate() {
        let folder = apt.join(format!("repository/{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Packages"), text).unwrap();
        sources += &format!("deb [trusted=yes] file:/apt/repository/{number} ./\n");
    }
    std::fs::write(apt.join("etc/apt/sources.list"), sources).unwrap();
}

fn apts_choices(
    tools: &Path,
    apt: &Path,
    sets: &BTreeMap<String, Set>,
    essential: &[String],
) -> BTreeMap<String, Versions> {
    let conf = [("APT_CONFIG", "/apt/apt.conf")];
    let prepare =
        "mkdir -p /tmp/state/lists/partial /tmp/cache/archives/partial; apt-get -q update";
    let mut sandbox = Sandbox::new(Root::ReadOnly(tools.to_owned()), 0).bind(apt, "/apt").program(
        ["sh", "-e", "-c", prepare],
        &conf,
        true,
    );
    for set in sets.values() {
        let mut names: Vec<&str> = Vec::new();
        for request in &set.requests {
            match request.as_str() {
                ESSENTIAL => names.extend(essential.iter().map(String::as_str)),
                name => names.push(name),
            }
        }
        let argv = ["apt-get", "-q", "-s", "install"].into_iter().chain(names);
        sandbox = sandbox.program(argv, &conf, true);
    }
    let outcomes = sandbox.execute().unwrap_or_else(|error| panic!("{error}"));
    sets.keys().zip(&outcomes[1..]).map(|(set, o)| (set.clone(), installed(&o.output))).collect()
}

/// The lines `Inst name (version …)` of a simulation.
fn installed(output: &str) -> Versions {
    let lines = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .map(|line| {
            let (name, rest) = line.split_once(" (").unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
        })
        .collect()
}

fn differences(set: &str, ours: &Versions, theirs: &Versions) -> String {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut text = String::new();
    for name in names {
        let (our, their) = (ours.get(name), theirs.get(name));
        if our == their {
            continue;
        }
        let our = our.map_or("not chosen".to_owned(), Clone::clone);
        let their = their.map_or("not chosen", String::as_str);
        text += &format!("{set}: {name} is {our} by imagebuild, {their} by apt\n");
    }
    text
}
