//! The shipped image of web1, wired to both segments, as web users see it: over IPv4 and
//! IPv6, with the cable cut and healed, after a power cut.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(dead_code, reason = "the boot tests use the rest of the harness")]

mod vm;

use imagebuild::vm::{
    Client, Direction, Exchange, Failure, Faults, MachineConfig, PortState, Scan, Segment, Stage,
    Users,
};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use vm::ask::{boot, native};
use vm::{logs, world};

const V4: &str = "http://172.16.0.10/servercheck.txt";
const V6: &str = "http://[2001:db8::ffff:10]/servercheck.txt";

/// What a web user waits for an emulated server.
const DEADLINE: Duration = Duration::from_secs(10);

struct Wired {
    public: Segment,
    private: Segment,
    users: Users,
    inside: Users,
    _folder: tempfile::TempDir,
}

fn clients(texts: &[&str]) -> Vec<Client> {
    texts.iter().map(|text| Client::parse(text).unwrap_or_else(|e| panic!("{e}"))).collect()
}

fn wire(config: &mut MachineConfig) -> Wired {
    let folder = tempfile::tempdir().unwrap();
    let segment = |name| Segment::new(name, folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let (public, private) = (segment("public"), segment("private"));
    public.capture(&logs().join("net-public.pcapng")).unwrap();
    config.nics[0].cable = public.plug("web1").unwrap();
    config.nics[1].cable = private.plug("web1").unwrap();
    let users = clients(&["172.16.255.1/16", "172.16.255.2/16", "2001:db8::f:1/64"]);
    let users = Users::attach(&public, "users", &users).unwrap();
    let inside = clients(&["192.168.0.250/24", "2001:db8:0:1::250/64"]);
    let inside = Users::attach(&private, "inside", &inside).unwrap();
    Wired { public, private, users, inside, _folder: folder }
}

fn get(users: &Users, url: &str) -> Exchange {
    let exchange = users.get(url, DEADLINE).unwrap_or_else(|e| panic!("{e}"));
    eprintln!("{exchange}");
    exchange
}

/// Until a page is good, which it must be at last.
fn until_good(users: &Users, url: &str, limit: Duration) -> Exchange {
    let start = Instant::now();
    loop {
        let exchange = get(users, url);
        if exchange.is_good() {
            return exchange;
        }
        assert!(start.elapsed() < limit, "{exchange}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn web_users_reach_web1_and_feel_its_cable() {
    let mut config = world().seeded("arch4-web1", "net");
    let wired = wire(&mut config);
    let mac = config.nics[0].mac;
    let mut guest = boot(config);
    guest.is_running();
    let Wired { public, users, inside, .. } = &wired;
    let limit = guest.machine.speed().limit(native(15)).length();
    for url in [V4, V6] {
        let page = until_good(users, url, limit);
        assert_eq!(page.result.unwrap().text(), "up\n");
    }
    holds_its_floating_addresses(public, mac);
    ports_are_as_listed(users, inside);

    feels_its_cable(&wired, limit);
    public.end_capture().unwrap();
    guest.stop();
}

fn feels_its_cable(wired: &Wired, limit: Duration) {
    let Wired { public, private, users, .. } = wired;
    public.mark("cut web1 public");
    public.faults("web1", Direction::Both, Faults::cut()).unwrap();
    for url in [V4, V6] {
        let felt = get(users, url);
        assert_eq!(felt.result, Err(Failure::TimedOut(Stage::Connect)), "{url}");
    }
    assert!(public.who_has(ip("172.16.0.11"), native(1)).unwrap().is_empty());
    assert_eq!(private.who_has(ip("192.168.0.11"), native(2)).unwrap()[0].port, "web1");
    public.mark("heal web1 public");
    public.heal();
    for url in [V4, V6] {
        assert!(until_good(users, url, limit).is_good());
    }
}

fn holds_its_floating_addresses(public: &Segment, mac: [u8; 6]) {
    for address in ["172.16.0.10", "2001:db8::ffff:10", "172.16.0.11"] {
        let answerers = public.who_has(ip(address), native(2)).unwrap();
        let [one] = answerers.as_slice() else { panic!("{address}: {answerers:?}") };
        assert_eq!((one.port.as_str(), one.mac.0), ("web1", mac));
    }
    for address in ["172.16.0.10", "2001:db8::ffff:10"] {
        let last = public.last_announcer(ip(address)).unwrap();
        assert_eq!((last.port.as_str(), last.mac.0), ("web1", mac), "{last:?}");
    }
}

/// The web is open to the public, SSH only to the private network.
fn ports_are_as_listed(users: &Users, inside: &Users) {
    let scan = |users: &Users, target: &str| {
        let found = users.scan(ip(target), [22, 80, 81, 443], Scan::default()).unwrap();
        found.into_iter().filter(|(_, state)| *state == PortState::Open).map(|(p, _)| p).collect()
    };
    let (from_public, from_private): (Vec<u16>, Vec<u16>) =
        (scan(users, "172.16.0.10"), scan(inside, "192.168.0.11"));
    assert!(!from_public.contains(&22), "{from_public:?}");
    assert!(from_public.contains(&80), "{from_public:?}");
    assert!(from_private.contains(&22), "{from_private:?}");
}
