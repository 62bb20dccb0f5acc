//! What apt does, in small: each case is one of its rules.

use super::*;
use crate::lock::packages::Index;
use std::path::PathBuf;

/// "name version; Field: value; ..." a line.
fn index(archive: &str, lines: &str) -> Index {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let digest = crate::fs::Sha256Digest::of(line);
        text += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {digest}\n"
        );
        text += &parts.map(|field| format!("{field}\n")).collect::<String>();
        text += "\n";
    }
    Index::parse(PathBuf::from("Packages"), archive, text).unwrap()
}

fn names(lines: &str, requests: &[&str]) -> Result<Vec<String>, String> {
    let indexes = [index("debian", lines)];
    let requests: Vec<String> = requests.iter().map(|name| (*name).to_owned()).collect();
    let resolved = resolve(&Universe::new(&indexes), &requests);
    let resolved = resolved.map_err(|no| no.error.to_string())?;
    Ok(resolved.into_iter().map(|one| one.package.name.clone()).collect())
}

#[test]
fn follows_dependencies_with_versions() {
    let lines = "a 1; Depends: b (>= 2), c\n b 2; Pre-Depends: d\n c 1\n d 1; Depends: a\n e 1";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "b", "c", "d"]);
}

#[test]
fn the_highest_version_of_all_suites_wins() {
    let indexes = [index("debian", "a 1; Depends: b"), index("debian-security", "a 2")];
    let resolved = resolve(&Universe::new(&indexes), &["a".to_owned()]).unwrap();
    assert_eq!(resolved.len(), 1);
    assert_eq!(resolved[0].package.archive, "debian-security");
}

#[test]
fn an_alternative_that_is_requested_satisfies() {
    let lines = "a 1; Depends: x | y\n x 1\n y 1";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "x"]);
    assert_eq!(names(lines, &["a", "y"]).unwrap(), ["a", "y"]);
}

#[test]
fn an_alternative_that_cannot_be_installed_is_passed_over() {
    let lines = "a 1; Depends: x | y\n x 1; Depends: none\n y 1";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "y"]);
}

#[test]
fn the_real_package_is_before_its_providers() {
    let lines = "a 1; Depends: v\n p 1; Provides: v; Priority: required\n v 1; Priority: extra";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "v"]);
}

#[test]
fn providers_rank_by_priority_then_by_their_number() {
    let lines = "a 1; Depends: v\n p 1; Provides: v; Priority: optional\n q 1; Provides: v; Priority: standard\n r 1; Provides: v; Priority: optional";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "q"]);
    let equal = "a 1; Depends: v\n p 1; Provides: v\n q 1; Provides: v";
    assert_eq!(names(equal, &["a"]).unwrap(), ["a", "q"]);
}

#[test]
fn a_version_is_only_satisfied_by_a_provision_with_one() {
    let lines = "a 1; Depends: v (>= 2)\n p 1; Provides: v\n q 1; Provides: v (= 2)";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "q"]);
}

#[test]
fn any_needs_a_package_that_allows_it() {
    let lines = "a 1; Depends: x:any | y\n x 1\n y 1";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "y"]);
    let lines = "a 1; Depends: x:any | y\n x 1; Multi-Arch: allowed\n y 1";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a", "x"]);
}

#[test]
fn an_unknown_package_is_answered_with_near_names() {
    assert_eq!(
        names("nginx 1", &["ngimx"]).unwrap_err(),
        "error: there is no package `ngimx`\nhint: did you mean `nginx`?"
    );
    assert_eq!(
        names("p 1; Provides: v\n q 1; Provides: v", &["v"]).unwrap_err(),
        "error: `v` is a virtual package\nhint: name one that provides it: p, q"
    );
}

const HINT: &str = "\nhint: change the packages in the spec, or wait until the archive is consistent again and run `imagebuild lock`";

#[test]
fn an_unsatisfiable_dependency_shows_its_chain() {
    let lines = "a 1; Depends: b\n b 1; Depends: c (>= 2) | d\n c 1";
    assert_eq!(
        names(lines, &["a"]).unwrap_err(),
        format!(
            "error: the package `a` cannot be installed\n  a 1 depends on b\n  b 1 depends on c (>= 2) | d\n  c is there in version 1\n  d is in no index and nothing provides it{HINT}"
        )
    );
}

#[test]
fn a_conflict_names_both_sides() {
    let lines = "a 1; Depends: b\n b 1; Conflicts: x\n x 1";
    assert_eq!(
        names(lines, &["a", "x"]).unwrap_err(),
        format!(
            "error: the package `a` cannot be installed\n  a 1 depends on b\n  b 1 conflicts with x\n  and x 1 is needed as well{HINT}"
        )
    );
    let both = "a 1; Breaks: x (<< 2)\n x 1";
    assert_eq!(
        names(both, &["a", "x"]).unwrap_err(),
        format!(
            "error: the package `a` cannot be installed\n  a 1 breaks x (<< 2)\n  and x 1 is needed as well{HINT}"
        )
    );
}

#[test]
fn a_package_does_not_conflict_with_itself() {
    let lines = "a 1; Provides: mta; Conflicts: mta";
    assert_eq!(names(lines, &["a"]).unwrap(), ["a"]);
}

#[test]
fn edges_name_what_satisfies() {
    let indexes = [index("debian", "a 1; Depends: v, a, x | y\n p 1; Provides: v\n x 1")];
    let resolved = resolve(&Universe::new(&indexes), &["a".to_owned()]).unwrap();
    assert_eq!(resolved[0].depends, ["p", "x"]);
}
