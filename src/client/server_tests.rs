use super::test_server::{Announce, serve};
use super::*;
use crate::fs::Sha256Digest;
use crate::netsim::{Direction, Impairment, Provider, Segment};
use std::net::IpAddr;
use std::time::{Duration, Instant};

// Nothing waits so long but what is broken: TCP doubles its wait with each packet that is lost in
// a row, and a fifth of all are, in one of the tests.
const PATIENCE: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_millis(300);
const WEB1: &str = "172.16.0.11";

struct Net {
    _folder: tempfile::TempDir,
    segment: Segment,
}

fn configs(texts: &[&str]) -> Vec<ClientConfig> {
    texts.iter().map(|text| ClientConfig::parse(text).unwrap()).collect()
}

fn net() -> (Net, Clients, Clients, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let segment = Segment::seeded("public", folder.path(), 1).unwrap();
    let own = configs(&["172.16.0.11/16", "2001:db8::ffff:11/64"]);
    let (server, der) = serve(&segment, "web1", &own);
    let clients = configs(&["172.16.255.1/16", "172.16.255.2/16", "2001:db8::f:1/64"]);
    let clients = Clients::attach(&segment, "clients", &clients).unwrap();
    (Net { _folder: folder, segment }, server, clients, der)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn pages_come_over_both_protocols() {
    let (_net, _server, clients, _) = net();
    for url in ["http://172.16.0.11/", "http://[2001:db8::ffff:11]/"] {
        let exchange = clients.get(url, PATIENCE).unwrap();
        assert!(exchange.is_good(), "{exchange}");
        assert_eq!((exchange.status(), exchange.server()), (Some(200), Some("web1")));
        assert_eq!(exchange.result.as_ref().unwrap().text(), "up");
        assert!(exchange.took() < PATIENCE && !exchange.reused);
    }
}

#[test]
fn https_tells_its_certificate() {
    let (_net, _server, clients, der) = net();
    for url in ["https://172.16.0.11/", "https://[2001:db8::ffff:11]/"] {
        let post = Request::get(url).unwrap().method("POST").body("x".repeat(5000));
        let exchange = clients.send(post, PATIENCE).unwrap();
        assert!(exchange.is_good(), "{exchange}");
        let answer = exchange.result.unwrap();
        assert_eq!(answer.body.len(), 5002);
        if url.contains("172") {
            assert_eq!(answer.certificate, Some(Sha256Digest::of(&der)));
        }
    }
}

#[test]
fn every_failure_has_its_name() {
    let (net, _server, clients, _) = net();
    let fails = |url: &str| clients.get(url, SHORT).unwrap().result.unwrap_err();
    let at = |path: &str| format!("http://{WEB1}{path}");
    assert!(clients.get(&at("/"), PATIENCE).unwrap().is_good());
    assert_eq!(fails(&at(":81/")), Failure::Refused);
    assert_eq!(fails(&at("/slow")), Failure::TimedOut(Phase::Answer));
    assert_eq!(fails(&at("/reset")), Failure::Reset);
    assert_eq!(fails(&at("/half")), Failure::ClosedEarly);
    assert!(matches!(fails(&at("/noise")), Failure::BadAnswer(_)));
    assert_eq!(fails(&at(":80/").replace("http", "https")), Failure::TimedOut(Phase::Handshake));
    assert_eq!(fails("http://172.16.0.99/"), Failure::NoNeighbour);
    assert_eq!(fails("http://192.168.0.11/"), Failure::NoRoute);
    let away = clients.get(&at("/away"), PATIENCE).unwrap();
    assert_eq!((away.is_good(), away.complaint().as_deref()), (false, Some("status 503")));
    net.segment.impair("web1", Direction::Both, Impairment::disconnected()).unwrap();
    assert_eq!(fails(&at("/")), Failure::TimedOut(Phase::Connect));
    net.segment.reset();
    assert!(clients.get(&at("/"), PATIENCE).unwrap().is_good());
}

#[test]
fn an_open_loop_keeps_its_rate_and_its_time() {
    let (net, _server, clients, _) = net();
    let request = Request::get("http://172.16.0.11/").unwrap();
    let mut spec = LoadSpec::new(request, Pace::Open { per_second: 50.0 });
    spec.deadline = SHORT;
    let load = clients.load(spec).unwrap();
    while load.count() < 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(load.so_far().iter().all(Exchange::is_good));
    net.segment.impair("web1", Direction::Both, Impairment::disconnected()).unwrap();
    let cut = Instant::now();
    while load.count() < 40 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = load.stop().unwrap();
    assert!(log.windows(2).all(|two| two[1].sent - two[0].sent >= Duration::from_millis(19)));
    let after: Vec<&Exchange> = log.iter().filter(|one| one.sent > cut).collect();
    assert!(!after.is_empty() && after.iter().all(|one| !one.is_good()));
    assert!(after.iter().all(|one| one.took() >= SHORT));
    let clients: std::collections::BTreeSet<IpAddr> = log.iter().map(|one| one.client).collect();
    assert_eq!(clients.len(), 2, "both take turns");
}

#[test]
fn a_closed_loop_keeps_its_connections() {
    let (_net, _server, clients, _) = net();
    let request = Request::get("http://172.16.0.11/").unwrap();
    let pause = Duration::from_millis(2);
    let mut spec = LoadSpec::new(request, Pace::Closed { clients: 3, pause });
    spec.keep_alive = true;
    let load = clients.load(spec).unwrap();
    while load.count() < 60 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = load.stop().unwrap();
    assert!(log.iter().all(Exchange::is_good), "{log:?}");
    assert_eq!(log.iter().filter(|one| !one.reused).count(), 3);
}

#[test]
fn ports_are_told_apart() {
    let (net, _server, clients, _) = net();
    let how = Scan { per_second: 2000, patience: SHORT };
    for target in [WEB1, "2001:db8::ffff:11"] {
        let found = clients.scan(ip(target), 1..=600, how).unwrap();
        assert_eq!(found.len(), 600);
        let open: Vec<u16> =
            found.iter().filter(|(_, state)| *state == PortState::Open).map(|(p, _)| *p).collect();
        assert_eq!(open, [80, 443]);
        assert!(found.iter().all(|(_, state)| *state != PortState::Filtered));
    }
    net.segment.impair("web1", Direction::FromMachine, Impairment::disconnected()).unwrap();
    let found = clients.scan(ip(WEB1), [80, 81], how).unwrap();
    assert_eq!(found, [(80, PortState::Filtered), (81, PortState::Filtered)]);
    let nobody = clients.scan(ip("172.16.0.99"), [80], how).unwrap_err();
    assert_eq!(nobody.message(), "nobody on the segment answers for 172.16.0.99");
}

#[test]
fn udp_and_echo_answer() {
    let (net, _server, clients, _) = net();
    for target in [WEB1, "2001:db8::ffff:11"] {
        let asked = vec![(53, b"?".to_vec()), (123, b"?".to_vec())];
        let found = clients.probe_udp(ip(target), asked, Duration::from_secs(3)).unwrap();
        assert_eq!(found, [(53, PortState::Open), (123, PortState::Closed)], "{target}");
        assert!(clients.ping(ip(target), PATIENCE).unwrap().is_some());
    }
    net.segment.impair("web1", Direction::Both, Impairment::disconnected()).unwrap();
    assert_eq!(clients.ping(ip(WEB1), SHORT).unwrap(), None);
    let found = clients.probe_udp(ip(WEB1), vec![(53, b"?".to_vec())], SHORT).unwrap();
    assert_eq!(found, [(53, PortState::Filtered)]);
}

/// The second server announces the address of the first: clients follow at once.
#[test]
fn users_follow_a_floating_address() {
    let (net, server, clients, _) = net();
    let url = "http://172.16.0.11/";
    assert_eq!(clients.get(url, PATIENCE).unwrap().server(), Some("web1"));
    drop(server);
    let (web2, _) = serve(&net.segment, "web2", &configs(&["172.16.0.11/16"]));
    let before = clients.get(url, SHORT).unwrap();
    assert_eq!(before.result, Err(Failure::TimedOut(Phase::Connect)), "nothing was announced");
    let start = Instant::now();
    web2.order(Announce).unwrap();
    let is_meant = |one: &crate::netsim::Observation| one.message.claims(ip(WEB1));
    let seen = net.segment.wait_for(start, PATIENCE, is_meant).unwrap();
    assert_eq!(seen.port, "web2");
    let after = clients.get(url, PATIENCE).unwrap();
    assert_eq!(after.server(), Some("web2"), "{after}");
    assert_eq!(net.segment.last_announcer(ip(WEB1)), Some(seen));
}

#[test]
fn a_providers_floating_address_follows_the_api() {
    let (net, _server, clients, _) = net();
    let (_web2, _) = serve(&net.segment, "web2", &configs(&["172.16.0.12/16"]));
    let rules = Provider::new()
        .allow("web1", [ip(WEB1), ip("2001:db8::ffff:11")])
        .allow("web2", [ip("172.16.0.12")]);
    net.segment.provider(Some(rules)).unwrap();
    for url in ["http://172.16.0.11/", "http://172.16.0.12/", "http://[2001:db8::ffff:11]/"] {
        assert!(clients.get(url, PATIENCE).unwrap().is_good(), "{url}");
    }
    let (_thief, _) = serve(&net.segment, "thief", &configs(&["172.16.0.66/16"]));
    net.segment.provider(Some(Provider::new().allow("thief", []))).unwrap();
    let stolen = clients.get("http://172.16.0.66/", SHORT).unwrap();
    assert_eq!(stolen.result, Err(Failure::NoNeighbour));
}

#[test]
fn loss_is_survived_and_delay_is_measured() {
    let (net, _server, clients, _) = net();
    assert!(clients.get("http://172.16.0.11/", PATIENCE).unwrap().is_good());
    let delay = Duration::from_millis(100);
    net.segment
        .impair("web1", Direction::ToMachine, Impairment { delay, ..Impairment::none() })
        .unwrap();
    let slow = clients.get("http://172.16.0.11/", PATIENCE).unwrap();
    assert!(slow.is_good() && slow.took() >= delay * 2, "{slow}");
    let impairment = Impairment { loss: 0.2, duplicate: 0.2, ..Impairment::none() };
    net.segment.impair("web1", Direction::Both, impairment).unwrap();
    let lossy = clients.get("http://172.16.0.11/", PATIENCE).unwrap();
    assert!(lossy.is_good(), "{lossy}");
}

#[test]
fn users_outlive_no_segment() {
    let (net, server, clients, _) = net();
    drop((net, server));
    let error = clients.get("http://172.16.0.11/", PATIENCE).unwrap_err();
    assert_eq!(error.message(), "the web clients have ended: their segment is gone");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (net, _server, clients, _) = net();
    let only_v4 = Clients::attach(&net.segment, "old", &configs(&["172.16.255.9/16"])).unwrap();
    let error = only_v4.get("http://[2001:db8::ffff:11]/", SHORT).unwrap_err();
    assert!(error.message().starts_with("no web client has an IPv6 address"), "{error}");
    assert!(Clients::attach(&net.segment, "none", &[]).is_err());
    assert!(
        ClientConfig::parse("172.16.255.1").is_err()
            && ClientConfig::parse("172.16.0.1/33").is_err()
    );
    let request = Request::get("http://172.16.0.11/").unwrap();
    for pace in [
        Pace::Open { per_second: 0.0 },
        Pace::Open { per_second: f64::NAN },
        Pace::Closed { clients: 0, pause: SHORT },
    ] {
        assert!(clients.load(LoadSpec::new(request.clone(), pace)).is_err());
    }
}
