//! The bill of materials beside an image, as CycloneDX 1.6 JSON.
//!
//! CycloneDX and not SPDX, because it takes Debian's licence names as they are and has
//! purl, digest and dependencies at its heart: what scanners of vulnerabilities read.
//! Nothing is drawn: the serial number follows from the image's identity, the time is
//! the lock's. <https://cyclonedx.org/docs/1.6/json/>

use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::lock::date;
use crate::plan::guid::Guid;
use crate::plan::step::PackageRef;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a package says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its maintainer.
    pub supplier: Option<String>,
    /// Its project's page.
    pub homepage: Option<String>,
    /// One line.
    pub summary: Option<String>,
    /// Short names of licences, as Debian writes them; empty where they are not known.
    pub licences: Vec<String>,
}

/// What a bill is made of.
#[derive(Debug, Clone, Copy)]
pub struct Materials<'a> {
    /// The packages that are installed.
    pub packages: &'a [PackageRef],
    /// Packages of the tools closure that parts of the boot chain are copied from.
    pub boot: &'a [PackageRef],
    /// Names that the server's roles ask for.
    pub requested: &'a [String],
    /// Those of the packages that are not Debian's.
    pub own: &'a [String],
    /// By package.
    pub facts: &'a BTreeMap<String, Facts>,
    /// Seconds since 1970: the time of the bill.
    pub epoch: u64,
}

/// The image's own reference in the graph of dependencies.
const IMAGE: &str = "image";

/// The bill as JSON: two spaces, stable order, a newline at the end.
///
/// # Errors
/// Never in practice: it holds nothing that JSON cannot.
pub fn to_json(manifest: &Manifest, materials: &Materials<'_>) -> Result<String> {
    let installed =
        |package: &&PackageRef| materials.packages.iter().any(|p| p.name == package.name);
    let boot: Vec<&PackageRef> = materials.boot.iter().filter(|p| !installed(p)).collect();
    let url = |package: &PackageRef| purl(package, materials.own);
    let known = |package: &PackageRef| {
        component(package, &url(package), materials.facts.get(&package.name), "installed")
    };
    let components: Vec<Value> = materials
        .packages
        .iter()
        .map(known)
        .chain(boot.iter().map(|package| component(package, &url(package), None, "boot")))
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", Guid::of_name(&format!("{}/sbom", manifest.identity))),
        "version": 1,
        "metadata": {
            "timestamp": date::rfc3339(materials.epoch),
            "tools": { "components": [{ "type": "application", "name": "imagebuild" }] },
            "component": image(manifest),
        },
        "components": components,
        "dependencies": dependencies(materials, &boot),
    });
    let text = serde_json::to_string_pretty(&bill).map_err(|e| Error::build(e.to_string()))?;
    Ok(text + "\n")
}

fn image(manifest: &Manifest) -> Value {
    let property = |name: &str, value: String| json!({ "name": name, "value": value });
    json!({
        "type": "operating-system",
        "bom-ref": IMAGE,
        "name": manifest.image,
        "version": manifest.version,
        "properties": [
            property("imagebuild:identity", manifest.identity.to_string()),
            property("imagebuild:kernel", manifest.kernel.clone()),
            property("imagebuild:lock", manifest.lock.to_string()),
        ],
    })
}

fn component(package: &PackageRef, purl: &str, facts: Option<&Facts>, part: &str) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "hashes": [{ "alg": "SHA-256", "content": package.sha256.to_string() }],
        "purl": purl,
        "properties": [{ "name": "imagebuild:part", "value": part }],
    });
    let Some(facts) = facts else { return value };
    if let Some(summary) = &facts.summary {
        value["description"] = json!(summary);
    }
    if let Some(supplier) = &facts.supplier {
        value["supplier"] = supplier_of(supplier);
    }
    if !facts.licences.is_empty() {
        let licence = |name: &String| json!({ "license": { "name": name } });
        value["licenses"] = facts.licences.iter().map(licence).collect();
    }
    // A page that is no URI would make the whole bill invalid.
    let page = facts.homepage.as_ref().filter(|page| is_plain_url(page));
    if let Some(page) = page {
        value["externalReferences"] = json!([{ "type": "website", "url": page }]);
    }
    value
}

/// "Name <address>", as in a control file.
fn supplier_of(maintainer: &str) -> Value {
    match maintainer.split_once(" <").map(|(name, rest)| (name, rest.trim_end_matches('>'))) {
        Some((name, address)) => json!({ "name": name, "contact": [{ "email": address }] }),
        None => json!({ "name": maintainer }),
    }
}

fn is_plain_url(page: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(c);
    (page.starts_with("https://") || page.starts_with("http://")) && page.chars().all(plain)
}

/// The package's URL: <https://github.com/package-url/purl-spec>, type deb; generic for
/// packages that Debian does not have.
fn purl(package: &PackageRef, own: &[String]) -> String {
    let version = encoded(&package.version);
    let name = encoded(&package.name);
    if own.contains(&package.name) {
        return format!("pkg:generic/{name}@{version}");
    }
    format!("pkg:deb/debian/{name}@{version}?arch={}&distro=debian-13", package.architecture)
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
            text + &char::from(byte).to_string()
        }
        other => text + &format!("%{other:02X}"),
    })
}

/// Who needs whom: the image its roles' packages, and whatever none of them leads to.
fn dependencies(materials: &Materials<'_>, boot: &[&PackageRef]) -> Vec<Value> {
    let all: Vec<&PackageRef> = materials.packages.iter().chain(boot.iter().copied()).collect();
    let by_name: BTreeMap<&str, &PackageRef> =
        all.iter().map(|package| (package.name.as_str(), *package)).collect();
    let reference = |name: &str| by_name.get(name).map(|package| purl(package, materials.own));
    let row = |from: String, to: BTreeSet<String>| json!({ "ref": from, "dependsOn": to });
    let roots = roots(materials.requested, &by_name);
    let first = row(IMAGE.to_owned(), roots.into_iter().filter_map(reference).collect());
    let others = all.iter().map(|package| {
        let needs = package.depends.iter().filter_map(|name| reference(name)).collect();
        row(purl(package, materials.own), needs)
    });
    std::iter::once(first).chain(others).collect()
}

/// What was asked for, then what nothing leads to, then one of each loop that is left:
/// together they lead to every package.
fn roots<'a>(requested: &'a [String], by_name: &BTreeMap<&'a str, &'a PackageRef>) -> Vec<&'a str> {
    let led_to: BTreeSet<&str> =
        by_name.values().flat_map(|package| &package.depends).map(String::as_str).collect();
    let wanted = requested.iter().map(String::as_str).filter(|name| by_name.contains_key(name));
    let wanted: Vec<&str> = wanted.collect();
    let unasked = by_name.keys().copied().filter(|name| !wanted.contains(name));
    let (inner, outer): (Vec<&str>, Vec<&str>) = unasked.partition(|name| led_to.contains(name));
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut roots = wanted.clone();
    wanted.into_iter().for_each(|name| reach(name, by_name, &mut reached));
    for name in outer.into_iter().chain(inner) {
        if !reached.contains(name) {
            roots.push(name);
            reach(name, by_name, &mut reached);
        }
    }
    roots
}

/// Adds `name` and all that it leads to.
fn reach<'a>(
    name: &'a str,
    by_name: &BTreeMap<&'a str, &'a PackageRef>,
    reached: &mut BTreeSet<&'a str>,
) {
    let mut queue = vec![name];
    while let Some(name) = queue.pop() {
        if reached.insert(name) {
            let next = by_name.get(name).into_iter().flat_map(|package| &package.depends);
            queue.extend(next.map(String::as_str));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Sha256Digest;

    fn package(name: &str, version: &str, depends: &[&str]) -> PackageRef {
        PackageRef {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            sha256: Sha256Digest::of(name),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn purls_are_encoded() {
        let package = package("libstdc++6", "1:14.2~rc+b1", &[]);
        let purl = super::purl(&package, &[]);
        assert_eq!(
            purl,
            "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2~rc%2Bb1?arch=amd64&distro=debian-13"
        );
        let own = super::purl(&package, &["libstdc++6".to_owned()]);
        assert_eq!(own, "pkg:generic/libstdc%2B%2B6@1%3A14.2~rc%2Bb1");
    }

    #[test]
    fn the_image_needs_what_was_asked_for_and_what_nothing_leads_to() {
        let all = [
            package("a", "1", &["b"]),
            package("b", "1", &["a"]),
            package("c", "1", &[]),
            package("d", "1", &["c"]),
            package("e", "1", &["f"]),
            package("f", "1", &["e"]),
        ];
        let by_name = all.iter().map(|package| (package.name.as_str(), package)).collect();
        assert_eq!(roots(&["b".into(), "@essential".into()], &by_name), ["b", "d", "e"]);
    }

    #[test]
    fn suppliers_are_split() {
        let full = supplier_of("A B <a@b.org>");
        assert_eq!(full, json!({ "name": "A B", "contact": [{ "email": "a@b.org" }] }));
        assert_eq!(supplier_of("x"), json!({ "name": "x" }));
        assert!(!is_plain_url("https://a b"));
    }
}
