//! Small values of scenarios: times, shares, directions, signals.

use super::Name;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// Seconds of a machine with KVM: `2` or `1.5`; more than 0, an hour at most.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(f64);

const LONGEST: f64 = 3600.0;

impl Seconds {
    /// The time on a machine that is `time_scale` times slower.
    pub fn scaled(self, time_scale: f64) -> Duration {
        Duration::from_secs_f64(self.0 * time_scale.max(1.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// Reads an integer or a float, and checks it.
struct Number {
    expected: &'static str,
    holds: fn(f64) -> bool,
}

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<f64, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<f64, E> {
        if (self.holds)(number) {
            return Ok(number);
        }
        Err(E::custom(format!("{number} is not {}", self.expected)))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Seconds, D::Error> {
        let number = Number {
            expected: "a number of seconds, more than 0 and at most 3600",
            holds: |seconds| seconds > 0.0 && seconds <= LONGEST,
        };
        from.deserialize_any(number).map(Seconds)
    }
}

/// How often a second, on a machine with KVM: more than 0, a thousand at most.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// Between two of them, on a machine that is `time_scale` times slower.
    pub fn interval(self, time_scale: f64) -> Duration {
        Duration::from_secs_f64(time_scale.max(1.0) / self.0)
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Rate, D::Error> {
        let number = Number {
            expected: "a number a second, more than 0 and at most 1000",
            holds: |rate| rate > 0.0 && rate <= 1000.0,
        };
        from.deserialize_any(number).map(Rate)
    }
}

/// How many people: 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct ClientCount(u16);

impl ClientCount {
    /// The number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl<'de> Deserialize<'de> for ClientCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ClientCount, D::Error> {
        let number = Number {
            expected: "a whole number from 1 to 1000",
            holds: |people| (1.0..=1000.0).contains(&people) && people.fract() == 0.0,
        };
        // Whole, and small enough, by the bounds above.
        from.deserialize_any(number).map(|people| ClientCount(people as u16))
    }
}

/// A share of packets, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Share, D::Error> {
        let number = Number {
            expected: "a share from 0 to 1, such as 0.1 for one packet in ten",
            holds: |share| (0.0..=1.0).contains(&share),
        };
        from.deserialize_any(number).map(Share)
    }
}

/// Which way frames go on a machine's cable, seen from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the machine.
    In,
    /// From the machine.
    Out,
    /// Both.
    #[default]
    Both,
}

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Which IP versions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    #[default]
    Both,
}

impl Families {
    /// Each of them.
    pub fn each(self) -> &'static [Family] {
        match self {
            Families::V4 => &[Family::V4],
            Families::V6 => &[Family::V6],
            Families::Both => &[Family::V4, Family::V6],
        }
    }
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads; may be sent twice.
    #[default]
    Get,
    /// Reads the head only.
    Head,
    /// Writes.
    Post,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        })
    }
}

/// The signals that a process can be sent, without their SIG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Ends it at once.
    #[default]
    Kill,
    /// Asks it to end.
    Term,
    /// Hangs it.
    Stop,
    /// Lets a hung one go on.
    Cont,
    /// Means: read your configuration again.
    Hup,
    /// Crashes it.
    Segv,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Kill => "KILL",
            Signal::Term => "TERM",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
            Signal::Hup => "HUP",
            Signal::Segv => "SEGV",
        })
    }
}

/// For what is so unless a file says otherwise.
pub(super) fn yes() -> bool {
    true
}

/// Names, as they are shown.
pub(super) fn list(names: &[Name]) -> String {
    names.iter().map(|name| name.get_ref().as_str()).collect::<Vec<_>>().join(", ")
}

/// Text that must not be empty.
pub(super) fn some_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("this text is empty"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Table {
        within: Seconds,
    }

    fn seconds(text: &str) -> Result<f64, String> {
        let table: Result<Table, _> = toml::from_str(&format!("within = {text}"));
        table.map(|table| table.within.get()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("2"), Ok(2.0));
        assert_eq!(seconds("0.25"), Ok(0.25));
        let wrong = "is not a number of seconds, more than 0 and at most 3600";
        for text in ["0", "-1", "3601", "nan", "inf"] {
            let said = seconds(text).unwrap_err();
            assert!(said.ends_with(wrong), "{text}: {said}");
        }
        assert!(seconds("\"2 s\"").unwrap_err().starts_with("invalid type: string"));
    }

    #[test]
    fn a_fast_machine_is_not_given_less() {
        assert_eq!(Seconds(2.0).scaled(0.5), Duration::from_secs(2));
        assert_eq!(Seconds(1.5).scaled(10.0), Duration::from_secs(15));
    }
}
