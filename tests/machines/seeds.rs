//! Without a seed a machine boots and says what it lacks; the seed partition is as good
//! as SMBIOS; a damaged one is announced.

use crate::ask::{Guest, boot_on, native};
use crate::platform::Platform;
use crate::seed;
use crate::setup::world;
use imagebuild::qemu::Edit;

pub(crate) fn web1_without_a_seed_says_so(platform: Platform) {
    let mut guest = boot_on(platform, world().bare("arch4-web1", "seedless"));
    guest.is_running();
    lacks_its_seed(&mut guest, "web1");
    is_off(&mut guest, &["ssh.service", "php8.4-fpm.service"]);
    // Nothing listens for logins on any address.
    guest.expect("ss -Hltn 'sport = :22'", "");
    guest.expect("systemctl is-active nginx.service munin-node.socket", "active\nactive");
    // Nobody has asked it yet.
    guest.expect("systemctl is-active munin-node.service || true", "inactive");
    guest.expect_in("imagebuild-check", &["skipped: SSH answers (no seed)"]);
    makes_its_own_certificate(&mut guest);
    guest.stop();
}

/// Visitors are not turned away for want of a certificate.
fn makes_its_own_certificate(guest: &mut Guest) {
    let floating = "ip -4 -o address show dev eth0 | grep -q ' 172.16.0.10/32 '";
    guest.within(native(10), floating);
    let shown = "openssl s_client -connect 172.16.0.10:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256";
    guest.within(native(5), shown);
    let own = "openssl x509 -noout -fingerprint -sha256 -in /var/lib/imagebuild/site.certificate";
    let (shown, own) = (guest.ask(shown), guest.ask(own));
    guest.check(shown == own, &format!("{shown} is offered, not {own}"));
    guest.expect("stat -c '%a %U:%G' /var/lib/imagebuild/site.certificate", "600 root:root");
}

pub(crate) fn database1_without_a_seed_starts_no_database(platform: Platform) {
    let mut guest = boot_on(platform, world().bare("arch4-database1", "seedless"));
    guest.is_running();
    lacks_its_seed(&mut guest, "database1");
    is_off(&mut guest, &["ssh.service", "mariadb.service", "imagebuild-database.service"]);
    // Not a byte of a database was written.
    guest.ask("! ls -A /var/lib/mysql | grep -v lost+found");
    guest.stop();
}

fn lacks_its_seed(guest: &mut Guest, server: &str) {
    guest.says("This machine has no seed, or one that lacks:");
    guest.says("ssh.host-key-ed25519: the server's SSH host key");
    guest.says("database.app-password: the application's password");
    guest.says(&format!("imagebuild seed arch4 --role {server}"));
    // Every login prompt shows it: the provider's screen is none that QEMU has here.
    guest.expect_in(
        "agetty --show-issue tty1 </dev/ttyS0",
        &["This machine has no seed, or one that lacks:"],
    );
}

fn is_off(guest: &mut Guest, units: &[&str]) {
    for unit in units {
        guest.expect(&format!("systemctl is-active {unit} || true"), "inactive");
        guest.expect(&format!("systemctl show -P ConditionResult {unit}"), "no");
    }
}

pub(crate) fn the_seed_partition_is_read(platform: Platform) {
    let world = world();
    let (offset, size) = world.partition("arch4-web1", "seed");
    let seed = seed::of(world, "arch4-web1");
    assert!(seed.len() as u64 <= size);
    let mut config = world.bare("arch4-web1", "seed-partition");
    config.disk = config.disk.edit(Edit::Write(offset, seed));
    let mut guest = boot_on(platform, config);
    guest.is_running();
    guest.expect("systemctl is-active ssh.service php8.4-fpm.service", "active\nactive");
    guest.expect("stat -c '%a %U:%G' /etc/ssh/ssh_host_ed25519_key", "600 root:root");
    guest.ask("! find /run/credentials /run/systemd -name '*evil*' | grep .");
    let evil = guest.holds(&format!("test -e /run/credentials/@system/{}", seed::UNLISTED));
    guest.check(!evil, "a unit came in through the seed partition");
    let console = guest.machine.console();
    guest.check(!console.contains("has no seed") && !console.contains("damaged"), "a false alarm");
    guest.stop();
}

pub(crate) fn a_damaged_seed_is_announced(platform: Platform) {
    let world = world();
    let (offset, _) = world.partition("arch4-web1", "seed");
    let mut config = world.bare("arch4-web1", "seed-damaged");
    let seed = seed::of(world, "arch4-web1");
    config.disk = config.disk.edit(Edit::Write(offset, seed)).edit(Edit::Flip(offset + 512 + 512));
    let mut guest = boot_on(platform, config);
    guest.says("the seed partition is damaged: starting as if there were no seed");
    guest.is_running();
    lacks_its_seed(&mut guest, "web1");
    guest.stop();
}
