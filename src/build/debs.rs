//! The `.deb`s of a plan, from the pool, verified before a byte is used.

use crate::error::{Error, Result};
use crate::fs;
use crate::lock::control::Paragraphs;
use crate::lock::{deb, depends};
use crate::plan::step::PackageRef;
use crate::progress;
use crate::rootfs::{Deb, order::Node};
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
                worker.join().map_err(|_| Error::build("a reader of packages died"))?;
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
    let field = paragraph.get("Pre-Depends").unwrap_or_default();
    let groups =
        depends::parse(field, "amd64").map_err(|why| paragraph.error("Pre-Depends", why))?;
    let pre_depends = groups
        .iter()
        .flat_map(|group| &group.0)
        .map(|relation| relation.name.clone())
        .filter(|name| package.depends.contains(name))
        .collect();
    Ok(Node {
        name: package.name.clone(),
        essential: paragraph.get("Essential") == Some("yes"),
        depends: package.depends.clone(),
        pre_depends,
    })
}
