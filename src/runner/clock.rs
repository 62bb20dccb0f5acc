//! A scenario's time: seconds since its start, and how far a second is scaled.

use crate::scenario::Seconds;
use std::time::{Duration, Instant};

/// The clock of one scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    time_scale: f64,
}

impl Clock {
    /// One that starts now, on machines whose timers are scaled by `time_scale`.
    pub(super) fn start(time_scale: f64) -> Clock {
        Clock { start: Instant::now(), time_scale }
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
    pub(super) fn scaled(self, seconds: Seconds) -> Duration {
        seconds.scaled(self.time_scale)
    }

    /// The time scale.
    pub(super) fn time_scale(self) -> f64 {
        self.time_scale
    }
}
