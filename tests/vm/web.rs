//! A web server's life: first boot on a larger disk, a restart, a power cut.

use crate::vm::ask::{Guest, boot, native};
use crate::vm::{LARGER, world};
use crate::{Identity, drift, no_drift};

#[test]
fn web1_lives() {
    let mut config = world().seeded("web1", "lives");
    config.disk = config.disk.size(LARGER);
    let mut guest = boot(config);
    guest.is_running();
    is_who_it_should_be(&mut guest);
    answers(&mut guest);
    uses_the_disk(&mut guest);
    let identity = Identity::of(&mut guest);
    drift(&mut guest);

    guest.machine.reboot().unwrap_or_else(|e| panic!("{e}"));
    guest.is_running();
    no_drift(&mut guest, 2);
    assert_eq!(Identity::of(&mut guest), identity);
    answers(&mut guest);
    drift(&mut guest);

    guest.machine.cut_power().unwrap_or_else(|e| panic!("{e}"));
    guest.wait_for_shell();
    guest.is_running();
    no_drift(&mut guest, 3);
    assert_eq!(Identity::of(&mut guest), identity);
    answers(&mut guest);
    guest.stop();
}

fn is_who_it_should_be(guest: &mut Guest) {
    guest.expect(". /etc/os-release; echo $IMAGE_ID $IMAGE_VERSION", "arch4-web1 1");
    guest.expect("hostname", "web1");
    guest.expect_in("ip -o address show dev eth0", &["172.16.0.11/16", "2001:db8::ffff:11/64"]);
    guest.expect_in("ip -o address show dev eth1", &["192.168.0.11/24", "2001:db8:0:1::11/64"]);
    guest.expect("stat -c '%a %U:%G' /etc/ssh/ssh_host_ed25519_key", "600 root:root");
    let secret = "/run/imagebuild/credentials/database.app-password";
    guest.expect(&format!("stat -c '%a %U:%G' {secret}"), "440 root:www-data");
    guest.expect(&format!("cat {secret}"), crate::vm::PASSWORD);
}

fn answers(guest: &mut Guest) {
    let servercheck = guest.http("192.168.0.11", "/servercheck.txt");
    guest.check(servercheck.ends_with("\r\n\r\nup"), &servercheck);
    let page = guest.http("192.168.0.11", "/");
    guest.check(page.starts_with("HTTP/1.1 503") && page.contains("The database is away"), &page);
    // With nobody to answer its adverts, this server takes the floating addresses.
    for (version, address) in [("4", "172.16.0.10/32"), ("6", "2001:db8::ffff:10/128")] {
        guest.within(
            native(10),
            &format!("ip -{version} -o address show dev eth0 | grep -q ' {address} '"),
        );
    }
    guest.within(native(5), "/usr/lib/imagebuild/check-balancer");
    let balanced = guest.http("172.16.0.10", "/servercheck.txt");
    guest.check(balanced.starts_with("HTTP/1.1 200") && balanced.ends_with("up"), &balanced);
    guest.expect_in(
        "bash -c 'read -r line </dev/tcp/192.168.0.11/22; echo $line'",
        &["SSH-2.0-OpenSSH"],
    );
    let offered =
        "ssh-keyscan -t ed25519 192.168.0.11 2>/dev/null | grep -v '^#' | cut -d' ' -f2,3";
    let offered = guest.ask(offered);
    let own = guest.ask("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key");
    guest.check(offered == own, &format!("sshd offers {offered}, not {own}"));
    let munin = "bash -c 'read -r line </dev/tcp/192.168.0.11/4949; echo $line'";
    guest.expect(munin, "# munin node at web1");
    guest.expect(
        "imagebuild-check",
        "good:    the firewall is loaded\ngood:    SSH answers\ngood:    munin-node runs\ngood:    the site has a certificate\ngood:    the balancer answers\ngood:    keepalived runs\ngood:    nginx serves servercheck.txt",
    );
}

/// The disk is twice the image: the state partition reaches its end.
fn uses_the_disk(guest: &mut Guest) {
    let size: u64 = guest.ask("df -B1 --output=size /var | tail -n1").trim().parse().unwrap();
    guest.check(size > 5 << 30, &format!("/var has {size} bytes only"));
    guest.ask("sfdisk --verify /dev/vda");
    guest.expect("sfdisk --dump /dev/vda 2>&1 | grep -c '^/dev/vda'", "8");
}
