use super::super::frame::Mac;
use super::super::frame::tests::{A, B, arp_frame};
use super::super::stream::{FrameReader, Outbox};
use super::*;
use std::os::unix::net::UnixStream;

const X: [u8; 4] = [172, 16, 0, 10];
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine that is plugged in.
struct Host {
    stream: UnixStream,
    reader: FrameReader,
    got: Vec<Frame>,
}

impl Host {
    fn plug(segment: &Segment, port: &str) -> Host {
        let Cable::Stream(path) = segment.plug(port).unwrap() else { panic!() };
        let stream = UnixStream::connect(path).unwrap();
        let start = Instant::now();
        while !segment.ports().contains(&(port.to_owned(), true)) {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(2));
        }
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        Host { stream, reader: FrameReader::default(), got: Vec::new() }
    }

    fn send(&self, frame: &Frame) {
        let mut outbox = Outbox::default();
        assert!(outbox.push(frame) && outbox.write(&self.stream));
    }

    /// Waits until this frame has come.
    fn gets(&mut self, frame: &Frame) -> bool {
        self.gets_within(frame, PATIENCE)
    }

    fn gets_within(&mut self, frame: &Frame, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience && !self.got.contains(frame) {
            self.got.extend(self.reader.read(&self.stream).0);
        }
        self.got.contains(frame)
    }
}

fn segment() -> (tempfile::TempDir, Segment) {
    let folder = tempfile::tempdir().unwrap();
    let segment = Segment::seeded("public", folder.path(), 1).unwrap();
    (folder, segment)
}

fn announcement() -> Frame {
    arp_frame(Mac::BROADCAST, A, true, [X, X])
}

#[test]
fn frames_pass_and_are_seen() {
    let (_folder, segment) = segment();
    let (web1, mut web2) = (Host::plug(&segment, "web1"), Host::plug(&segment, "web2"));
    let start = Instant::now();
    web1.send(&announcement());
    assert!(web2.gets(&announcement()));
    let seen = segment.wait_for(start, PATIENCE, |one| one.message.claims(X.into())).unwrap();
    assert_eq!((seen.port.as_str(), seen.mac), ("web1", A));
    assert_eq!(segment.last_announcer(X.into()).unwrap(), seen);
    assert_eq!(segment.observations(), [seen]);
    assert_eq!(segment.wait_for(start, Duration::from_millis(30), |one| one.mac == B), None);
}

#[test]
fn a_disconnected_port_is_silent_until_a_reset() {
    let (_folder, segment) = segment();
    let (web1, mut web2) = (Host::plug(&segment, "web1"), Host::plug(&segment, "web2"));
    segment.impair("web2", Direction::ToMachine, Impairment::disconnected()).unwrap();
    web1.send(&announcement());
    assert!(!web2.gets_within(&announcement(), Duration::from_millis(100)));
    segment.reset();
    web1.send(&announcement());
    assert!(web2.gets(&announcement()));
}

#[test]
fn a_delayed_frame_wakes_the_thread() {
    let (_folder, segment) = segment();
    let (web1, mut web2) = (Host::plug(&segment, "web1"), Host::plug(&segment, "web2"));
    let delay = Duration::from_millis(120);
    segment
        .impair("web1", Direction::FromMachine, Impairment { delay, ..Impairment::none() })
        .unwrap();
    let start = Instant::now();
    web1.send(&announcement());
    assert!(web2.gets(&announcement()));
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}

#[test]
fn a_machine_can_plug_in_again_even_before_the_old_one_is_gone() {
    let (_folder, segment) = segment();
    let mut web2 = Host::plug(&segment, "web2");
    let first = Host::plug(&segment, "web1");
    let again = Host::plug(&segment, "web1");
    again.send(&announcement());
    assert!(web2.gets(&announcement()));
    drop((first, again));
    let start = Instant::now();
    while segment.ports().contains(&("web1".to_owned(), true)) {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    let third = Host::plug(&segment, "web1");
    let other = arp_frame(Mac::BROADCAST, B, true, [X, X]);
    third.send(&other);
    assert!(web2.gets(&other));
}

#[test]
fn everyone_is_asked_who_has_an_address() {
    let (_folder, segment) = segment();
    let hosts = [Host::plug(&segment, "web1"), Host::plug(&segment, "web2")];
    let answering = std::thread::spawn(move || {
        for (mut host, mac) in hosts.into_iter().zip([A, B]) {
            assert!(host.gets(&probe::who_has(X.into())));
            host.send(&arp_frame(super::super::switch::OBSERVER, mac, false, [X, [0; 4]]));
        }
    });
    let answerers = segment.who_has(X.into(), Duration::from_secs(3)).unwrap();
    answering.join().unwrap();
    let own = |port: &str, mac| Answerer { port: port.to_owned(), mac };
    assert_eq!(answerers, [own("web1", A), own("web2", B)]);
}

#[test]
fn it_ends_with_its_value_and_takes_its_sockets_along() {
    let (folder, segment) = segment();
    let mut host = Host::plug(&segment, "web1");
    segment.capture(&folder.path().join("x.pcapng")).unwrap();
    segment.mark("the end");
    drop(segment);
    assert!(!host.reader.read(&host.stream).1, "the cable is dead");
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["x.pcapng"]);
}

#[test]
fn a_stream_out_of_step_is_hung_up() {
    let (_folder, segment) = segment();
    let mut host = Host::plug(&segment, "web1");
    std::io::Write::write_all(&mut host.stream, &[0xff; 16]).unwrap();
    let start = Instant::now();
    while host.reader.read(&host.stream).1 {
        assert!(start.elapsed() < PATIENCE);
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let (folder, segment) = segment();
    segment.plug("web1").unwrap();
    let error = segment.impair("web3", Direction::Both, Impairment::disconnected()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error: the segment public has no port web3\nhint: its ports are: web1"
    );
    let error = segment.partition(&[&["web1"], &["web1"]]).unwrap_err();
    assert!(error.message().contains("web1 is in two groups"), "{error}");
    let loss = Impairment { loss: 2.0, ..Impairment::none() };
    let error = segment.impair("web1", Direction::Both, loss).unwrap_err();
    assert_eq!(error.message(), "the cable of web1: loss is a part from 0 to 1");
    assert!(segment.provider(Some(Provider::new().allow("web9", []))).is_err());
    assert!(segment.move_floating(X.into(), "web1").is_err());
    let deep = folder.path().join("a".repeat(100));
    let error = Segment::new("public", &deep).unwrap().plug("web1").unwrap_err();
    assert!(error.message().starts_with("the path of a socket is too long"), "{error}");
}
