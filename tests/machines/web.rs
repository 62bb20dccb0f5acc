//! A web server's life: first boot on a larger disk, a restart, a power cut.

use crate::ask::{Guest, boot_on, native};
use crate::drift::{Identity, drift, no_drift};
use crate::platform::Platform;
use crate::servers::{behind_balancer, graphs};
use crate::setup::{LARGER, MUNIN_PASSWORD, world};
use crate::spec::is_as_specified;

/// A website that can be made to fetch a URL gets nothing from the provider's metadata; nobody is
/// there in this network, which root finds out by himself.
fn keeps_metadata_from_the_website(guest: &mut Guest) {
    // This network leads nowhere else: a route, as a provider's has.
    for (address, ip) in [("169.254.169.254", "ip"), ("fd00:ec2::254", "ip -6")] {
        guest.ask(&format!("{ip} route add {address} dev eth0"));
        let call = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/80' 2>&1 || true");
        let refused = "Connection refused";
        guest.expect_in(&format!("setpriv --reuid www-data --clear-groups -- {call}"), &[refused]);
        let said = guest.ask(&call);
        guest.check(!said.contains(refused), &format!("root is refused {address}: {said}"));
        guest.ask(&format!("{ip} route del {address} dev eth0"));
    }
}

pub(crate) fn web1_lives(platform: Platform) {
    let mut config = world().seeded("arch4-web1", "lives");
    config.disk = config.disk.size(LARGER);
    // The others have one: where machines wait for each other's turn, a second proves nothing.
    let mut guest = boot_on(platform, config.processors(2));
    is_who_it_should_be(&mut guest);
    answers(&mut guest);
    graphs(&mut guest, "arch4-web1", MUNIN_PASSWORD);
    uses_the_disk(&mut guest, platform);
    keeps_its_disk_empty(&mut guest);
    keeps_metadata_from_the_website(&mut guest);
    let identity = Identity::of(&mut guest);
    drift(&mut guest);

    guest.reboot();
    guest.is_running();
    no_drift(&mut guest, 2);
    assert_eq!(Identity::of(&mut guest), identity);
    answers(&mut guest);
    drift(&mut guest);

    guest.machine.reset().unwrap_or_else(|e| panic!("{e}"));
    guest.wait_for_shell();
    guest.is_running();
    no_drift(&mut guest, 3);
    assert_eq!(Identity::of(&mut guest), identity);
    answers(&mut guest);
    guest.stop();
}

fn is_who_it_should_be(guest: &mut Guest) {
    guest.expect("stat -c '%a %U:%G' /etc/ssh/ssh_host_ed25519_key", "600 root:root");
    let secret = "/run/imagebuild/credentials/database.app-password";
    guest.expect(&format!("stat -c '%a %U:%G' {secret}"), "440 root:www-data");
    guest.expect(&format!("cat {secret}"), crate::setup::PASSWORD);
}

fn answers(guest: &mut Guest) {
    is_as_specified(guest, "arch4-web1", &[]);
    behind_balancer(guest, "arch4-web1", "192.168.0.11");
    guest.expect_in(
        "bash -c 'read -r line </dev/tcp/192.168.0.11/22; echo $line'",
        &["SSH-2.0-OpenSSH"],
    );
    let offered =
        "ssh-keyscan -t ed25519 192.168.0.11 2>/dev/null | grep -v '^#' | cut -d' ' -f2,3";
    let offered = guest.ask(offered);
    let own = guest.ask("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key | cut -d' ' -f1,2");
    guest.check(offered == own, &format!("sshd offers {offered}, not {own}"));
}

/// Logs are rotated, and written on after that; sessions of visitors end.
fn keeps_its_disk_empty(guest: &mut Guest) {
    guest.ask("test -s /var/log/nginx/access.log");
    guest.ask("logrotate --force /etc/logrotate.d/nginx");
    guest.ask("test -s /var/log/nginx/access.log.1");
    guest.http("192.168.0.11", "/style.css");
    guest.within(native(3), "test -s /var/log/nginx/access.log");
    guest.ask("systemctl is-active phpsessionclean.timer");
    // What counts is when the file was last changed in any way, so the clock has to move.
    let old = "/var/lib/php/sessions/sess_old";
    let hour_later = "date --set='+1 hour' && systemctl start phpsessionclean.service";
    guest.ask(&format!("touch {old} && {hour_later} && date --set='-1 hour'"));
    guest.ask(&format!("test ! -e {old}"));
}

/// The disk is twice the image: the state partition reaches its end.
fn uses_the_disk(guest: &mut Guest, platform: Platform) {
    let disk = platform.disk();
    let size: u64 = guest.ask("df -B1 --output=size /var | tail -n1").trim().parse().unwrap();
    guest.check(size > 5 << 30, &format!("/var has {size} bytes only"));
    guest.ask(&format!("sfdisk --verify {disk}"));
    guest.expect(&format!("sfdisk --dump {disk} 2>&1 | grep -c '^{disk}'"), "8");
    // By this name people write a seed to it (docs/deploy.md).
    let seed = platform.partition(7);
    guest.expect("readlink -f /dev/disk/by-partlabel/seed", &seed);
}
