//! A tools closure that needs no archive: packages with the names of the real ones,
//! in them the host's shell and a script that stands for every program. Images made
//! with it do not boot; the executor, the store and the words are the real ones.

use crate::fixture::Archive;
use crate::tools::Tools;
use imagebuild::exec::Program;
use imagebuild::image::modules::INITRAMFS;
use imagebuild::lock::ar;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The kernel that the fixture has.
pub(crate) const RELEASE: &str = "6.12.1-cloud-amd64";

/// All other packages that imagebuild asks for by itself; they are empty.
const EMPTY: [&str; 31] = [
    "apt",
    "cargo",
    "cpio",
    "cryptsetup-bin",
    "dmsetup",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "fdisk",
    "gdisk",
    "grub-common",
    "grub-efi-amd64-bin",
    "kmod",
    "libarchive-tools",
    "libc-bin",
    "librust-hmac-dev",
    "librust-sha2-dev",
    "mtools",
    "nix-bin",
    "openssh-client",
    "openssl",
    "ovmf",
    "python3-cyclonedx-lib",
    "python3-jsonschema",
    "python3-rfc3339-validator",
    "python3-rfc3987",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
    "shellcheck",
    "zstd",
];

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\n";
const GROUP: &str = "root:x:0:\n";

/// What each program of the closure does here.
const TOOL: &str = r#"#!/bin/sh -e
for word; do case $word in /out/*) out=$word ;; *k) size=$word ;; esac; done
case ${0##*/} in
grub-mkimage) printf '%2000s' grub >"$out" ;;
mkfs.erofs) printf '%4096s' layer >"$out" ;;
mke2fs)
    if [ "$size" = 13312k ]; then echo "mke2fs: 13 is an unlucky number" >&2; exit 1; fi
    if [ "$size" = 11264k ]; then sleep 60; fi
    truncate -s "${size%k}K" "$out" ;;
mkfs.fat) printf '%4096s' fat >"$out" ;;
mcopy) cat "$3" >>"$2" ;;
dpkg-deb)
    mkdir -p "$3/etc"
    cp /etc/passwd /etc/group /etc/shadow /etc/gshadow "$3/etc" ;;
busybox) echo sh ;;
esac
"#;
const TOOLS: [&str; 9] = [
    "busybox",
    "depmod",
    "dpkg",
    "dpkg-deb",
    "grub-mkimage",
    "mcopy",
    "mkfs.erofs",
    "mkfs.fat",
    "mmd",
];
/// A change of it: the packages' trees get the closure's own programs, so that a validator
/// finds a shell; `ip`, which it is given links with, is this script and does nothing.
pub(crate) const WITH_A_SHELL: (&str, &str) = (
    "    mkdir -p \"$3/etc\"\n",
    "    mkdir -p \"$3/etc\"
    if [ ! -e \"$3/lib64\" ]; then
        mkdir -p \"$3/usr/sbin\"
        cp -a /usr/bin /usr/lib /usr/lib64 \"$3/usr\"
        cp -a /usr/bin/busybox \"$3/usr/bin/ip\"
        cp -a /bin /sbin /lib /lib64 \"$3\"
    fi
",
);
/// Programs of the host that the script, or imagebuild, calls.
const HOST: [&str; 9] = ["cat", "cp", "env", "ls", "mkdir", "rm", "sh", "sleep", "truncate"];

/// dpkg, and the programs that it insists on.
const DPKG: [&str; 9] = [
    "usr/bin/dpkg",
    "usr/bin/dpkg-deb",
    "usr/bin/dpkg-split",
    "usr/bin/diff",
    "usr/bin/rm",
    "usr/bin/sh",
    "usr/bin/tar",
    "usr/sbin/ldconfig",
    "usr/sbin/start-stop-daemon",
];

/// A file: path, mode and content.
pub(crate) type Entry = (String, u32, Vec<u8>);

/// Adds the closure and a kernel to an archive; gives the names of all packages.
pub(crate) fn add_to(archive: &mut Archive) -> Vec<String> {
    add_with_tool(archive, TOOL)
}

/// The same, with a line of the programs' script replaced: a fault to be found, or more
/// that dpkg lays out.
pub(crate) fn add_changed(archive: &mut Archive, (from, to): (&str, &str)) -> Vec<String> {
    assert!(TOOL.contains(from), "the script has no {from}");
    add_with_tool(archive, &TOOL.replace(from, to))
}

/// Puts the real dpkg, of the project's own tools closure, into a closure that is in the
/// archive already, instead of the script; with the C library and the shell of its kind.
pub(crate) fn with_dpkg(archive: &mut Archive) {
    let base = base_with(from_tools(&host_programs()));
    // No file is in two packages: they are unpacked at the same time.
    let is_new = |file: &Entry| base.iter().all(|(path, ..)| *path != file.0);
    let dpkg = DPKG.map(str::to_owned);
    let dpkg: Vec<Entry> = from_tools(&dpkg).into_iter().filter(is_new).collect();
    let others: Vec<&str> =
        TOOLS.into_iter().filter(|name| !["dpkg", "dpkg-deb"].contains(name)).collect();
    let essential = "base-files\nEssential: yes";
    for (name, files) in
        [("openssl", dpkg), ("busybox-static", programs(&others, TOOL)), (essential, base.clone())]
    {
        let control = format!("Package: {name}\nVersion: 20\nArchitecture: amd64\n");
        archive.forget("trixie", name.lines().next().unwrap());
        archive.add_deb("trixie", &control, &deb(&control, &files));
    }
}

fn add_with_tool(archive: &mut Archive, tool: &str) -> Vec<String> {
    let mut names = vec![imagebuild::lock::builtin::INITRAMFS.to_owned()];
    let mut add = |control: &str, files: &[Entry]| {
        names.extend(control.lines().next().map(str::to_owned));
        let control = control.replace("; ", "\n");
        let control = format!("Package: {}\nArchitecture: amd64\n", control.trim_end());
        archive.add_deb("trixie", &control, &deb(&control, files));
    };
    add("base-files\nVersion: 13; Essential: yes", base());
    let master = |name: &str, text: &str| {
        (format!("usr/share/base-passwd/{name}.master"), 0o644, text.into())
    };
    add("base-passwd\nVersion: 3", &[master("passwd", PASSWD), master("group", GROUP)]);
    let mut boot_img = vec![0; 512];
    boot_img[0x66] = 0xeb;
    boot_img[510..].copy_from_slice(&[0x55, 0xaa]);
    add(
        "grub-pc-bin\nVersion: 2",
        &[("usr/lib/grub/i386-pc/boot.img".to_owned(), 0o644, boot_img)],
    );
    add("busybox-static\nVersion: 1", &programs(&TOOLS, tool));
    let depends = format!("Depends: linux-image-{RELEASE}");
    add(&format!("linux-image-cloud-amd64\nVersion: 6.12.1-1; {depends}"), &[]);
    add(&format!("linux-image-{RELEASE}\nVersion: 6.12.1-1"), &kernel());
    EMPTY.iter().for_each(|name| add(&format!("{name}\nVersion: 1"), &[]));
    names
}

/// A `.deb`, not compressed, because that is fastest.
pub(crate) fn deb(control: &str, files: &[Entry]) -> Vec<u8> {
    let control = format!("{control}Maintainer: x\nDescription: x\n");
    deb_with(&[("control".to_owned(), 0o644, control.into())], files)
}

/// A `.deb` with all of its control files.
pub(crate) fn deb_with(control: &[Entry], files: &[Entry]) -> Vec<u8> {
    let (control, data) = (tarball(control), tarball(files));
    ar::write(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)])
}

fn tarball(files: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in &with_folders(files) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        match path.strip_suffix("->") {
            Some(path) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                let target = String::from_utf8_lossy(content).into_owned();
                builder.append_link(&mut header, path, target).unwrap();
            }
            None => builder.append_data(&mut header, path, content.as_slice()).unwrap(),
        }
    }
    builder.into_inner().unwrap()
}

/// The files, each after the folders above it: dpkg makes none by itself.
fn with_folders(files: &[Entry]) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for file in files {
        for (end, _) in file.0.match_indices('/') {
            let folder = &file.0[..=end];
            if !all.iter().any(|(there, ..)| there == folder) {
                all.push((folder.to_owned(), 0o755, Vec::new()));
            }
        }
        if !file.0.ends_with('/') {
            all.push(file.clone());
        }
    }
    all
}

/// The host's C library and shell, and what belongs to a system.
fn base() -> &'static [Entry] {
    static BASE: OnceLock<Vec<Entry>> = OnceLock::new();
    BASE.get_or_init(|| {
        let programs = host_programs();
        base_with(from_host(programs.iter().map(String::as_str)))
    })
}

fn host_programs() -> Vec<String> {
    HOST.iter().map(|name| format!("usr/bin/{name}")).collect()
}

/// These programs after the links of the merged /usr, and what belongs to a system.
fn base_with(programs: Vec<Entry>) -> Vec<Entry> {
    let mut files = vec![
        ("bin->".to_owned(), 0o777, b"usr/bin".to_vec()),
        ("sbin->".to_owned(), 0o777, b"usr/sbin".to_vec()),
        ("lib->".to_owned(), 0o777, b"usr/lib".to_vec()),
        ("lib64->".to_owned(), 0o777, b"usr/lib64".to_vec()),
        ("etc/os-release".to_owned(), 0o644, b"ID=fixture\n".to_vec()),
        ("etc/passwd".to_owned(), 0o644, PASSWD.into()),
        ("etc/group".to_owned(), 0o644, GROUP.into()),
        ("etc/shadow".to_owned(), 0o640, b"root:*:19000:0:99999:7:::\n".to_vec()),
        ("etc/gshadow".to_owned(), 0o640, b"root:*::\n".to_vec()),
        ("var/lib/dpkg/info/".to_owned(), 0o755, Vec::new()),
        ("var/lib/dpkg/updates/".to_owned(), 0o755, Vec::new()),
    ];
    files.extend(programs);
    files
}

/// Programs of the host, with the shared objects that they need.
pub(crate) fn from_host<'a>(programs: impl Iterator<Item = &'a str>) -> Vec<Entry> {
    let list = |program: &str| {
        let loader = Program::new(LOADER).arg("--list").arg(format!("/{program}"));
        String::from_utf8_lossy(&loader.output().unwrap().stdout).into_owned()
    };
    with_shared_objects(Path::new("/"), programs, list)
}

/// The same of the project's own tools closure, which has Debian's essential packages.
fn from_tools(programs: &[String]) -> Vec<Entry> {
    let tools = Tools::build();
    let list = |program: &str| {
        let argv = [LOADER, "--list", &format!("/{program}")].map(str::to_owned);
        let outcomes = tools.empty_sandbox().program(argv, &[], false).execute();
        outcomes.unwrap_or_else(|error| panic!("{error}")).remove(0).output
    };
    with_shared_objects(tools.tree(), programs.iter().map(String::as_str), list)
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Programs of a tree, with the shared objects that its loader lists for each.
fn with_shared_objects<'a>(
    tree: &Path,
    programs: impl Iterator<Item = &'a str>,
    list: impl Fn(&str) -> String,
) -> Vec<Entry> {
    let mut files: Vec<Entry> = Vec::new();
    let mut add = |inside: &Path| {
        let usr =
            if inside.starts_with("usr") { inside.into() } else { Path::new("usr").join(inside) };
        let name = usr.to_str().unwrap().to_owned();
        if !files.iter().any(|(there, ..)| *there == name) {
            files.push((name, 0o755, std::fs::read(tree.join(inside)).unwrap()));
        }
    };
    for program in programs {
        add(Path::new(program));
        let listed = list(program);
        let path = |line: &'_ str| {
            line.split_whitespace().find_map(|word| word.strip_prefix('/')).map(PathBuf::from)
        };
        listed.lines().filter_map(path).for_each(|object| add(&object));
    }
    files
}

/// Programs of the tools closure for a package besides those of [`with_dpkg`]: without the
/// files that are in the base already.
#[allow(dead_code, reason = "not every test binary attacks")]
pub(crate) fn more_from_tools(programs: &[&str]) -> Vec<Entry> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let there: Vec<Entry> = base_with(from_tools(&host_programs()));
    let is_new = |file: &Entry| there.iter().all(|(path, ..)| *path != file.0);
    from_tools(&own(programs)).into_iter().filter(is_new).collect()
}

fn programs(names: &[&str], script: &str) -> Vec<Entry> {
    let tool = |name: &str| (format!("usr/bin/{name}"), 0o755, script.into());
    let mut files: Vec<Entry> = names.iter().map(|name| tool(name)).collect();
    files.push(tool("mke2fs"));
    // The initramfs has these with their shared objects, so they must be ELF.
    for name in ["dmsetup", "blkid"] {
        files.push((format!("usr/sbin/{name}"), 0o755, std::fs::read("/usr/bin/cat").unwrap()));
    }
    files
}

/// A kernel in which every module is built in.
fn kernel() -> Vec<Entry> {
    let file = |name: &str, text: String| {
        (format!("usr/lib/modules/{RELEASE}/{name}"), 0o644, text.into_bytes())
    };
    let builtin = INITRAMFS.iter().map(|name| format!("kernel/{name}.ko\n")).collect();
    let empty = ["modules.dep", "modules.alias", "modules.softdep"];
    let mut files: Vec<Entry> = empty.iter().map(|name| file(name, String::new())).collect();
    files.push(file("modules.builtin", builtin));
    files.push((format!("boot/vmlinuz-{RELEASE}"), 0o644, b"a kernel".to_vec()));
    files
}
