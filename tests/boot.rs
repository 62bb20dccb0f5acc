//! The shipped images, unmodified, booted: what a person would find who logs in.
//!
//! Slow (some minutes under emulation), so ignored by default:
//! `cargo test --test boot -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod vm;

use vm::{Ask, LARGER, PASSWORD, Place, native, start, world};

#[test]
#[ignore = "boots machines"]
fn web1_runs() {
    let _place = Place::take();
    let mut config = world().seeded("web1", "runs");
    config.disk = config.disk.size(LARGER);
    let mut machine = start(config);
    machine.boot();
    let state = machine.run("systemctl is-system-running --wait; systemctl --failed --no-legend; systemctl list-jobs --no-legend", native(30)).unwrap();
    eprintln!("{}", String::from_utf8_lossy(&state.stdout));
    for command in [
        "ip -br addr",
        "ss -tlnp",
        "journalctl -b -p warning --no-pager -o short-monotonic",
        "systemd-analyze",
        "systemd-analyze blame | head -20",
        "systemd-analyze critical-chain",
        "cat /proc/mounts",
        "imagebuild-check",
        "lsblk",
        "cat /etc/os-release",
    ] {
        let out = machine.run(command, native(20)).unwrap();
        eprintln!(
            "$ {command}\n{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    eprintln!("{}", machine.console());
    machine.stop().unwrap_or_else(|e| panic!("{e}"));
    drop(native(1));
    let _ = PASSWORD;
}
