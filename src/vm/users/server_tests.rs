use super::test_server::{Announce, serve};
use super::*;
use crate::fs::Sha256Digest;
use crate::vm::{Direction, Faults, Provider, Segment};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);
const WEB1: &str = "172.16.0.11";

struct Net {
    _folder: tempfile::TempDir,
    segment: Segment,
}

fn clients(texts: &[&str]) -> Vec<Client> {
    texts.iter().map(|text| Client::parse(text).unwrap()).collect()
}

fn net() -> (Net, Users, Users, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let segment = Segment::seeded("public", folder.path(), 1).unwrap();
    let own = clients(&["172.16.0.11/16", "2001:db8::ffff:11/64"]);
    let (server, der) = serve(&segment, "web1", &own);
    let users = clients(&["172.16.255.1/16", "172.16.255.2/16", "2001:db8::f:1/64"]);
    let users = Users::attach(&segment, "users", &users).unwrap();
    (Net { _folder: folder, segment }, server, users, der)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn pages_come_over_both_protocols() {
    let (_net, _server, users, _) = net();
    for url in ["http://172.16.0.11/", "http://[2001:db8::ffff:11]/"] {
        let exchange = users.get(url, PATIENCE).unwrap();
        assert!(exchange.is_good(), "{exchange}");
        assert_eq!((exchange.status(), exchange.server()), (Some(200), Some("web1")));
        assert_eq!(exchange.result.as_ref().unwrap().text(), "up");
        assert!(exchange.took() < PATIENCE && !exchange.reused);
    }
}

#[test]
fn https_tells_its_certificate() {
    let (_net, _server, users, der) = net();
    for url in ["https://172.16.0.11/", "https://[2001:db8::ffff:11]/"] {
        let post = Request::get(url).unwrap().method("POST").body("x".repeat(5000));
        let exchange = users.send(post, PATIENCE).unwrap();
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
    let (net, _server, users, _) = net();
    let fails = |url: &str| users.get(url, SHORT).unwrap().result.unwrap_err();
    let at = |path: &str| format!("http://{WEB1}{path}");
    assert!(users.get(&at("/"), PATIENCE).unwrap().is_good());
    assert_eq!(fails(&at(":81/")), Failure::Refused);
    assert_eq!(fails(&at("/slow")), Failure::TimedOut(Stage::Answer));
    assert_eq!(fails(&at("/reset")), Failure::Reset);
    assert_eq!(fails(&at("/half")), Failure::ClosedEarly);
    assert!(matches!(fails(&at("/noise")), Failure::BadAnswer(_)));
    assert_eq!(fails(&at(":80/").replace("http", "https")), Failure::TimedOut(Stage::Handshake));
    assert_eq!(fails("http://172.16.0.99/"), Failure::NoNeighbour);
    assert_eq!(fails("http://192.168.0.11/"), Failure::NoRoute);
    let away = users.get(&at("/away"), PATIENCE).unwrap();
    assert_eq!((away.is_good(), away.complaint().as_deref()), (false, Some("status 503")));
    net.segment.faults("web1", Direction::Both, Faults::cut()).unwrap();
    assert_eq!(fails(&at("/")), Failure::TimedOut(Stage::Connect));
    net.segment.heal();
    assert!(users.get(&at("/"), PATIENCE).unwrap().is_good());
}

#[test]
fn an_open_loop_keeps_its_rate_and_its_time() {
    let (net, _server, users, _) = net();
    let request = Request::get("http://172.16.0.11/").unwrap();
    let mut spec = LoadSpec::new(request, Pace::Open { per_second: 50.0 });
    spec.deadline = SHORT;
    let load = users.load(spec).unwrap();
    while load.count() < 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(load.so_far().iter().all(Exchange::is_good));
    net.segment.faults("web1", Direction::Both, Faults::cut()).unwrap();
    let cut = Instant::now();
    while load.count() < 40 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let felt = load.stop().unwrap();
    assert!(felt.windows(2).all(|two| two[1].sent - two[0].sent >= Duration::from_millis(19)));
    let after: Vec<&Exchange> = felt.iter().filter(|one| one.sent > cut).collect();
    assert!(!after.is_empty() && after.iter().all(|one| !one.is_good()));
    assert!(after.iter().all(|one| one.took() >= SHORT));
    let clients: std::collections::BTreeSet<IpAddr> = felt.iter().map(|one| one.client).collect();
    assert_eq!(clients.len(), 2, "both take turns");
}

#[test]
fn a_closed_loop_keeps_its_connections() {
    let (_net, _server, users, _) = net();
    let request = Request::get("http://172.16.0.11/").unwrap();
    let pause = Duration::from_millis(2);
    let mut spec = LoadSpec::new(request, Pace::Closed { users: 3, pause });
    spec.keep_alive = true;
    let load = users.load(spec).unwrap();
    while load.count() < 60 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let felt = load.stop().unwrap();
    assert!(felt.iter().all(Exchange::is_good), "{felt:?}");
    assert_eq!(felt.iter().filter(|one| !one.reused).count(), 3);
}

#[test]
fn ports_are_told_apart() {
    let (net, _server, users, _) = net();
    let how = Scan { per_second: 2000, patience: SHORT };
    for target in [WEB1, "2001:db8::ffff:11"] {
        let found = users.scan(ip(target), 1..=600, how).unwrap();
        assert_eq!(found.len(), 600);
        let open: Vec<u16> =
            found.iter().filter(|(_, state)| *state == PortState::Open).map(|(p, _)| *p).collect();
        assert_eq!(open, [80, 443]);
        assert!(found.iter().all(|(_, state)| *state != PortState::Filtered));
    }
    net.segment.faults("web1", Direction::FromMachine, Faults::cut()).unwrap();
    let found = users.scan(ip(WEB1), [80, 81], how).unwrap();
    assert_eq!(found, [(80, PortState::Filtered), (81, PortState::Filtered)]);
    let nobody = users.scan(ip("172.16.0.99"), [80], how).unwrap_err();
    assert_eq!(nobody.message(), "nobody on the segment answers for 172.16.0.99");
}

#[test]
fn udp_and_echo_answer() {
    let (net, _server, users, _) = net();
    for target in [WEB1, "2001:db8::ffff:11"] {
        let asked = vec![(53, b"?".to_vec()), (123, b"?".to_vec())];
        let found = users.probe_udp(ip(target), asked, Duration::from_secs(3)).unwrap();
        assert_eq!(found, [(53, PortState::Open), (123, PortState::Closed)], "{target}");
        assert!(users.ping(ip(target), PATIENCE).unwrap().is_some());
    }
    net.segment.faults("web1", Direction::Both, Faults::cut()).unwrap();
    assert_eq!(users.ping(ip(WEB1), SHORT).unwrap(), None);
    let found = users.probe_udp(ip(WEB1), vec![(53, b"?".to_vec())], SHORT).unwrap();
    assert_eq!(found, [(53, PortState::Filtered)]);
}

/// The second server announces the address of the first: users follow at once.
#[test]
fn users_follow_a_floating_address() {
    let (net, server, users, _) = net();
    let url = "http://172.16.0.11/";
    assert_eq!(users.get(url, PATIENCE).unwrap().server(), Some("web1"));
    drop(server);
    let (web2, _) = serve(&net.segment, "web2", &clients(&["172.16.0.11/16"]));
    let before = users.get(url, SHORT).unwrap();
    assert_eq!(before.result, Err(Failure::TimedOut(Stage::Connect)), "nothing was announced");
    let start = Instant::now();
    web2.order(Announce).unwrap();
    let is_meant = |one: &crate::vm::Sighting| one.saying.claims(ip(WEB1));
    let seen = net.segment.wait_for(start, PATIENCE, is_meant).unwrap();
    assert_eq!(seen.port, "web2");
    let after = users.get(url, PATIENCE).unwrap();
    assert_eq!(after.server(), Some("web2"), "{after}");
    assert_eq!(net.segment.last_announcer(ip(WEB1)), Some(seen));
}

#[test]
fn a_providers_floating_address_follows_the_api() {
    let (net, _server, users, _) = net();
    let (_web2, _) = serve(&net.segment, "web2", &clients(&["172.16.0.12/16"]));
    let rules = Provider::new()
        .allow("web1", [ip(WEB1), ip("2001:db8::ffff:11")])
        .allow("web2", [ip("172.16.0.12")]);
    net.segment.provider(Some(rules)).unwrap();
    for url in ["http://172.16.0.11/", "http://172.16.0.12/", "http://[2001:db8::ffff:11]/"] {
        assert!(users.get(url, PATIENCE).unwrap().is_good(), "{url}");
    }
    let (_thief, _) = serve(&net.segment, "thief", &clients(&["172.16.0.66/16"]));
    net.segment.provider(Some(Provider::new().allow("thief", []))).unwrap();
    let stolen = users.get("http://172.16.0.66/", SHORT).unwrap();
    assert_eq!(stolen.result, Err(Failure::NoNeighbour));
}

#[test]
fn loss_is_survived_and_delay_is_felt() {
    let (net, _server, users, _) = net();
    assert!(users.get("http://172.16.0.11/", PATIENCE).unwrap().is_good());
    let delay = Duration::from_millis(100);
    net.segment.faults("web1", Direction::ToMachine, Faults { delay, ..Faults::none() }).unwrap();
    let slow = users.get("http://172.16.0.11/", PATIENCE).unwrap();
    assert!(slow.is_good() && slow.took() >= delay * 2, "{slow}");
    let faults = Faults { loss: 0.2, duplicate: 0.2, ..Faults::none() };
    net.segment.faults("web1", Direction::Both, faults).unwrap();
    let lossy = users.get("http://172.16.0.11/", PATIENCE).unwrap();
    assert!(lossy.is_good(), "{lossy}");
}

#[test]
fn users_outlive_no_segment() {
    let (net, server, users, _) = net();
    drop((net, server));
    let error = users.get("http://172.16.0.11/", PATIENCE).unwrap_err();
    assert_eq!(error.message(), "the web users have ended: their segment is gone");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (net, _server, users, _) = net();
    let only_v4 = Users::attach(&net.segment, "old", &clients(&["172.16.255.9/16"])).unwrap();
    let error = only_v4.get("http://[2001:db8::ffff:11]/", SHORT).unwrap_err();
    assert!(error.message().starts_with("no web user has an IPv6 address"), "{error}");
    assert!(Users::attach(&net.segment, "none", &[]).is_err());
    assert!(Client::parse("172.16.255.1").is_err() && Client::parse("172.16.0.1/33").is_err());
    let request = Request::get("http://172.16.0.11/").unwrap();
    for pace in [
        Pace::Open { per_second: 0.0 },
        Pace::Open { per_second: f64::NAN },
        Pace::Closed { users: 0, pause: SHORT },
    ] {
        assert!(users.load(LoadSpec::new(request.clone(), pace)).is_err());
    }
}
