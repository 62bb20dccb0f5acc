//! Who made each package and under which licences, as the packages themselves say:
//! what a bill of materials wants and a lock does not hold.

use crate::error::{Error, Result};
use crate::fs;
use crate::image::sbom::Facts;
use crate::lock::control::Paragraphs;
use crate::plan::step::PackageRef;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Writes `inventory.json`: facts by package, from dpkg's status and the machine-readable
/// copyright files (DEP 5) of the packages tree.
pub(super) fn write(tree: &Path, packages: &[PackageRef], temporary: &Path) -> Result<()> {
    let mut all = suppliers(&fs::in_tree(tree, "var/lib/dpkg/status")?)?;
    all.retain(|name, _| packages.iter().any(|package| package.name == *name));
    for package in packages {
        let facts = all.entry(package.name.clone()).or_default();
        facts.licences = licences(tree, &package.name);
    }
    let json = serde_json::to_vec(&all).map_err(|e| Error::build(e.to_string()))?;
    fs::write_atomically(&temporary.join("inventory.json"), &json)
}

fn suppliers(status: &Path) -> Result<BTreeMap<String, Facts>> {
    let text = fs::read(status)?;
    let text = String::from_utf8_lossy(&text);
    let mut all = BTreeMap::new();
    for paragraph in Paragraphs::new(status, &text) {
        let paragraph = paragraph?;
        let value = |name| paragraph.get(name).map(|value| value.trim().to_owned());
        let Some(name) = value("Package") else { continue };
        let (supplier, homepage) = (value("Maintainer"), value("Homepage"));
        let summary = value("Description").and_then(|d| d.lines().next().map(str::to_owned));
        all.insert(name, Facts { supplier, homepage, summary, licences: Vec::new() });
    }
    Ok(all)
}

/// The licences' short names in a package's copyright file, sorted; none where that is
/// prose, as many still are.
fn licences(tree: &Path, package: &str) -> Vec<String> {
    // The folder may be a link to another package's.
    let inside = fs::in_tree(tree, &format!("usr/share/doc/{package}/copyright"));
    let text = inside.ok().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    short_names(&String::from_utf8_lossy(&text))
}

fn short_names(text: &str) -> Vec<String> {
    let machine_readable =
        |line: &str| line.starts_with("Format:") && line.contains("copyright-format");
    if !text.lines().take(5).any(machine_readable) {
        return Vec::new();
    }
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("License:"))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_those_of_machine_readable_files() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: x\n\nFiles: *\nLicense: GPL-2+\n Long text.\n License: not this\n\nFiles: b\nLicense:  Expat \n\nLicense: GPL-2+\n";
        assert_eq!(short_names(text), ["Expat", "GPL-2+"]);
        assert_eq!(short_names("License: GPL-2+\n"), [""; 0]);
    }
}
