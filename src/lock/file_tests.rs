//! A lock reads back as written; what is wrong in one is shown in its place.

use super::*;
use crate::lock::mirror::{DEBIAN, SECURITY};
use proptest::prelude::*;

fn sample() -> Lock {
    let package = |name: &str, archive: &str, depends: &[&str]| LockedPackage {
        name: name.to_owned(),
        version: Version::parse("1:2.0-1+deb13u1").unwrap(),
        architecture: "amd64".to_owned(),
        archive: archive.to_owned(),
        path: format!("pool/main/{name}_2.0-1+deb13u1_amd64.deb"),
        sha256: Sha256Digest::of(name),
        size: 12,
        depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        last_seen: Some(1_789_199_741).filter(|_| name == "b"),
    };
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let set = Set { requests: strings(&[ESSENTIAL, "a"]), packages: strings(&["a", "b"]) };
    Lock {
        epoch: 1_789_000_000,
        suites: vec![Suite {
            archive: DEBIAN.to_owned(),
            suite: "trixie".to_owned(),
            inrelease: Sha256Digest::of("x"),
            date: 1_789_199_741,
        }],
        packages: [package("a", DEBIAN, &["b"]), package("b", SECURITY, &[])]
            .map(|package| (package.name.clone(), package))
            .into(),
        sets: [("arch4/web1".to_owned(), set)].into(),
        ids: Ids { users: [("m".to_owned(), 500)].into(), groups: [("m".to_owned(), 500)].into() },
    }
}

fn parse(text: &str) -> Result<Lock> {
    Lock::parse(Path::new("imagebuild.lock"), text)
}

#[test]
fn reads_back_as_written() {
    let lock = sample();
    let text = lock.to_text();
    assert_eq!(parse(&text).unwrap(), lock);
    assert_eq!(parse(&text).unwrap().to_text(), text);
    assert!(text.contains("\n[sets]\n\"arch4/web1\" = [\n    \"a\",\n    \"b\",\n]\n"), "{text}");
}

#[test]
fn knows_when_it_is_stale() {
    let lock = sample();
    let mut requests = Requests::default();
    requests.sets.insert("arch4/web1".to_owned(), vec![ESSENTIAL.to_owned(), "a".to_owned()]);
    requests.users.insert("m".to_owned());
    assert!(lock.matches(&requests));
    let mut other = requests.clone();
    other.users.insert("n".to_owned());
    assert!(!lock.matches(&other));
    requests.sets.entry("arch4/web1".to_owned()).or_default().push("c".to_owned());
    assert!(!lock.matches(&requests));
}

#[test]
fn says_what_is_wrong_and_where() {
    let text = sample().to_text();
    let cases = [
        ("version = 1\n", "version = 9\n", "the lock has format 9, this imagebuild reads 1"),
        ("archive = \"debian\"", "archive = \"X\"", "`X` is not an archive's id"),
        ("path = \"pool", "path = \"../pool", "this path leaves the archive"),
        ("name = \"b\"", "name = \"a\"", "the package `b` is not in the lock"),
        (
            "version = \"1:2.0",
            "version = \"x:2.0",
            "`x:2.0-1+deb13u1` is not a Debian version: the epoch before `:` is not a number",
        ),
        ("architecture = \"amd64\"", "architecture = \"i386\"", "only amd64 and all are built for"),
        ("m\" = 500", "m\" = 501", "the user `m` has no group of its name and number"),
        (
            "    \"a\",\n    \"b\",",
            "    \"b\",\n    \"a\",",
            "`a` is not in its place in the sorted list",
        ),
        ("T07:55:41Z", "", "invalid date, expected for example 2026-11-21T02:10:46Z"),
        (
            "size = 12",
            "size = -1",
            "the lock cannot be read: invalid value: integer `-1`, expected u64",
        ),
        (
            "size = 12",
            "sise = 12",
            "the lock cannot be read: unknown field `sise`, expected one of `name`, `version`, `architecture`, `archive`, `path`, `sha256`, `size`, `last-seen`, `depends`",
        ),
        (
            "[requests]\n\"arch4/web1\"",
            "[requests]\n\"web2\"",
            "the set `arch4/web1` has no line in [requests]",
        ),
    ];
    for (from, to, why) in cases {
        assert!(text.contains(from), "{from}");
        let error = parse(&text.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.message(), why);
        let shown = error.to_string();
        assert!(shown.contains("--> imagebuild.lock:"), "{shown}");
        assert!(shown.ends_with("\nhint: take a whole one from version control, or remove it: `imagebuild lock` then makes a new one, with the newest packages"), "{shown}");
    }
    let error = parse(&text.replace("m\" = 500", "m\" = 5")).unwrap_err();
    assert_eq!(error.message(), "5 is not in 500 to 899");
    let error = parse("version = 9\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "error: the lock has format 9, this imagebuild reads 1\n --> imagebuild.lock:1:11\n  |\n1 | version = 9\n  |           ^\nhint: take a whole one from version control, or remove it: `imagebuild lock` then makes a new one, with the newest packages"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}", at in 0usize..900, with in ".{0,3}") {
        drop(parse(&text));
        let mut changed: Vec<char> = sample().to_text().chars().collect();
        let at = at.min(changed.len());
        changed.splice(at..at, with.chars());
        drop(parse(&changed.into_iter().collect::<String>()));
    }

    #[test]
    fn any_name_reads_back(name in ".{0,12}") {
        let mut lock = sample();
        let set = lock.sets.remove("arch4/web1").unwrap();
        lock.sets.insert(name, set);
        prop_assert_eq!(parse(&lock.to_text()).unwrap(), lock);
    }
}
