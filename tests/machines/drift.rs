//! What a boot must find as it was, and what it must not find.

use crate::ask::Guest;

/// What must be the same after every boot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    machine_id: String,
    enabled: String,
    host_key: String,
}

impl Identity {
    pub(crate) fn of(guest: &mut Guest) -> Identity {
        Identity {
            machine_id: guest.ask("cat /etc/machine-id"),
            enabled: guest.ask("systemctl list-unit-files --state=enabled --no-legend --plain"),
            host_key: guest.ask("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key"),
        }
    }
}

/// Leaves traces that the next boot must not find, and tries those that are refused.
pub(crate) fn drift(guest: &mut Guest) {
    guest.ask("echo drift >>/etc/hosts; echo drift >/etc/imagebuild-drift");
    guest.ask("systemctl disable sysstat.service; systemctl mask nftables.service");
    for refused in ["touch /usr/drift", "touch /drift", "echo drift >>/var/lib/dpkg/status"] {
        let taken = guest.holds(refused);
        guest.check(!taken, &format!("`{refused}` was not refused"));
    }
}

/// Nothing of [`drift`] is left, and the journal knows of `boots` boots.
pub(crate) fn no_drift(guest: &mut Guest, boots: usize) {
    guest.ask("! grep drift /etc/hosts");
    guest.ask("test ! -e /etc/imagebuild-drift");
    guest.expect("systemctl is-enabled sysstat.service nftables.service", "enabled\nenabled");
    guest.expect("journalctl --list-boots --no-pager --quiet | wc -l", &boots.to_string());
    guest.ask("journalctl -b -1 -n 1 --quiet | grep .");
}
