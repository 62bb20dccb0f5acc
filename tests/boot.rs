//! The shipped images, unmodified, booted: what a person would find who logs in, on the
//! first boot, after a restart and after a power cut.
//!
//! Some twenty minutes under emulation; two machines run at a time.
//! `cargo test --release --test boot -- --nocapture` shows how they go.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod vm;

// The longest first: its name comes before the others'.
#[path = "vm/web.rs"]
mod a_web_server;
#[path = "vm/damage.rs"]
mod damage;
#[path = "vm/database.rs"]
mod database;
#[path = "vm/platforms.rs"]
mod platforms;
#[path = "vm/seeds.rs"]
mod seeds;
#[path = "vm/servers.rs"]
mod servers;

use vm::ask::Guest;

/// What must be the same after every boot.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    machine_id: String,
    enabled: String,
    host_key: String,
}

impl Identity {
    fn of(guest: &mut Guest) -> Identity {
        Identity {
            machine_id: guest.ask("cat /etc/machine-id"),
            enabled: guest.ask("systemctl list-unit-files --state=enabled --no-legend --plain"),
            host_key: guest.ask("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key"),
        }
    }
}

/// Leaves traces that the next boot must not find, and tries those that are refused.
fn drift(guest: &mut Guest) {
    guest.ask("echo drift >>/etc/hosts; echo drift >/etc/imagebuild-drift");
    guest.ask("systemctl disable sysstat.service; systemctl mask nftables.service");
    for refused in ["touch /usr/drift", "touch /drift", "echo drift >>/var/lib/dpkg/status"] {
        let taken = guest.holds(refused);
        guest.check(!taken, &format!("`{refused}` was not refused"));
    }
}

/// Nothing of [`drift`] is left, and the journal knows of `boots` boots.
fn no_drift(guest: &mut Guest, boots: usize) {
    guest.ask("! grep drift /etc/hosts");
    guest.ask("test ! -e /etc/imagebuild-drift");
    guest.expect("systemctl is-enabled sysstat.service nftables.service", "enabled\nenabled");
    guest.expect("journalctl --list-boots --no-pager --quiet | wc -l", &boots.to_string());
    guest.ask("journalctl -b -1 -n 1 --quiet | grep .");
}
