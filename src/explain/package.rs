//! Why a package is in an image: the chain of dependencies from a role to it.

use crate::error::{Error, Result};
use crate::lock::{ESSENTIAL, Lock, LockedPackage};
use crate::names;
use crate::plan::server::set_name;
use crate::spec::{Architecture, Server, Spec};
use std::path::Path;

/// The file with the site's own wishes.
const SITE: &str = "site.toml";

/// The chain as a text for people.
///
/// # Errors
/// When the image does not hold the package, with the nearest names.
pub fn to_text(
    spec: &Spec,
    lock: &Lock,
    architecture: &Architecture,
    server: &Server,
    package: &str,
) -> Result<String> {
    let set = set_name(architecture, server);
    let image = &server.image_id;
    let way = lock.why(&set, package);
    let way = way.ok_or_else(|| missing(lock, architecture, server, package))?;
    let version = |name: &str| lock.packages.get(name).map_or("", |found| found.version.as_str());
    let mut text = format!("{package} {} is in {image}:\n", version(package));
    match way.first().map(String::as_str) {
        Some(ESSENTIAL) => text += "  it is essential, or an essential package needs it\n",
        Some(first) => {
            for role in
                spec.roles_of(server).filter(|role| role.packages.iter().any(|p| p == first))
            {
                // A role's own packages, or those that the site adds to it.
                let of_site = spec.asked.get(first).filter(|place| place.file == Path::new(SITE));
                text += &match of_site {
                    Some(place) => {
                        let (site, line, role) = (SITE, place.line, &role.name);
                        format!("  {site}:{line} asks for {first}, for the role {role}\n")
                    }
                    None => format!("  roles/{}.toml asks for {first}\n", role.name),
                };
            }
            if server.packages.iter().any(|own| own == first) {
                let place = spec.asked.get(first);
                text += &match place {
                    Some(place) => {
                        format!("  {}:{} asks for {first}\n", place.file.display(), place.line)
                    }
                    None => format!("  site.toml asks for {first}\n"),
                };
            }
        }
        None => {}
    }
    for pair in way.windows(2).filter(|pair| pair[0] != ESSENTIAL) {
        text += &format!("  {} {} depends on {}\n", pair[0], version(&pair[0]), pair[1]);
    }
    let inside = lock.set(&set).unwrap_or_default();
    let needs = |other: &&&LockedPackage| other.depends.iter().any(|name| name == package);
    let all: Vec<&str> = inside.iter().filter(needs).map(|other| other.name.as_str()).collect();
    if all.len() > 1 {
        text += &format!("all that depend on it: {}\n", all.join(", "));
    }
    Ok(text)
}

fn missing(lock: &Lock, architecture: &Architecture, server: &Server, package: &str) -> Error {
    let (image, arch, role) = (&server.image_id, &architecture.name, &server.name);
    let set = lock.sets.get(&set_name(architecture, server));
    let known = set.map_or(&[][..], |set| &set.packages);
    let error = Error::input(format!("the image {image} does not hold the package {package}"));
    match names::nearest(package, known.iter().map(String::as_str)).first() {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("`imagebuild plan {arch} --server {role} --json` lists all")),
    }
}
