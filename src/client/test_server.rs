//! A web server for tests: a task like those of the clients, on a port of its own, so that
//! real TCP/IP speaks with real TCP/IP through the switch.

use super::engine::{Task, TaskPoll};
use super::guard::Clients;
use super::host::{ClientConfig, Host};
use crate::netsim::{Mac, Segment, arp};
use rustls::{ServerConfig, ServerConnection};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::socket::udp;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The server's name and what it is made of.
struct Serve {
    name: String,
    tls: Arc<ServerConfig>,
    seats: Vec<Seat>,
    dns: Option<SocketHandle>,
}

struct Seat {
    port: u16,
    handle: SocketHandle,
    request: Vec<u8>,
    tls: Option<ServerConnection>,
}

/// A server that listens on 80, 443 and UDP 53. It ends with its value.
pub(super) fn serve(segment: &Segment, name: &str, clients: &[ClientConfig]) -> (Clients, Vec<u8>) {
    let certified = rcgen::generate_simple_self_signed(vec!["web1".to_owned()]).unwrap();
    let der = certified.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key.unwrap())
        .unwrap();
    let server = Clients::attach(segment, name, clients).unwrap();
    let (name, tls) = (name.to_owned(), Arc::new(tls));
    for number in 0..clients.len() {
        let name = name.clone();
        server
            .order(OnHost(number, Serve { name, tls: Arc::clone(&tls), seats: vec![], dns: None }))
            .unwrap();
    }
    (server, der.to_vec())
}

/// The first host's gratuitous ARP.
pub(super) struct Announce;

impl Task for Announce {
    fn poll(&mut self, hosts: &mut [Host], _now: Instant) -> TaskPoll {
        let host = &mut hosts[0];
        let IpAddr::V4(address) = host.client.address else { panic!() };
        let own = (address, host.mac);
        host.send(&arp(true, own, own, Mac::BROADCAST));
        TaskPoll::Done
    }
}

/// A task on one host.
struct OnHost(usize, Serve);

impl Task for OnHost {
    fn poll(&mut self, hosts: &mut [Host], _now: Instant) -> TaskPoll {
        let host = &mut hosts[self.0];
        if self.1.seats.is_empty() {
            self.1.open(host);
        }
        self.1.answer_dns(host);
        let Serve { seats, name, tls, .. } = &mut self.1;
        // smoltcp gives a SYN to the first socket that takes it: one that comes twice must not
        // reach a listening seat before that of its own connection.
        let mut taken = BTreeSet::new();
        for seat in seats.iter_mut().rev() {
            seat.poll(host, (name, tls), !taken.contains(&seat.port));
            if seat.is_taken(host) {
                taken.insert(seat.port);
            }
        }
        TaskPoll::Pending(None)
    }
}

impl Serve {
    fn open(&mut self, host: &mut Host) {
        for port in [80; 24].into_iter().chain([443; 4]) {
            let buffer = || SocketBuffer::new(vec![0; 1 << 14]);
            let handle = host.sockets.add(Socket::new(buffer(), buffer()));
            self.seats.push(Seat { port, handle, request: Vec::new(), tls: None });
        }
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 999]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(53).unwrap();
        self.dns = Some(host.sockets.add(socket));
    }

    fn answer_dns(&self, host: &mut Host) {
        let socket = host.sockets.get_mut::<udp::Socket<'_>>(self.dns.unwrap());
        while let Ok((_, from)) = socket.recv() {
            socket.send_slice(b"hello", from).unwrap();
        }
    }
}

impl Seat {
    fn is_taken(&self, host: &mut Host) -> bool {
        !matches!(host.tcp(self.handle).state(), State::Closed | State::Listen | State::TimeWait)
    }

    fn poll(
        &mut self,
        host: &mut Host,
        (name, config): (&str, &Arc<ServerConfig>),
        may_listen: bool,
    ) {
        let socket = host.tcp(self.handle);
        if matches!(socket.state(), State::Closed | State::TimeWait) {
            if !may_listen {
                return;
            }
            socket.abort();
            socket.listen(self.port).unwrap();
            self.request.clear();
            let secure = || ServerConnection::new(Arc::clone(config)).unwrap();
            self.tls = (self.port == 443).then(secure);
        }
        self.read(socket);
        while let Some(end) = self.request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(self.request[..end].to_vec()).unwrap();
            let length = head
                .split("Content-Length: ")
                .nth(1)
                .map_or(0, |rest| rest.lines().next().unwrap().parse::<usize>().unwrap());
            if self.request.len() < end + 4 + length {
                break;
            }
            let body = self.request[end + 4..end + 4 + length].to_vec();
            self.request.drain(..end + 4 + length);
            self.answer(socket, name, &head, &body);
        }
        self.write_tls(socket);
        if socket.state() == State::CloseWait {
            socket.close();
        }
    }

    fn read(&mut self, socket: &mut Socket<'_>) {
        let mut bytes = vec![0; 1 << 14];
        while socket.can_recv() {
            let count = socket.recv_slice(&mut bytes).unwrap();
            let Some(tls) = &mut self.tls else {
                self.request.extend(&bytes[..count]);
                continue;
            };
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                tls.read_tls(&mut rest).unwrap();
                tls.process_new_packets().unwrap();
            }
            let mut clear = Vec::new();
            drop(tls.reader().read_to_end(&mut clear));
            self.request.extend(clear);
        }
    }

    fn write_tls(&mut self, socket: &mut Socket<'_>) {
        let Some(tls) = &mut self.tls else { return };
        while tls.wants_write() && socket.can_send() {
            let mut bytes = Vec::new();
            tls.write_tls(&mut bytes).unwrap();
            assert_eq!(socket.send_slice(&bytes).unwrap(), bytes.len());
        }
    }

    fn answer(&mut self, socket: &mut Socket<'_>, name: &str, head: &str, body: &[u8]) {
        let path = head.split(' ').nth(1).unwrap();
        let text = match path {
            "/slow" => return,
            "/reset" => return socket.abort(),
            "/half" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned(),
            "/noise" => "SSH-2.0-noise\r\n\r\n".to_owned(),
            "/away" => "HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => {
                let body = String::from_utf8_lossy(body);
                let length = body.len() + 2;
                format!(
                    "HTTP/1.1 200 OK\r\nX-Server: {name}\r\nContent-Length: {length}\r\n\r\nup{body}"
                )
            }
        };
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(text.as_bytes()).unwrap(),
            None => assert_eq!(socket.send_slice(text.as_bytes()).unwrap(), text.len()),
        }
        self.write_tls(socket);
        if path == "/half" || head.contains("Connection: close") {
            socket.close();
        }
    }
}
