//! Every server of the six architectures, alone: running, what its roles promise without
//! the other servers, nothing beyond the spec. web1 and database1 of architecture 4 are
//! looked at in the same way where they live (web.rs, database.rs).

use crate::vm::ask::{Guest, boot, native};
use crate::vm::spec::{is_as_specified, takes_floating_addresses};
use crate::vm::{MUNIN_PASSWORD, world};
use crate::{Identity, drift, no_drift};
use imagebuild::spec::Purpose;
use imagebuild::vm::{Bus, Firmware};

const WELL: &[&str] = &[];

/// One of a pair alone may neither write nor be read from.
const WITHOUT_TWIN: &[&str] = &["this database writes, or follows the one that does"];

/// Nobody's heartbeat has to be heard here: a small factor, so that what waits for the
/// other servers gives up soon.
const FACTOR: &[u8] = b"8";

fn alone(image: &str, firmware: Firmware, unwell: &[&str]) -> Guest {
    let mut config = world().seeded(image, "alone").platform(firmware, Bus::VirtioBlk);
    let factor = config.credentials.iter_mut().find(|one| one.name == "timers.factor");
    factor.unwrap().content = FACTOR.into();
    let mut guest = boot(config);
    is_as_specified(&mut guest, image, unwell);
    guest
}

/// The power is cut: what /var had is there, everything else is as shipped. Beside web1 and
/// database1 of architecture 4 a server with a cache, one with application and database, and
/// one of a pair; the others have nothing in /var that one of these has not.
fn survives(mut guest: Guest, image: &str, unwell: &[&str]) {
    let identity = Identity::of(&mut guest);
    guest.ask("echo kept >/var/lib/kept; sync /var/lib/kept");
    drift(&mut guest);
    guest.machine.cut_power().unwrap_or_else(|e| panic!("{e}"));
    guest.wait_for_shell();
    is_as_specified(&mut guest, image, unwell);
    no_drift(&mut guest, 2);
    guest.expect("cat /var/lib/kept", "kept");
    assert_eq!(Identity::of(&mut guest), identity);
    guest.stop();
}

pub(crate) fn arch1_web1() {
    let mut guest = alone("arch1-web1", Firmware::Uefi, WELL);
    for address in ["172.16.0.11", "2001:db8::ffff:11"] {
        database_is_away(&mut guest, address);
    }
    // What the cache has is served while the database is away.
    let rows = r#"["database"=>"kept","visits"=>7,"last"=>7]"#;
    guest.ask(&format!(
        "php8.4 -r '$m = new Memcached(); $m->addServer(\"/run/memcached/memcached.sock\", 0); exit($m->set(\"visits\", {rows}, 60) ? 0 : 1);'"
    ));
    let page = guest.http("172.16.0.11", "/?format=json");
    guest.check(page.starts_with("HTTP/1.1 200") && page.contains(r#""cached":true"#), &page);
    graphs(&mut guest, "arch1", "web1");
    survives(guest, "arch1-web1", WELL);
}

pub(crate) fn arch1_database1() {
    alone("arch1-database1", Firmware::Bios, WELL).stop();
}

pub(crate) fn arch2_web1() {
    let mut guest = alone("arch2-web1", Firmware::Bios, WELL);
    for address in ["172.16.0.11", "2001:db8::ffff:11"] {
        let style = guest.http(address, "/style.css");
        guest.check(style.starts_with("HTTP/1.1 200") && style.contains("font-weight"), &style);
        let nowhere = guest.http(address, "/nowhere.png");
        guest.check(nowhere.starts_with("HTTP/1.1 404"), &nowhere);
    }
    // No route to web2 is known at once; a host that is silent takes the time-out.
    let page = guest.http("172.16.0.11", "/");
    guest.check(page.starts_with("HTTP/1.1 502") || page.starts_with("HTTP/1.1 504"), &page);
    graphs(&mut guest, "arch2", "web1");
    guest.stop();
}

pub(crate) fn arch2_web2() {
    let mut guest = alone("arch2-web2", Firmware::Uefi, WELL);
    servercheck(&mut guest, "192.168.0.12");
    writes_and_reads(&mut guest, "192.168.0.12");
    survives(guest, "arch2-web2", WELL);
}

pub(crate) fn arch3_server1() {
    let mut guest = alone("arch3-server1", Firmware::Bios, WITHOUT_TWIN);
    twin(&mut guest, "arch3-server1", "172.16.0.11");
    graphs(&mut guest, "arch3", "server1");
    waits_for_its_twin(&mut guest, "server2 does not answer, and may have writes");
    // Until a person says that the other one is lost.
    guest.ask("echo server2 | imagebuild-replication alone");
    guest.within(native(20), "mariadb -BN -e 'SELECT @@read_only' | grep -qx 0");
    guest.within(native(20), "imagebuild-check");
    writes_and_reads(&mut guest, "172.16.0.11");
    survives(guest, "arch3-server1", WELL);
}

pub(crate) fn arch3_server2() {
    let mut guest = alone("arch3-server2", Firmware::Uefi, WITHOUT_TWIN);
    twin(&mut guest, "arch3-server2", "172.16.0.12");
    waits_for_its_twin(&mut guest, "server1 does not answer, and may have writes");
    guest.stop();
}

/// Holds all floating addresses, serves its pages on them, and says where its data is not.
fn twin(guest: &mut Guest, image: &str, own: &str) {
    takes_floating_addresses(guest, image, &[Purpose::Web, Purpose::DatabaseWrites]);
    for address in [own, "172.16.0.10", "2001:db8::ffff:10"] {
        servercheck(guest, address);
        database_is_away(guest, address);
    }
    // LVS knows both marks, for IPv4 and IPv6, and sends no visitor to a site that
    // cannot write: its own page says what is wrong.
    guest.expect_in("ipvsadm --list --numeric", &["FWM  10 rr", "FWM  266 IPv6 rr"]);
}

pub(crate) fn arch4_web2() {
    balanced("arch4-web2", Firmware::Uefi, "192.168.0.12").stop();
}

pub(crate) fn arch5_web1() {
    let mut guest = alone("arch5-web1", Firmware::Uefi, WELL);
    database_is_away(&mut guest, "172.16.0.11");
    graphs(&mut guest, "arch5", "web1");
    guest.stop();
}

pub(crate) fn arch5_database1() {
    let mut guest = alone("arch5-database1", Firmware::Bios, WITHOUT_TWIN);
    takes_floating_addresses(&mut guest, "arch5-database1", &[Purpose::DatabaseWrites]);
    waits_for_its_twin(&mut guest, "neither database2 nor any other server is seen");
    guest.stop();
}

pub(crate) fn arch5_database2() {
    let mut guest = alone("arch5-database2", Firmware::Uefi, WITHOUT_TWIN);
    takes_floating_addresses(&mut guest, "arch5-database2", &[Purpose::DatabaseWrites]);
    waits_for_its_twin(&mut guest, "neither database1 nor any other server is seen");
    guest.stop();
}

pub(crate) fn arch6_web1() {
    let mut guest = balanced("arch6-web1", Firmware::Bios, "192.168.0.11");
    graphs(&mut guest, "arch6", "web1");
    guest.stop();
}

pub(crate) fn arch6_web2() {
    balanced("arch6-web2", Firmware::Uefi, "192.168.0.12").stop();
}

pub(crate) fn arch6_database1() {
    let mut guest = alone("arch6-database1", Firmware::Uefi, WITHOUT_TWIN);
    both_database_addresses(&mut guest, "arch6-database1", "database2");
    guest.stop();
}

pub(crate) fn arch6_database2() {
    let mut guest = alone("arch6-database2", Firmware::Bios, WITHOUT_TWIN);
    both_database_addresses(&mut guest, "arch6-database2", "database1");
    guest.stop();
}

fn both_database_addresses(guest: &mut Guest, image: &str, twin: &str) {
    let purposes = [Purpose::DatabaseReads, Purpose::DatabaseWrites];
    takes_floating_addresses(guest, image, &purposes);
    guest.expect_in("ipvsadm --list --numeric", &["FWM  30 rr", "FWM  286 IPv6 rr"]);
    waits_for_its_twin(guest, &format!("neither {twin} nor any other server is seen"));
}

/// A web server behind the floating address, which comes to it.
fn balanced(image: &str, firmware: Firmware, own: &str) -> Guest {
    let mut guest = alone(image, firmware, WELL);
    behind_balancer(&mut guest, image, own);
    guest
}

/// Pages by its own address and through HAProxy on the floating one.
pub(crate) fn behind_balancer(guest: &mut Guest, image: &str, own: &str) {
    takes_floating_addresses(guest, image, &[Purpose::Web]);
    guest.within(native(5), "/usr/lib/imagebuild/check-balancer");
    for address in [own, "172.16.0.10", "2001:db8::ffff:10"] {
        servercheck(guest, address);
        database_is_away(guest, address);
    }
}

fn servercheck(guest: &mut Guest, address: &str) {
    let said = guest.http(address, "/servercheck.txt");
    guest.check(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\nup"), &said);
}

fn database_is_away(guest: &mut Guest, address: &str) {
    let page = guest.http(address, "/");
    guest.check(page.starts_with("HTTP/1.1 503") && page.contains("The database is away"), &page);
}

fn writes_and_reads(guest: &mut Guest, address: &str) {
    let page = guest.http(address, "/?format=json&write=hello");
    guest.check(page.starts_with("HTTP/1.1 200") && page.contains(r#""written":1"#), &page);
    guest.check(page.contains(r#""visits":1"#), &page);
    guest.expect("mariadb -BN app -e 'SELECT text FROM demo_visits'", "hello");
}

/// Takes no writes, lets the application not even read, and says why.
fn waits_for_its_twin(guest: &mut Guest, reason: &str) {
    guest.expect("mariadb -BN -e 'SELECT @@read_only'", "1");
    guest.within(
        native(20),
        &format!("journalctl -b -q -u imagebuild-replication | grep -q '{reason}'"),
    );
    let locked = "mariadb -BN -e \"SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'app' AND JSON_VALUE(Priv, '$.account_locked') IS NOT TRUE\"";
    guest.expect(locked, "0");
    guest.expect_in("imagebuild-replication || true", &["role=reader", "reads=no"]);
}

/// munin's pages: with the password over TLS only, with every server of the architecture.
pub(crate) fn graphs(guest: &mut Guest, architecture: &str, server: &str) {
    let get = |path: &str, password: &str| {
        let login = format!("$(printf 'munin:{password}' | base64)");
        format!(
            "printf 'GET {path} HTTP/1.0\\r\\nAuthorization: Basic %s\\r\\n\\r\\n' \"{login}\" | openssl s_client -quiet -connect 192.168.0.11:8443 2>/dev/null"
        )
    };
    guest.expect_in(&get("/munin/static/style-new.css", "wrong"), &["HTTP/1.1 401"]);
    let plain = guest.machine.run(
        "bash -c 'exec 3<>/dev/tcp/192.168.0.11/8443; printf \"GET /munin/ HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'",
        native(3),
    );
    let plain = String::from_utf8_lossy(&plain.unwrap().stdout).into_owned();
    guest.check(plain.starts_with("HTTP/1.1 400"), &plain);
    // All servers are asked; those that are not there take their time.
    guest.machine.succeed("systemctl start imagebuild-munin.service", native(60)).unwrap();
    let (names, _) = world().server(&format!("{architecture}-{server}"));
    let others: Vec<&str> = names.servers.keys().map(String::as_str).collect();
    guest.expect_in(&get("/munin/", MUNIN_PASSWORD), &["HTTP/1.1 200", server]);
    let all = guest.ask("cat /etc/munin/munin.conf");
    guest.check(others.iter().all(|one| all.contains(&format!(";{one}]"))), &all);
    let graph = format!("/munin/{architecture}/{server}/cpu-day.png");
    guest.expect_in(&format!("{} | tr -d '\\0'", get(&graph, MUNIN_PASSWORD)), &["HTTP/1.1 200"]);
}
