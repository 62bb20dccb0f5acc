//! How long to wait: times are written down as a machine with KVM would need them, and
//! scaled by one measured factor, so that emulation and a busy host fail no test.

use super::emulator::Accelerator;
use std::time::{Duration, Instant};

/// From the kernel's start to the shell's greeting on a machine of 2020 with KVM. It is
/// the unit in which speed is counted, so it follows what a boot costs: when that fell to 0.6
/// of 2.5 s, machines looked as much faster as they were, and timers were scaled too little.
const NATIVE_GREETING: Duration = Duration::from_millis(1500);

/// What is taken for emulation's factor until the guest has been measured: half again
/// what the slowest of our boots needed, on two busy cores.
const ASSUMED_EMULATION: f64 = 40.0;

/// The same for a machine with KVM: the slowest host that is still of use.
const ASSUMED_KVM: f64 = 4.0;

/// However fast the machine, schedulers hiccup.
const LEAST: Duration = Duration::from_secs(2);

/// How many times slower than a native machine the guest runs; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Speed(f64);

impl Speed {
    /// Before anything was measured.
    pub fn assumed(accelerator: Accelerator) -> Speed {
        match accelerator {
            Accelerator::Tcg => Speed(ASSUMED_EMULATION),
            Accelerator::Kvm => Speed(ASSUMED_KVM),
        }
    }

    /// From the guest's uptime when its shell said its first word.
    pub fn measured(greeting: Duration) -> Speed {
        Speed((greeting.as_secs_f64() / NATIVE_GREETING.as_secs_f64()).max(1.0))
    }

    /// The slowdown.
    pub fn slowdown(self) -> f64 {
        self.0
    }

    /// A limit of so many native seconds on such a machine. Twice what the factor says:
    /// it is one number for a processor, a disk and the load of the host.
    pub fn limit(self, native: Duration) -> Limit {
        let length = native.mul_f64(self.0 * 2.0).max(LEAST);
        Limit { length, end: Instant::now() + length }
    }
}

/// A point in time after which waiting is over.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    length: Duration,
    end: Instant,
}

impl Limit {
    /// The time that is left; none when it is over.
    pub fn left(self) -> Option<Duration> {
        self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The whole time that was given.
    pub fn length(self) -> Duration {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_scale_with_the_machine() {
        let slow = Speed::measured(Duration::from_secs(15));
        assert_eq!(slow.slowdown(), 10.0);
        assert_eq!(slow.limit(Duration::from_secs(3)).length(), Duration::from_secs(60));
        let fast = Speed::measured(Duration::from_millis(100));
        assert_eq!(fast.slowdown(), 1.0);
        assert_eq!(fast.limit(Duration::ZERO).length(), LEAST);
    }
}
