//! A database server's life: the volume for data made at first boot, a restart, a power
//! cut right after a commit.

use crate::ask::{Guest, boot_on, native};
use crate::drift::{Identity, drift, no_drift};
use crate::platform::Platform;
use crate::setup::{LARGER, PASSWORD, world};
use crate::spec::is_as_specified;

pub(crate) fn database1_lives(platform: Platform) {
    let mut config = world().seeded("arch4-database1", "lives");
    config.disk = config.disk.size(LARGER);
    // The others have one: where machines wait for each other's turn, a second proves nothing.
    let mut guest = boot_on(platform, config.processors(2));
    is_as_specified(&mut guest, "arch4-database1", &[]);
    volume(&mut guest, platform, 3 << 30);
    application_logs_in(&mut guest);
    write_row(&mut guest, "first boot");
    let identity = Identity::of(&mut guest);
    drift(&mut guest);

    // A larger plan at the provider.
    guest.machine.grow_disk(0, LARGER + (4 << 30)).unwrap_or_else(|e| panic!("{e}"));
    // LVM looks at a disk that has changed, and holds its lock meanwhile.
    guest
        .ask("udevadm settle; while pgrep -x 'lvm|pvscan|vgchange' >/dev/null; do sleep 0.2; done");
    guest.reboot();
    guest.is_running();
    no_drift(&mut guest, 2);
    assert_eq!(Identity::of(&mut guest), identity);
    volume(&mut guest, platform, 6 << 30);
    write_row(&mut guest, "second boot");

    // Committed is on the disk: no time is given to write anything back.
    guest.machine.reset().unwrap_or_else(|e| panic!("{e}"));
    guest.wait_for_shell();
    guest.is_running();
    no_drift(&mut guest, 3);
    assert_eq!(Identity::of(&mut guest), identity);
    volume(&mut guest, platform, 6 << 30);
    application_logs_in(&mut guest);
    guest.expect(
        "mariadb -BN app -e 'SELECT text FROM demo_visits ORDER BY id'",
        "first boot\nsecond boot",
    );
    guest.stop();
}

/// Partition 9, group `data`, volume `mysql`, mounted where MariaDB's files are.
fn volume(guest: &mut Guest, platform: Platform, least: u64) {
    guest.expect(
        "findmnt --noheadings --output SOURCE,FSTYPE /var/lib/mysql",
        "/dev/mapper/data-mysql ext4",
    );
    let options = guest.ask("findmnt --noheadings --output OPTIONS /var/lib/mysql");
    guest.check(options.split(',').any(|option| option == "noatime"), &options);
    let (disk, partition) = (platform.disk(), platform.partition(9));
    guest.expect("vgs --noheadings -o vg_name,pv_name | xargs", &format!("data {partition}"));
    // 90 % of what 8 GiB leave besides slots and state.
    let size: u64 = guest
        .ask("lvs --noheadings --units b --nosuffix -o lv_size data/mysql")
        .trim()
        .parse()
        .unwrap();
    guest.check(size > least, &format!("the volume has {size} bytes only"));
    // And so has the file system, but for what ext4 keeps for itself.
    let files: u64 = guest
        .ask("findmnt --bytes --noheadings --output SIZE /var/lib/mysql")
        .trim()
        .parse()
        .unwrap();
    guest.check(files > least / 10 * 9, &format!("the file system has {files} bytes only"));
    guest.expect(&format!("sfdisk --dump {disk} 2>&1 | grep -c '^{disk}'"), "9");
    guest.ask("imagebuild-check");
}

/// The user `app` may come from a web server's address only: this machine takes one for
/// the question, and calls itself from there.
fn application_logs_in(guest: &mut Guest) {
    guest.expect("mariadb -BN -e 'SELECT 1'", "1");
    let password = |password: &str| password.replace('\'', r"'\''");
    let as_app = |given: &str| {
        let given = password(given);
        format!(
            "MYSQL_PWD='{given}' mariadb -BN -h 192.168.0.21 -u app app -e 'SELECT SUBSTRING_INDEX(USER(), \"@\", -1)'"
        )
    };
    let call_from = |address: &str| {
        format!("ip route replace local 192.168.0.21 dev eth1 table local src {address}")
    };
    let refused = guest.machine.run(&as_app(PASSWORD), native(3)).unwrap().stderr;
    let refused = String::from_utf8_lossy(&refused).into_owned();
    guest.check(refused.contains("'192.168.0.21' is not allowed to connect"), &refused);
    guest.ask("ip address add 192.168.0.11/32 dev lo");
    guest.ask(&call_from("192.168.0.11"));
    guest.expect(&as_app(PASSWORD), "192.168.0.11");
    let taken = guest.holds(&as_app("wrong"));
    guest.check(!taken, "`app` came in with a wrong password");
    guest.ask(&call_from("192.168.0.21"));
    guest.ask("ip address del 192.168.0.11/32 dev lo");
    guest.expect_in("bash -c 'read -r line </dev/tcp/192.168.0.21/22; echo $line'", &["SSH-2.0-"]);
    guest.expect(
        "bash -c 'read -r line </dev/tcp/192.168.0.21/4949; echo $line'",
        "# munin node at database1",
    );
}

fn write_row(guest: &mut Guest, text: &str) {
    guest.ask(&format!(
        "mariadb app -e \"INSERT INTO demo_visits (web_server, text) VALUES ('x', '{text}')\""
    ));
}
