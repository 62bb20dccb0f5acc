//! The shipped image of web1, wired to both segments, as web clients see it: over IPv4 and
//! IPv6, with the cable cut and healed, after a power cut.

use crate::ask::{Guest, native};
use crate::setup::logs;
use imagebuild::client::{ClientConfig, Clients, Exchange, Failure, Phase, PortState, Scan};
use imagebuild::netsim::{Direction, Impairment, Segment};
use imagebuild::qemu::MachineConfig;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const V4: &str = "http://172.16.0.10/servercheck.txt";
const V6: &str = "http://[2001:db8::ffff:10]/servercheck.txt";

/// What a web client waits for an emulated server.
const DEADLINE: Duration = Duration::from_secs(10);

/// Both networks of a machine, with somebody on each.
pub(crate) struct Wired {
    public: Segment,
    private: Segment,
    pub(crate) users: Clients,
    inside: Clients,
    pub(crate) folder: tempfile::TempDir,
}

impl Wired {
    pub(crate) fn public(&self) -> &Segment {
        &self.public
    }
}

fn clients(texts: &[&str]) -> Vec<ClientConfig> {
    texts.iter().map(|text| ClientConfig::parse(text).unwrap_or_else(|e| panic!("{e}"))).collect()
}

/// Plugs a machine into new networks.
pub(crate) fn wire(config: &mut MachineConfig) -> Wired {
    let folder = tempfile::tempdir().unwrap();
    let segment = |name| Segment::new(name, folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let (public, private) = (segment("public"), segment("private"));
    public.capture(&logs().join("net-public.pcapng")).unwrap();
    config.nics[0].cable = public.plug("web1").unwrap();
    config.nics[1].cable = private.plug("web1").unwrap();
    let users = clients(&["172.16.255.1/16", "172.16.255.2/16", "2001:db8::f:1/64"]);
    let users = Clients::attach(&public, "clients", &users).unwrap();
    let inside = clients(&["192.168.0.250/24", "2001:db8:0:1::250/64"]);
    let inside = Clients::attach(&private, "inside", &inside).unwrap();
    Wired { public, private, users, inside, folder }
}

fn get(users: &Clients, url: &str) -> Exchange {
    let exchange = users.get(url, DEADLINE).unwrap_or_else(|e| panic!("{e}"));
    eprintln!("{exchange}");
    exchange
}

/// Until a page is good, which it must be at last.
fn until_good(users: &Clients, url: &str, limit: Duration) -> Exchange {
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

/// All that web clients see of a machine that is up.
pub(crate) fn is_reached(guest: &mut Guest, wired: &Wired) {
    let mac = guest.machine.config().nics[0].mac;
    let limit = guest.machine.speed().limit(native(15)).length();
    for url in [V4, V6] {
        let page = until_good(&wired.users, url, limit);
        assert_eq!(page.result.unwrap().text(), "up\n");
    }
    holds_its_floating_addresses(&wired.public, mac);
    ports_are_as_listed(&wired.users, &wired.inside);
    feels_its_cable(wired, limit);
    wired.public.end_capture().unwrap();
}

fn feels_its_cable(wired: &Wired, limit: Duration) {
    let Wired { public, private, users, .. } = wired;
    public.mark("disconnect web1 public");
    public.impair("web1", Direction::Both, Impairment::disconnected()).unwrap();
    for url in [V4, V6] {
        let impact = get(users, url);
        assert_eq!(impact.result, Err(Failure::TimedOut(Phase::Connect)), "{url}");
    }
    assert!(public.who_has(ip("172.16.0.11"), native(1)).unwrap().is_empty());
    assert_eq!(private.who_has(ip("192.168.0.11"), native(2)).unwrap()[0].port, "web1");
    public.mark("reset-network public");
    public.reset();
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
fn ports_are_as_listed(users: &Clients, inside: &Clients) {
    let scan = |users: &Clients, target: &str| {
        let found = users.scan(ip(target), [22, 80, 81, 443], Scan::default()).unwrap();
        found.into_iter().filter(|(_, state)| *state == PortState::Open).map(|(p, _)| p).collect()
    };
    let (from_public, from_private): (Vec<u16>, Vec<u16>) =
        (scan(users, "172.16.0.10"), scan(inside, "192.168.0.11"));
    assert!(!from_public.contains(&22), "{from_public:?}");
    assert!(from_public.contains(&80), "{from_public:?}");
    assert!(from_private.contains(&22), "{from_private:?}");
}
