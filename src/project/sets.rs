//! The sets of packages that a lock has: one for each server, and those of the tools.

use crate::lock::file::{ESSENTIAL, Requests};
use crate::plan::server::{COMPILER, TOOLS, VM_TOOLS, set_name};
use crate::spec::{Server, Spec};

/// The lock's set with apt, for the tests that compare with it.
pub const REFERENCE_TOOLS: &str = "tools/reference";
/// The lock's set with the validators of what this program writes itself, for its tests.
pub const TEST_TOOLS: &str = "tools/test";

/// What compiles the agent of a pair of databases: Debian's Rust, and Debian's libraries for it.
const COMPILER_PACKAGES: [&str; 6] = [
    "base-files",
    "base-passwd",
    "cargo",
    crate::lock::builtin::COMPILER,
    "librust-hmac-dev",
    "librust-sha2-dev",
];
/// The programs that touch bytes of an image.
const TOOL_PACKAGES: [&str; 13] = [
    "base-passwd",
    "busybox-static",
    "dmsetup",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "kmod",
    "mtools",
    "openssh-client",
    "openssl",
];
const VM_PACKAGES: [&str; 6] =
    ["base-files", "base-passwd", "ovmf", "qemu-system-x86", "qemu-utils", "seabios"];
const REFERENCE_PACKAGES: [&str; 1] = ["apt"];
/// A validator for each format; qemu-img, grub-mkimage and dpkg are in the other sets.
const TEST_PACKAGES: [&str; 17] = [
    "base-files",
    "base-passwd",
    "cpio",
    "cryptsetup-bin",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "gdisk",
    "libarchive-tools",
    // The locale that the sandbox sets, without which bsdtar complains.
    "libc-bin",
    "nix-bin",
    "python3-cyclonedx-lib",
    "python3-jsonschema",
    // Without these two, times and addresses in a bill of materials are not looked at.
    "python3-rfc3339-validator",
    "python3-rfc3987",
    "shellcheck",
    "zstd",
];

/// All that the spec, and imagebuild itself, ask of the archive.
pub fn requests(spec: &Spec) -> Requests {
    let mut requests = Requests::default();
    let essential = || std::iter::once(ESSENTIAL.to_owned());
    let names = |list: &[&str]| -> Vec<String> { list.iter().map(|n| (*n).to_owned()).collect() };
    let tools: Vec<String> = essential().chain(names(&TOOL_PACKAGES)).collect();
    requests.sets.insert(TOOLS.to_owned(), tools);
    requests.sets.insert(VM_TOOLS.to_owned(), names(&VM_PACKAGES));
    let servers = spec.architectures.values().flat_map(|one| one.servers.values());
    if servers.into_iter().any(Server::has_agent) {
        requests.sets.insert(COMPILER.to_owned(), names(&COMPILER_PACKAGES));
    }
    let reference: Vec<String> = essential().chain(names(&REFERENCE_PACKAGES)).collect();
    requests.sets.insert(REFERENCE_TOOLS.to_owned(), reference);
    requests.sets.insert(TEST_TOOLS.to_owned(), names(&TEST_PACKAGES));
    for architecture in spec.architectures.values() {
        for server in architecture.servers.values() {
            let asked = spec.packages(server).into_iter().map(str::to_owned);
            requests
                .sets
                .insert(set_name(architecture, server), essential().chain(asked).collect());
        }
    }
    for role in spec.roles.values() {
        requests.users.extend(role.users.iter().cloned());
        requests.groups.extend(role.groups.iter().cloned());
    }
    requests
}
