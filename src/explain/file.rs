//! Where a file of an image comes from: an overlay, a template and the values it uses,
//! a key of the spec, or a package.

use crate::error::{Error, Result};
use crate::names;
use crate::plan::render::{self, ConfigFile, Content};
use crate::plan::server::COMPILER;
use crate::plan::server::Plan;
use crate::spec::{Architecture, Server, Spec};
use crate::store::Store;
use std::collections::BTreeSet;
use std::path::Path;

/// Characters of a value that are shown at most.
const MOST_CHARS: usize = 80;

/// The origin as a text for people.
///
/// # Errors
/// When a template is wrong, or nothing brings the file, with the nearest paths.
pub fn to_text(
    spec: &Spec,
    store: &Store,
    (architecture, server): (&Architecture, &Server),
    plan: &Plan,
    path: &str,
) -> Result<String> {
    let files = render::config_files(spec, architecture, server)?;
    let own = files.iter().find(|file| file.path == path);
    let tree = packages_tree(store, plan)?;
    let origin = match &tree {
        Some(tree) => in_packages(tree, path)?,
        None => None,
    };
    let image = &server.image_id;
    let mut text = match own {
        Some(file) => {
            format!("{path} of {image}\n") + &of_the_spec(spec, architecture, server, file)?
        }
        None => match (&origin, &tree) {
            (Some(origin), _) => format!("{path} of {image}\n  is {origin}\n"),
            (None, Some(_)) => return Err(unknown(image, path, &files)),
            (None, None) => return Err(not_built(architecture, server, path, &files)),
        },
    };
    if let (Some(_), Some(origin)) = (own, origin) {
        text += &format!("  lies over what is {origin}\n");
    }
    Ok(text)
}

fn of_the_spec(
    spec: &Spec,
    architecture: &Architecture,
    server: &Server,
    file: &ConfigFile,
) -> Result<String> {
    let source = &file.source;
    let folder = |overlay: &String| source.starts_with(&format!("overlays/{overlay}/"));
    let roles: Vec<&str> = spec
        .roles_of(server)
        .filter(|role| role.overlay.as_ref().is_some_and(folder))
        .map(|role| role.name.as_str())
        .collect();
    let mut text = match (&file.content, source.ends_with(".j2")) {
        (Content::Symlink(target), _) => format!("  is a link to {target}, from {source}\n"),
        (Content::Directory, _) => format!("  is a folder, from {source}\n"),
        (Content::Agent, _) => {
            format!("  is compiled from {source} by the compiler of the lock's set {COMPILER}\n")
        }
        (Content::Bytes(_), true) => format!("  is rendered from {source}\n"),
        (Content::Bytes(_), false) => format!("  is from {source}\n"),
    };
    if !roles.is_empty() {
        text += &format!("  role: {}\n", roles.join(", "));
    }
    text += &format!("  mode {:04o}, owner {}:{}\n", file.mode, file.uid, file.gid);
    if source.ends_with(".j2") {
        text += &used(&render::variables(spec, architecture, server, source)?);
    }
    Ok(text)
}

/// The variables of a template, each with its value for the server.
fn used(values: &[(String, String)]) -> String {
    let width = values.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(String, String)| format!("    {name:<width$}  {}\n", short(value));
    let lines: String = values.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("  it uses\n{lines}") }
}

fn short(value: &str) -> String {
    let start: String = value.chars().take(MOST_CHARS).collect();
    if start.len() < value.len() { start + "…" } else { start }
}

/// The packages tree, if it has been made.
fn packages_tree(store: &Store, plan: &Plan) -> Result<Option<std::path::PathBuf>> {
    Ok(store.find(plan.packages.key())?.map(|object| object.path("tree")))
}

/// Which package a path is of, by dpkg's lists; or that a script made it.
fn in_packages(tree: &Path, path: &str) -> Result<Option<String>> {
    let info = tree.join("var/lib/dpkg/info");
    let spellings = spellings(path);
    let entries = match std::fs::read_dir(&info) {
        Ok(entries) => Some(entries),
        // No package has been installed: only the spec brings files.
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        Err(cause) => return Err(Error::io("list", &info, &cause)),
    };
    let mut owners = BTreeSet::new();
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(package) = name.strip_suffix(".list") else { continue };
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if text.lines().any(|line| spellings.iter().any(|spelling| spelling == line)) {
            owners.insert(package.split(':').next().unwrap_or(package).to_owned());
        }
    }
    if !owners.is_empty() {
        let owners: Vec<String> = owners.into_iter().collect();
        return Ok(Some(format!("of the package {}", owners.join(", "))));
    }
    let there = tree.join(path.trim_start_matches('/')).symlink_metadata().is_ok();
    Ok(there.then(|| "in no package's list: made by a maintainer script, or by dpkg itself".into()))
}

/// Packages still ship some paths without the /usr that is in front of them.
fn spellings(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    for folder in ["/bin/", "/sbin/", "/lib/", "/lib64/"] {
        if let Some(rest) = path.strip_prefix("/usr").filter(|rest| rest.starts_with(folder)) {
            all.push(rest.to_owned());
        }
        if path.starts_with(folder) {
            all.push(format!("/usr{path}"));
        }
    }
    all
}

fn unknown(image: &str, path: &str, files: &[ConfigFile]) -> Error {
    let error = Error::input(format!("the image {image} has no {path}"));
    if !path.starts_with('/') {
        return error.hint(format!("name it as on the server: `/{path}`"));
    }
    match names::nearest(path, files.iter().map(|file| file.path.as_str())).first() {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("what services write is not in the image: look on the server"),
    }
}

fn not_built(
    architecture: &Architecture,
    server: &Server,
    path: &str,
    files: &[ConfigFile],
) -> Error {
    let (arch, role) = (&architecture.name, &server.name);
    let error = Error::input(format!("the spec brings no {path} to {}", server.image_id));
    let build = format!(
        "if it is a package's, run `imagebuild {arch} --server {role}` first: dpkg's lists tell"
    );
    match names::nearest(path, files.iter().map(|file| file.path.as_str())).first() {
        Some(near) => error.hint(format!("did you mean `{near}`? {build}")),
        None => error.hint(build),
    }
}
