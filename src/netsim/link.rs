//! One direction of one cable, and what can be wrong with it. Pure: given a frame's
//! length and the time, it says when the frame comes out, how often, or why never.

use super::random::Random;
use std::time::{Duration, Instant};

/// A direction of a cable, seen from its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the machine sends.
    FromMachine,
    /// What the machine gets.
    ToMachine,
    /// Both.
    Both,
}

/// What is wrong with one direction of a cable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Nothing passes, and nobody is told: the carrier stays up.
    pub disconnected: bool,
    /// The part of all frames that is lost, from 0 to 1.
    pub loss: f64,
    /// How much longer each frame takes.
    pub delay: Duration,
    /// The part of all frames that comes twice, from 0 to 1.
    pub duplicate: f64,
    /// Bits per second; frames that would wait longer than [`Impairment::QUEUE`] are dropped.
    pub rate: Option<u64>,
}

impl Impairment {
    /// How long the queue before a slow cable is, as many routers have it.
    pub const QUEUE: Duration = Duration::from_millis(500);

    /// A cable in order.
    pub const fn none() -> Impairment {
        Impairment {
            disconnected: false,
            loss: 0.0,
            delay: Duration::ZERO,
            duplicate: 0.0,
            rate: None,
        }
    }

    /// A cable that was cut.
    pub const fn disconnected() -> Impairment {
        Impairment { disconnected: true, ..Impairment::none() }
    }

    /// Why these make no sense, if they do not.
    pub(super) fn nonsense(&self) -> Option<&'static str> {
        let is_part = |part: f64| (0.0..=1.0).contains(&part);
        if !is_part(self.loss) {
            return Some("loss is a part from 0 to 1");
        }
        if !is_part(self.duplicate) {
            return Some("duplicate is a part from 0 to 1");
        }
        (self.rate == Some(0))
            .then_some("a rate of 0 bits per second lets nothing through: say `disconnect`")
    }
}

/// How a frame comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// At this time, so many times.
    Arrives(Instant, u8),
    /// Not at all.
    Dropped(&'static str),
}

/// One direction of a cable.
#[derive(Debug)]
pub(super) struct Link {
    impairment: Impairment,
    /// When the last bit that was accepted has left.
    busy_until: Option<Instant>,
}

impl Link {
    pub(super) fn new() -> Link {
        Link { impairment: Impairment::none(), busy_until: None }
    }

    pub(super) fn set(&mut self, impairment: Impairment) {
        *self = Link { impairment, busy_until: None };
    }

    /// What happens to a frame of `length` bytes that enters now.
    pub(super) fn pass(&mut self, now: Instant, length: usize, random: &mut Random) -> Passage {
        if self.impairment.disconnected {
            return Passage::Dropped("disconnected");
        }
        if random.happens(self.impairment.loss) {
            return Passage::Dropped("lost");
        }
        let Some(sent) = self.serialize(now, length) else {
            return Passage::Dropped("queue full");
        };
        let copies = 1 + u8::from(random.happens(self.impairment.duplicate));
        Passage::Arrives(sent + self.impairment.delay, copies)
    }

    /// When the frame's last bit has left; none when the queue is full.
    fn serialize(&mut self, now: Instant, length: usize) -> Option<Instant> {
        let Some(rate) = self.impairment.rate else { return Some(now) };
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        if start - now > Impairment::QUEUE {
            return None;
        }
        let end = start + Duration::from_secs_f64(length as f64 * 8.0 / rate as f64);
        self.busy_until = Some(end);
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(impairment: Impairment, frames: usize) -> (Instant, Vec<Passage>) {
        let (mut link, mut random) = (Link::new(), Random::new(5));
        link.set(impairment);
        let now = Instant::now();
        (now, (0..frames).map(|_| link.pass(now, 1000, &mut random)).collect())
    }

    #[test]
    fn a_good_cable_takes_no_time() {
        let (now, passed) = through(Impairment::none(), 2);
        assert_eq!(passed, [Passage::Arrives(now, 1); 2]);
    }

    #[test]
    fn disconnection_loss_delay_and_duplicates() {
        assert_eq!(through(Impairment::disconnected(), 1).1, [Passage::Dropped("disconnected")]);
        let (_, passed) = through(Impairment { loss: 0.3, ..Impairment::none() }, 1000);
        let lost = passed.iter().filter(|one| **one == Passage::Dropped("lost")).count();
        assert!((250..350).contains(&lost), "{lost}");
        let delay = Duration::from_millis(40);
        let (now, passed) = through(Impairment { delay, duplicate: 1.0, ..Impairment::none() }, 1);
        assert_eq!(passed, [Passage::Arrives(now + delay, 2)]);
    }

    #[test]
    fn a_slow_cable_queues_and_then_drops() {
        // A frame of 1000 bytes takes 100 ms.
        let (now, passed) = through(Impairment { rate: Some(80_000), ..Impairment::none() }, 8);
        let after = |ms| Passage::Arrives(now + Duration::from_millis(ms), 1);
        let expected = [after(100), after(200), after(300), after(400), after(500), after(600)];
        assert_eq!(passed[..6], expected);
        assert_eq!(passed[6..], [Passage::Dropped("queue full"); 2]);
    }

    #[test]
    fn nonsense_is_named() {
        assert!(Impairment { loss: 1.1, ..Impairment::none() }.nonsense().is_some());
        assert!(Impairment { duplicate: f64::NAN, ..Impairment::none() }.nonsense().is_some());
        assert!(Impairment { rate: Some(0), ..Impairment::none() }.nonsense().is_some());
        assert!(Impairment { loss: 1.0, ..Impairment::disconnected() }.nonsense().is_none());
    }
}
