//! A scenario's time: seconds since its start, and how far a second is stretched.

use crate::scenario::Seconds;
use std::time::{Duration, Instant};

/// The clock of one scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    factor: f64,
}

impl Clock {
    /// One that starts now, on machines whose timers are stretched by `factor`.
    pub(super) fn start(factor: f64) -> Clock {
        Clock { start: Instant::now(), factor }
    }

    /// Seconds from its start to `moment`; a moment before it is 0.
    pub(super) fn seconds(self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.start).as_secs_f64()
    }

    /// Seconds since its start.
    pub(super) fn now(self) -> f64 {
        self.seconds(Instant::now())
    }

    /// So many native seconds, on these machines.
    pub(super) fn stretched(self, seconds: Seconds) -> Duration {
        seconds.stretched(self.factor)
    }

    /// The factor.
    pub(super) fn factor(self) -> f64 {
        self.factor
    }
}
