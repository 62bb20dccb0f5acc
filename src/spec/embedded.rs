//! The project's files inside the binary, so that it works in an empty folder.
//!
//! A plain list instead of a build script or a macro crate: a test compares it
//! with the checkout and prints the list as it should be.

macro_rules! embed {
    ($($path:literal,)*) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

/// Path and content of every file of `roles/`, `images/` and `overlays/`.
pub(super) const FILES: &[(&str, &[u8])] = embed![
    "images/arch4.toml",
    "overlays/base/etc/hostname.j2",
    "overlays/base/etc/sudoers.d/imagebuild.j2",
    "roles/base.toml",
    "roles/database.toml",
    "roles/heartbeat.toml",
    "roles/load-balancer.toml",
    "roles/monitored.toml",
    "roles/web.toml",
];
