//! The `.deb`s of a plan, from the pool, verified before a byte is used.

use crate::error::{Error, Result};
use crate::fs;
use crate::lock::control::Paragraphs;
use crate::lock::{deb, depends};
use crate::plan::step::PackageRef;
use crate::progress;
use crate::rootfs::Deb;
use crate::rootfs::order::{self, Node};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Opens a package's file after checking all of it against the lock.
pub(super) fn open_verified(pool: &Path, package: &PackageRef) -> Result<File> {
    let path = path(pool, package);
    let mut file = fs::open(&path)?;
    let failed = |e: std::io::Error| Error::io("read", &path, &e);
    let (digest, _) = fs::digest_reader(&mut file).map_err(failed)?;
    if digest == package.sha256 {
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        return Ok(file);
    }
    std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
    let what = format!("the file of {} {} in the store was damaged", package.name, package.version);
    progress::warn(format!("{what} and is removed"));
    Err(Error::build(what).hint("run the same command again: it is fetched anew"))
}

fn path(pool: &Path, package: &PackageRef) -> PathBuf {
    pool.join(format!("{}.deb", package.sha256))
}

/// Reads what rootfs needs to know of each package, on all cores.
pub(super) fn read(pool: &Path, packages: &[PackageRef]) -> Result<Vec<Deb>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = packages.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = packages
            .chunks(chunk)
            .map(|some| scope.spawn(move || some.iter().map(|p| read_one(pool, p)).collect()))
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            let some: Result<Vec<Deb>> =
                worker.join().map_err(|_| Error::bug("a reader of packages died"))?;
            all.extend(some?);
        }
        Ok(all)
    })
}

fn read_one(pool: &Path, package: &PackageRef) -> Result<Deb> {
    let mut file = open_verified(pool, package)?;
    let files = deb::control_files(&mut file, &package.name)?;
    let control = files.get("control").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let node = node(package, &control.unwrap_or_default())?;
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io("read", &path(pool, package), &e))?;
    let sysusers = deb::files_below(&mut file, &package.name, "usr/lib/sysusers.d")?
        .into_iter()
        .map(|(path, bytes)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect();
    Ok(Deb { node, file: path(pool, package), sysusers })
}

fn node(package: &PackageRef, control: &str) -> Result<Node> {
    let name = PathBuf::from(format!("{}'s control file", package.name));
    let paragraph = Paragraphs::new(&name, control).next().ok_or_else(|| {
        Error::build(format!("the package {} has no control file", package.name))
    })??;
    let field = |name: &str| -> Result<Vec<Vec<String>>> {
        let text = paragraph.get(name).unwrap_or_default();
        let groups = depends::parse(text, "amd64").map_err(|why| paragraph.error(name, why))?;
        let names = |group: depends::Group| group.0.into_iter().map(|r| r.name).collect();
        Ok(groups.into_iter().map(names).collect())
    };
    let pre_depends = field("Pre-Depends")?;
    let in_set = |name: &&String| package.depends.contains(name);
    Ok(Node {
        name: package.name.clone(),
        essential: paragraph.get("Essential") == Some("yes"),
        depends: package.depends.clone(),
        pre_depends: pre_depends.iter().flatten().filter(in_set).cloned().collect(),
        needs: [pre_depends, field("Depends")?].concat(),
        provides: field("Provides")?.concat(),
    })
}

/// Takes out what needs a package that is not among them.
pub(super) fn self_contained(mut debs: Vec<Deb>) -> Vec<Deb> {
    let nodes: Vec<Node> = debs.iter().map(|deb| deb.node.clone()).collect();
    let kept = order::self_contained(&nodes);
    debs.retain(|deb| kept.contains(&deb.node.name));
    debs
}

/// The packages that dpkg's database in `tree` does not have.
pub(super) fn missing_in(tree: &Path, packages: &[PackageRef]) -> Result<Vec<PackageRef>> {
    let status = fs::read_to_string(&fs::in_tree(tree, "var/lib/dpkg/status")?)?;
    let there: BTreeSet<&str> =
        status.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    Ok(packages.iter().filter(|p| !there.contains(p.name.as_str())).cloned().collect())
}
