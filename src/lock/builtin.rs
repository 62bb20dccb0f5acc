//! The package that imagebuild itself provides.
//!
//! The kernel's package depends on a tool that makes an initramfs. The image's
//! initramfs is made by imagebuild, so a package without files of use stands in
//! for that tool. It is made in memory, the same bytes on every machine.

use super::ar;
use super::mirror::BUILT_IN;
use super::packages::Index;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use std::path::PathBuf;

/// The name of the package.
pub const NAME: &str = "imagebuild-initramfs";
/// Its path, as if in an archive.
const PATH: &str = "pool/imagebuild-initramfs_1_all.deb";

const CONTROL: &str = "Package: imagebuild-initramfs
Version: 1
Architecture: all
Maintainer: imagebuild
Installed-Size: 1
Provides: linux-initramfs-tool
Section: kernel
Priority: optional
Multi-Arch: foreign
Description: initramfs made by imagebuild
 The initramfs of this system is part of its image and made by imagebuild,
 so no tool that makes one is installed.
";

const COPYRIGHT: &str = "imagebuild-initramfs holds no work of its own.
License: MIT or Apache-2.0, as imagebuild.
";

/// The bytes of the `.deb`.
///
/// # Errors
/// Never in practice: it is made in memory.
pub fn deb() -> Result<Vec<u8>> {
    let folders = ["./", "./usr/", "./usr/share/", "./usr/share/doc/"];
    let folder = format!("./usr/share/doc/{NAME}/");
    let file = format!("{folder}copyright");
    let mut data: Vec<(&str, Option<&str>)> = folders.iter().map(|path| (*path, None)).collect();
    data.push((&folder, None));
    data.push((&file, Some(COPYRIGHT)));
    let control = tarball(&[("./", None), ("./control", Some(CONTROL))])?;
    let data = tarball(&data)?;
    // Not compressed: dpkg reads that too, and no version of a compressor matters.
    Ok(ar::write(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)]))
}

fn tarball(entries: &[(&str, Option<&str>)]) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::build(format!("cannot make {NAME}: {e}"));
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let content = content.map(str::as_bytes);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(match content {
            Some(_) => tar::EntryType::Regular,
            None => tar::EntryType::Directory,
        });
        header.set_mode(if content.is_some() { 0o644 } else { 0o755 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root").and_then(|()| header.set_groupname("root")).map_err(failed)?;
        let content = content.unwrap_or_default();
        header.set_size(content.len() as u64);
        // Set as bytes, because the tar crate drops the "./" that dpkg expects.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content).map_err(failed)?;
    }
    builder.into_inner().map_err(failed)
}

/// The index of the archive "built-in".
///
/// # Errors
/// Never in practice, as [`deb`].
pub fn index() -> Result<Index> {
    let deb = deb()?;
    let text = format!(
        "{CONTROL}Filename: {PATH}\nSize: {}\nSHA256: {}\n",
        deb.len(),
        Sha256Digest::of(&deb)
    );
    Index::parse(PathBuf::from("built-in packages"), BUILT_IN, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_never_change() {
        // A lock names this digest: a change of it makes every lock stale.
        let digest = "690304d08ce8bab7e5afbf741d174d33a644b047f9b0c5bc2b89af8fafee7b39";
        assert_eq!(Sha256Digest::of(deb().unwrap()).to_string(), digest);
        let package = index().unwrap().package(0).unwrap();
        assert_eq!(package.provides[0].0, "linux-initramfs-tool");
    }
}
