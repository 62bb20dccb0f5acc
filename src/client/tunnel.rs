//! A way from this machine's loopback to a port of a host on the segment, for programs that
//! speak TCP themselves: `ssh`.

use super::engine::{Task, TaskPoll};
use super::guard::{Clients, wake};
use super::host::Host;
use crate::error::{Error, Result};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is read at a time, and what smoltcp keeps of either direction.
const BUFFER: usize = 64 << 10;
/// Pieces that wait for the segment.
const WAITING: usize = 8;
/// Until a server that says nothing is given up.
const PATIENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(120);
/// A program that reads slowly is looked at again.
const AGAIN: Duration = Duration::from_millis(2);

/// A listener on the loopback; its value ends it, and not the connections that are open.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    shall_end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// Leads from a free port of the loopback to `server`, whom `clients` call.
    ///
    /// # Errors
    /// When nobody of them has an address of that family, or nothing can listen.
    pub fn open(clients: &Arc<Clients>, server: SocketAddr) -> Result<Tunnel> {
        let failed =
            |e: std::io::Error| Error::build(format!("cannot listen on the loopback: {e}"));
        let host = clients.first(server.ip())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shall_end = Arc::new(AtomicBool::new(false));
        let (end, clients) = (Arc::clone(&shall_end), Arc::clone(clients));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                // One that cannot be served is closed, as by a host that is not there.
                drop(stream.map(|stream| connect(&clients, host, server, stream)));
            }
        });
        Ok(Tunnel { address, shall_end, thread: Some(thread) })
    }

    /// Where programs go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.shall_end.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            crate::progress::warn("the thread of a tunnel died");
        }
    }
}

fn connect(clients: &Clients, host: usize, server: SocketAddr, local: TcpStream) -> Result<()> {
    let failed = |e: std::io::Error| Error::build(format!("cannot serve a tunnel: {e}"));
    let (to_segment, from_local) = sync_channel(WAITING);
    let reader = local.try_clone().map_err(failed)?;
    let waker = clients.waker()?;
    local.set_nodelay(true).map_err(failed)?;
    std::thread::spawn(move || read_all(reader, &to_segment, &waker));
    clients.order(TunnelTask {
        host,
        server,
        local: Local { stream: local, from: from_local, pending: Vec::new(), has_ended: false },
        handle: None,
    })
}

/// Reads what the program sends, until it ends or nobody takes it any more.
fn read_all(mut local: TcpStream, to: &SyncSender<Vec<u8>>, waker: &UnixStream) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match local.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if to.send(buffer[..count].to_vec()).is_ok() => wake(waker),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // The task may have made the socket one that does not wait.
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Ok(_) | Err(_) => break,
        }
    }
    wake(waker);
}

/// The program's end.
struct Local {
    stream: TcpStream,
    from: Receiver<Vec<u8>>,
    /// Bytes on their way to the segment.
    pending: Vec<u8>,
    /// Whether the program sends nothing more.
    has_ended: bool,
}

struct TunnelTask {
    host: usize,
    server: SocketAddr,
    local: Local,
    handle: Option<SocketHandle>,
}

impl Task for TunnelTask {
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        let host = &mut hosts[self.host];
        let handle = match self.handle {
            Some(handle) => handle,
            None => match host.connect(self.server, BUFFER) {
                Ok(handle) if self.local.stream.set_nonblocking(true).is_ok() => {
                    host.tcp(handle).set_timeout(Some(PATIENCE));
                    *self.handle.insert(handle)
                }
                Ok(handle) => {
                    host.abort(handle, now);
                    return TaskPoll::Done;
                }
                Err(_) => return TaskPoll::Done,
            },
        };
        let socket = host.tcp(handle);
        let moved = self.local.send(socket).and_then(|()| self.local.receive(socket));
        let (state, may_recv) = (socket.state(), socket.may_recv());
        let is_over = matches!(state, State::Closed | State::TimeWait | State::LastAck);
        let Ok(is_slow) = moved else {
            host.abort(handle, now);
            return TaskPoll::Done;
        };
        if is_over && !is_slow {
            host.close(handle, now);
            // The program reads the end; that it has gone already is as good.
            drop(self.local.stream.shutdown(Shutdown::Both));
            return TaskPoll::Done;
        }
        if state == State::CloseWait && !may_recv && !is_slow {
            drop(self.local.stream.shutdown(Shutdown::Write));
        }
        TaskPoll::Pending(is_slow.then(|| now + AGAIN))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // The program sees the end, and who reads it for us wakes; it may have gone already.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

type Socket = smoltcp::socket::tcp::Socket<'static>;

impl Local {
    /// Moves what the program said to the segment.
    fn send(&mut self, socket: &mut Socket) -> std::io::Result<()> {
        while socket.can_send() {
            if self.pending.is_empty() {
                match self.from.try_recv() {
                    Ok(bytes) => self.pending = bytes,
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => {
                        if !std::mem::replace(&mut self.has_ended, true) {
                            socket.close();
                        }
                        return Ok(());
                    }
                }
            }
            let sent = socket.send_slice(&self.pending).map_err(std::io::Error::other)?;
            self.pending.drain(..sent);
        }
        Ok(())
    }

    /// Moves what the segment said to the program: whether that is too slow to take it.
    fn receive(&mut self, socket: &mut Socket) -> std::io::Result<bool> {
        while socket.can_recv() {
            let written = socket.recv(|bytes| match self.stream.write(bytes) {
                Ok(count) => (count, Ok(count)),
                Err(e) => (0, Err(e)),
            });
            match written.map_err(std::io::Error::other)? {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }
}
