//! Every server of the six architectures: what its roles promise, and nothing beyond the spec.
//! All of an architecture are asked in the boot that its scenarios start from; then each of
//! those that serve anything without the others is left alone. One of each kind of pair is
//! booted alone, too. web1 and database1 of architecture 4 are looked at in the same way where
//! they live (web.rs, database.rs).

use crate::ask::{Guest, boot_on, native};
use crate::drift::{Identity, drift, no_drift};
use crate::platform::Platform;
use crate::setup::world;
use crate::spec::{is_as_specified, takes_floating_addresses};
use imagebuild::error::Result;
use imagebuild::qemu::Machine;
use imagebuild::runner::Cluster;
use imagebuild::spec::{Architecture, Purpose};

const WELL: &[&str] = &[];

/// One of a pair alone may neither write nor be read from.
const WITHOUT_PEER: &[&str] = &["this database writes, or follows the one that does"];

/// Nobody's heartbeat has to be heard here: a small time scale, so that what waits for the other
/// servers gives up soon; large enough that checks leave an emulated machine of a slow host time
/// for anything else (with 8, `systemctl` waited for more than 25 s there).
const FACTOR: &[u8] = b"12";

/// What a server is asked that the others have left.
type Alone = fn(&mut Guest, &str);

/// The servers that serve something alone, in the architectures that have any.
const ALONE: [(&str, &[(&str, Alone)]); 5] = [
    ("arch1", &[("web1", web_with_a_cache)]),
    ("arch2", &[("web1", static_web), ("web2", dynamic_web)]),
    ("arch4", &[("web2", behind_balancer_of_private)]),
    ("arch5", &[("web1", plain_web)]),
    ("arch6", &[("web1", behind_balancer_of_private), ("web2", behind_balancer_of_private)]),
];

/// Where munin's graphs are; architecture 4's are asked for in web1's life.
const GRAPHS: [(&str, &str); 5] = [
    ("arch1", "web1"),
    ("arch2", "web1"),
    ("arch3", "server1"),
    ("arch5", "web1"),
    ("arch6", "web1"),
];

/// Asks all servers of an architecture that is up; then some of them without the others.
pub(crate) fn of_architecture(
    cluster: &mut Cluster<'_>,
    architecture: &Architecture,
) -> Result<()> {
    cluster.restore()?;
    let password = cluster.passwords().iter().find(|one| one.purpose.contains("munin"));
    let password = password.map(|one| one.password.clone());
    let machines: Result<Vec<Machine>> =
        architecture.servers.keys().map(|name| cluster.take(name)).collect();
    let machines = asked_at_a_time(machines?, |guest, name| {
        let image = format!("{}-{name}", architecture.name);
        is_as_specified(guest, &image, WELL);
        if GRAPHS.contains(&(&architecture.name, name)) {
            graphs(guest, &image, password.as_deref().unwrap());
        }
    });
    machines.into_iter().for_each(|machine| cluster.give_back(machine));
    let alone = ALONE.iter().find(|(name, _)| *name == architecture.name);
    for (name, ask) in alone.map_or(&[][..], |(_, servers)| servers) {
        left_alone(cluster, architecture, name, *ask)?;
    }
    Ok(())
}

/// Gives the machines back; a failed question of one fails the test when all have answered.
fn asked_at_a_time(machines: Vec<Machine>, ask: impl Fn(&mut Guest, &str) + Sync) -> Vec<Machine> {
    let ask = &ask;
    std::thread::scope(|scope| {
        let threads: Vec<_> = machines
            .into_iter()
            .map(|machine| {
                scope.spawn(move || {
                    let mut guest = Guest { machine };
                    let name = guest.machine.config().name.clone();
                    ask(&mut guest, &name);
                    guest.machine
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Machine>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// The others lose their power.
fn left_alone(
    cluster: &mut Cluster<'_>,
    architecture: &Architecture,
    name: &str,
    ask: Alone,
) -> Result<()> {
    cluster.restore()?;
    for other in architecture.servers.keys().filter(|other| *other != name) {
        let mut machine = cluster.take(other)?;
        machine.power_off()?;
        cluster.give_back(machine);
    }
    let mut guest = Guest { machine: cluster.take(name)? };
    ask(&mut guest, &format!("{}-{name}", architecture.name));
    cluster.give_back(guest.machine);
    Ok(())
}

/// A server at its first boot, which has never seen another.
fn booted_alone(platform: Platform, image: &str, unwell: &[&str]) -> Guest {
    let mut config = world().seeded(image, "alone");
    let time_scale = config.credentials.iter_mut().find(|one| one.name == "time-scale");
    time_scale.unwrap().content = FACTOR.into();
    let mut guest = boot_on(platform, config);
    is_as_specified(&mut guest, image, unwell);
    guest
}

/// The power is cut: what /var had is there, everything else is as shipped. Beside web1 and
/// database1 of architecture 4 a server with a cache, one with application and database, and
/// one of a pair; the others have nothing in /var that one of these has not.
fn survives(guest: &mut Guest, image: &str, unwell: &[&str]) {
    let identity = Identity::of(guest);
    guest.ask("echo kept >/var/lib/kept; sync /var/lib/kept");
    drift(guest);
    guest.machine.reset().unwrap_or_else(|e| panic!("{e}"));
    guest.wait_for_shell();
    is_as_specified(guest, image, unwell);
    no_drift(guest, 2);
    guest.expect("cat /var/lib/kept", "kept");
    assert_eq!(Identity::of(guest), identity);
}

fn web_with_a_cache(guest: &mut Guest, image: &str) {
    plain_web(guest, image);
    database_is_away(guest, "2001:db8::ffff:11");
    // What the cache has is served while the database is away.
    let rows = r#"["database"=>"kept","visits"=>7,"last"=>7]"#;
    guest.ask(&format!(
        "php8.4 -r '$m = new Memcached(); $m->addServer(\"/run/memcached/memcached.sock\", 0); exit($m->set(\"visits\", {rows}, 60) ? 0 : 1);'"
    ));
    let page = guest.http("172.16.0.11", "/?format=json");
    guest.check(page.starts_with("HTTP/1.1 200") && page.contains(r#""cached":true"#), &page);
    survives(guest, image, WELL);
}

fn plain_web(guest: &mut Guest, _: &str) {
    database_is_away(guest, "172.16.0.11");
}

fn static_web(guest: &mut Guest, _: &str) {
    for address in ["172.16.0.11", "2001:db8::ffff:11"] {
        let style = guest.http(address, "/style.css");
        guest.check(style.starts_with("HTTP/1.1 200") && style.contains("font-weight"), &style);
        let nowhere = guest.http(address, "/nowhere.png");
        guest.check(nowhere.starts_with("HTTP/1.1 404"), &nowhere);
    }
    // No route to web2 is known at once; a host that is silent takes the time-out.
    let page = guest.http("172.16.0.11", "/");
    guest.check(page.starts_with("HTTP/1.1 502") || page.starts_with("HTTP/1.1 504"), &page);
}

fn dynamic_web(guest: &mut Guest, image: &str) {
    servercheck(guest, "192.168.0.12");
    writes_and_reads(guest, "192.168.0.12");
    survives(guest, image, WELL);
}

/// Served behind the floating address, which comes to it.
fn behind_balancer_of_private(guest: &mut Guest, image: &str) {
    let (_, server) = world().server(image);
    let own = server.addresses["private"].v4.unwrap().to_string();
    behind_balancer(guest, image, &own);
}

pub(crate) fn arch3_server1(platform: Platform) {
    let image = "arch3-server1";
    let mut guest = booted_alone(platform, image, WITHOUT_PEER);
    peer(&mut guest, image, "172.16.0.11");
    waits_for_its_peer(&mut guest);
    guest.stop();
}

pub(crate) fn arch5_database1(platform: Platform) {
    let image = "arch5-database1";
    let mut guest = booted_alone(platform, image, WITHOUT_PEER);
    waits_for_its_peer(&mut guest);
    guest.stop();
}

pub(crate) fn arch6_database1(platform: Platform) {
    let image = "arch6-database1";
    let mut guest = booted_alone(platform, image, WITHOUT_PEER);
    takes_floating_addresses(&mut guest, image, &[Purpose::DatabaseReads]);
    guest.expect_in("ipvsadm --list --numeric", &["FWM  30 rr", "FWM  286 IPv6 rr"]);
    waits_for_its_peer(&mut guest);
    guest.stop();
}

/// Holds all floating addresses, serves its pages on them, and says where its data is not.
fn peer(guest: &mut Guest, image: &str, own: &str) {
    takes_floating_addresses(guest, image, &[Purpose::Web]);
    for address in [own, "172.16.0.10", "2001:db8::ffff:10"] {
        servercheck(guest, address);
        database_is_away(guest, address);
    }
    // LVS knows both marks, for IPv4 and IPv6, and sends no visitor to a site that
    // cannot write: its own page says what is wrong.
    guest.expect_in("ipvsadm --list --numeric", &["FWM  10 rr", "FWM  266 IPv6 rr"]);
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

/// On its first day, before it has ever heard the other voters: takes no writes, lets the
/// application not even read, holds no address for writes, and says whom it waits for.
fn waits_for_its_peer(guest: &mut Guest) {
    guest.within(native(20), "imagebuild-replication status | grep -q '^needs=VoterMissing'");
    guest.expect("mariadb -BN -e 'SELECT @@read_only'", "1");
    let locked = "mariadb -BN -e \"SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'app' AND JSON_VALUE(Priv, '$.account_locked') IS NOT TRUE\"";
    guest.expect(locked, "0");
    guest.expect_in("imagebuild-replication || true", &["role=unknown", "reads=no"]);
    guest.expect("cat /run/imagebuild/pair/address-fault", "1");
}

/// munin's pages: with the password over TLS only, with every server of the architecture.
pub(crate) fn graphs(guest: &mut Guest, image: &str, password: &str) {
    let (architecture, server) = world().server(image);
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
    let start = "systemctl start imagebuild-munin.service || { journalctl -q --no-pager -u imagebuild-munin.service; tail -n 20 /var/log/munin/*.log; false; }";
    guest.machine.succeed(start, native(60)).unwrap();
    let others: Vec<&str> = architecture.servers.keys().map(String::as_str).collect();
    guest.expect_in(&get("/munin/", password), &["HTTP/1.1 200", &server.name]);
    let all = guest.ask("cat /etc/munin/munin.conf");
    guest.check(others.iter().all(|one| all.contains(&format!(";{one}]"))), &all);
    let graph = format!("/munin/{}/{}/cpu-day.png", architecture.name, server.name);
    guest.expect_in(&format!("{} | tr -d '\\0'", get(&graph, password)), &["HTTP/1.1 200"]);
}
