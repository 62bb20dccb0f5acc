//! Bounds of single values, held to where TOML is read: an error then stands at the value.

use crate::spec::model::units::Size;
use crate::spec::source::HINT;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::ops::RangeInclusive;

/// One hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
/// The smallest partition.
const PARTITION: Size = Size(16 * Size::MIB);
/// The smallest room for a database.
const DATABASE: Size = Size(256 * Size::MIB);

fn number<'de, D: Deserializer<'de>, N: TryFrom<i64>>(
    deserializer: D,
    limits: RangeInclusive<i64>,
    hint: &str,
) -> Result<N, D::Error> {
    let number = i64::deserialize(deserializer)?;
    let fits = N::try_from(number).ok().filter(|_| limits.contains(&number));
    fits.ok_or_else(|| {
        let (least, most) = (limits.start(), limits.end());
        D::Error::custom(format!("{number} is not between {least} and {most}{HINT}{hint}"))
    })
}

/// keepalived counts in hundredths of a second, and VRRP's field for them has 12 bits:
/// <https://www.rfc-editor.org/rfc/rfc9568#section-5.2.7>.
pub(crate) fn advert<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let hint = "VRRP counts milliseconds in tens, to 40.95 seconds; 250 is usual";
    number(deserializer, 10..=40_950, hint).map(Some)
}

/// A time of at most an hour.
pub(crate) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 1..=HOUR_MS, "these are milliseconds: 1000 is a second")
}

/// The same, where it may be left out.
pub(crate) fn some_milliseconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    milliseconds(deserializer).map(Some)
}

/// A time of at most an hour.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 1..=HOUR_MS / 1000, "these are seconds")
}

/// How often something happens until it counts.
pub(crate) fn times<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    number(deserializer, 1..=1000, "so many checks in a row count; 2 is usual").map(Some)
}

/// IPv6 needs 1280 bytes on every link: <https://www.rfc-editor.org/rfc/rfc8200#section-5>.
pub(crate) fn mtu<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let hint = "IPv6 needs 1280 bytes; Ethernet carries 1500, and 9000 where it is told to";
    number(deserializer, 1280..=9216, hint).map(Some)
}

fn at_least<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: Size,
    what: &str,
) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    if size >= least {
        return Ok(size);
    }
    let message = format!("{size} is too small for {what}{HINT}");
    Err(D::Error::custom(format!("{message}it is {least} at least, and {} at most", Size::MOST)))
}

/// The size of a partition, or of a disk.
pub(crate) fn partition<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Size>, D::Error> {
    at_least(deserializer, PARTITION, "a partition").map(Some)
}

/// Room for a database.
pub(crate) fn database<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    at_least(deserializer, DATABASE, "a database")
}

/// The same, where it may be left out.
pub(crate) fn some_database<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Size>, D::Error> {
    database(deserializer).map(Some)
}
