//! A segment: the guard that the tests hold.

use super::event_loop::{self, Shared, State};
use super::frame::Frame;
use super::lease::Leases;
use super::link::{Direction, Impairment};
use super::observation::{AddressMessage, Answerer, Observation};
use super::port::Socket;
use super::probe;
use super::provider::Provider;
use super::router::Router;
use crate::error::{Error, Result};
use crate::qemu::Cable;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often who has an address is asked for, within the time for answers.
const QUESTIONS: u32 = 3;

/// An Ethernet segment; see the module's description. It ends with its value.
#[derive(Debug)]
pub struct Segment {
    name: String,
    folder: PathBuf,
    seed: u64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Segment {
    /// A segment whose sockets are in `folder`, with a seed of chance.
    ///
    /// # Errors
    /// When the host has no more threads or sockets.
    pub fn new(name: &str, folder: &Path) -> Result<Segment> {
        // The standard library's own source of chance; no other is needed for a seed.
        Segment::seeded(name, folder, RandomState::new().hash_one(name))
    }

    /// As [`Segment::new`], with the seed of a run that is to be repeated.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn seeded(name: &str, folder: &Path, seed: u64) -> Result<Segment> {
        let failed =
            |e: std::io::Error| Error::build(format!("cannot start the segment {name}: {e}"));
        let (shared, wakeups) = Shared::new(seed).map_err(failed)?;
        let shared = Arc::new(shared);
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("segment {name}"))
            .spawn(move || event_loop::run(&own, wakeups))
            .map_err(failed)?;
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Ok(Segment { name, folder, seed, shared, thread: Some(thread) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its random impairments come from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The cable of the port with this name, which is made if there is none yet.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub fn plug(&self, port: &str) -> Result<Cable> {
        let mut state = self.lock();
        if let Some(number) = state.switch.port(port) {
            return Ok(Cable::Stream(state.sockets[number].path.clone()));
        }
        let path = self.folder.join(format!("{}-{port}.sock", self.name));
        let socket = Socket::listen(&path)?;
        state.switch.add_port(port);
        state.sockets.push(socket);
        drop(state);
        self.shared.wake();
        Ok(Cable::Stream(path))
    }

    /// The ports' names, and whether something is plugged in there now.
    pub fn ports(&self) -> Vec<(String, bool)> {
        let state = self.lock();
        let plugged = state.sockets.iter().map(|socket| socket.stream.is_some());
        state.switch.port_names().map(str::to_owned).zip(plugged).collect()
    }

    /// Sets all that is wrong with a cable in one direction or both.
    ///
    /// # Errors
    /// `Input` when there is no such port, or the impairment makes no sense.
    pub fn impair(&self, port: &str, direction: Direction, impairment: Impairment) -> Result<()> {
        if let Some(why) = impairment.nonsense() {
            return Err(Error::input(format!("the cable of {port}: {why}")));
        }
        let mut state = self.lock();
        let number = self.number(&state, port)?;
        state.switch.set_impairment(number, direction, impairment);
        Ok(())
    }

    /// Lets frames pass only between ports of the same group. A port in no group still
    /// reaches all: so a split can be seen from both sides.
    ///
    /// # Errors
    /// `Input` when there is no such port, or one is in two groups.
    pub fn partition(&self, groups: &[&[&str]]) -> Result<()> {
        let mut state = self.lock();
        let mut numbers = Vec::new();
        for group in groups {
            let own: Result<BTreeSet<usize>> =
                group.iter().map(|port| self.number(&state, port)).collect();
            numbers.push(own?);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = numbers.iter().flatten().find(|number| !seen.insert(**number)) {
            let name = state.switch.port_names().nth(*twice).unwrap_or_default();
            return Err(Error::input(format!("{name} is in two groups of the partition"))
                .hint("name it in none: then it reaches all of them"));
        }
        state.switch.set_groups(numbers);
        Ok(())
    }

    /// Undoes the partition and all impairments; a provider stays.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.switch.set_groups(Vec::new());
        for port in 0..state.sockets.len() {
            state.switch.set_impairment(port, Direction::Both, Impairment::none());
        }
    }

    /// Makes the segment a provider's, or an ordinary one.
    ///
    /// # Errors
    /// `Input` when the rules name a port that does not exist.
    pub fn provider(&self, rules: Option<Provider>) -> Result<()> {
        let mut state = self.lock();
        for port in rules.iter().flat_map(Provider::ports) {
            self.number(&state, port)?;
        }
        state.switch.provider = rules;
        Ok(())
    }

    /// Gives these addresses to machines that ask for them.
    pub fn leases(&self, leases: Leases) {
        self.lock().switch.leases = Some(leases);
    }

    /// Makes the segment a routed network: its machines are reached through the router alone.
    ///
    /// # Errors
    /// `Input` when it names a port that does not exist.
    pub fn route(&self, router: Router) -> Result<()> {
        let mut state = self.lock();
        for port in router.ports() {
            self.number(&state, port)?;
        }
        state.switch.router = Some(router);
        Ok(())
    }

    /// Moves a floating address to the server at `port`, as the provider's API does.
    ///
    /// # Errors
    /// `Input` when there is no such port, or the provider has no such floating address.
    pub fn move_floating(&self, address: IpAddr, port: &str) -> Result<()> {
        let mut state = self.lock();
        self.number(&state, port)?;
        let moved = state.switch.provider.as_mut().is_some_and(|own| own.move_to(address, port));
        if moved {
            return Ok(());
        }
        let message = format!("{address} is no floating address of {}'s provider", self.name);
        Err(Error::input(message).hint("name it with Provider::floating first"))
    }

    /// Records all frames from now on into a new pcapng file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn capture(&self, path: &Path) -> Result<()> {
        let mut capture = super::capture::Capture::start(path, &self.name)?;
        let mut state = self.lock();
        state.switch.port_names().for_each(|port| capture.interface(port));
        let before = state.switch.capture.replace(capture);
        drop(state);
        before.map_or(Ok(()), super::capture::Capture::finish)
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When the file is not complete (the disk was full).
    pub fn end_capture(&self) -> Result<()> {
        let capture = self.lock().switch.capture.take();
        capture.map_or(Ok(()), super::capture::Capture::finish)
    }

    /// Writes a comment into the recording, if there is one.
    pub fn mark(&self, text: &str) {
        if let Some(capture) = &mut self.lock().switch.capture {
            capture.mark(Instant::now(), text);
            capture.flush();
        }
    }

    /// All that was said about addresses, oldest first.
    pub fn observations(&self) -> Vec<Observation> {
        self.lock().switch.log.all().cloned().collect()
    }

    /// Who announced `address` last (without being asked, or by VRRP), and when.
    pub fn last_announcer(&self, address: IpAddr) -> Option<Observation> {
        let is_meant = |one: &&Observation| {
            one.message.claims(address) && !matches!(one.message, AddressMessage::Reply(_))
        };
        self.lock().switch.log.all().rev().find(is_meant).cloned()
    }

    /// Waits for an observation since `start`; none when it did not come for `patience`.
    pub fn wait_for(
        &self,
        start: Instant,
        patience: Duration,
        is_meant: impl Fn(&Observation) -> bool,
    ) -> Option<Observation> {
        let find = |state: &State| state.switch.log.since(start).find(|one| is_meant(one)).cloned();
        let waited =
            self.shared.news.wait_timeout_while(self.lock(), patience, |s| find(s).is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        find(&state)
    }

    /// Asks the segment who has `address` and waits for all answers that come within
    /// `patience`. More than one is a conflict.
    ///
    /// # Errors
    /// `Build` when the segment has ended.
    pub fn who_has(&self, address: IpAddr, patience: Duration) -> Result<Vec<Answerer>> {
        let start = Instant::now();
        let end = start + patience;
        let mut questions = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(Error::build(format!("the segment {} has ended", self.name)));
            }
            // More than once: a cable may lose a question, or its answer.
            if questions < QUESTIONS && start.elapsed() >= patience * questions / QUESTIONS {
                self.send_to_all(&probe::who_has(address));
                questions += 1;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        let state = self.lock();
        let answers = state.switch.log.since(start).filter(|one| probe::answers(one, address));
        let answerers = answers.map(|one| Answerer { port: one.port.clone(), mac: one.mac });
        Ok(answerers.collect::<BTreeSet<Answerer>>().into_iter().collect())
    }

    fn send_to_all(&self, frame: &Frame) {
        self.lock().switch.ask(Instant::now(), frame);
        self.shared.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn number(&self, state: &State, port: &str) -> Result<usize> {
        state.switch.port(port).ok_or_else(|| {
            let names: Vec<&str> = state.switch.port_names().collect();
            Error::input(format!("the segment {} has no port {port}", self.name))
                .hint(format!("its ports are: {}", names.join(", ")))
        })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            crate::progress::warn(format!("the thread of the segment {} died", self.name));
        }
        let mut state = self.lock();
        state.sockets.clear();
        let capture = state.switch.capture.take();
        drop(state);
        if let Some(Err(error)) = capture.map(super::capture::Capture::finish) {
            crate::progress::warn(error.to_string());
        }
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
