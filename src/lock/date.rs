//! The few forms of a point in time that archives use, as seconds since 1970.
//!
//! Release files write RFC 5322 dates in UTC, the lock RFC 3339, and the
//! snapshot archive "20261121T021046Z". The calendar is Howard Hinnant's
//! `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>).

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: u64 = 86_400;

/// The current time.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}

/// Reads "Sat, 21 Nov 2026 02:10:46 UTC" (also "+0000", "GMT" and "Z").
pub fn parse_release(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, zone] = words.as_slice() else { return None };
    if !["UTC", "GMT", "Z", "+0000"].contains(zone) {
        return None;
    }
    let month = MONTHS.iter().position(|name| name == month)? as u64 + 1;
    at(year.parse().ok()?, month, day.parse().ok()?, clock)
}

/// Reads "2026-11-21T02:10:46Z".
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else { return None };
    at(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, clock)
}

/// Writes "2026-11-21T02:10:46Z".
pub fn rfc3339(seconds: u64) -> String {
    let (y, m, d) = civil(seconds / DAY);
    let (h, min, s) = clock(seconds);
    format!("{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}Z")
}

/// Writes "20261121T021046Z", as the snapshot archive names its states.
pub fn snapshot(seconds: u64) -> String {
    rfc3339(seconds).replace(['-', ':'], "")
}

/// Writes "Sat, 21 Nov 2026 02:10:46 UTC", as Release files do.
pub fn release(seconds: u64) -> String {
    let (y, m, d) = civil(seconds / DAY);
    let (h, min, s) = clock(seconds);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(seconds / DAY % 7) as usize];
    let month = MONTHS[m as usize - 1];
    format!("{weekday}, {d:02} {month} {y} {h:02}:{min:02}:{s:02} UTC")
}

fn clock(seconds: u64) -> (u64, u64, u64) {
    (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60)
}

fn at(year: u64, month: u64, day: u64, clock: &str) -> Option<u64> {
    let fields: Option<Vec<u64>> = clock.split(':').map(|field| field.parse().ok()).collect();
    let [hour, minute, second] = fields?[..] else { return None };
    let valid = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year;
    let days = (year / 400 * 146_097 + day_of_era).checked_sub(719_468)?;
    // No 30th of February.
    let is_day = civil(days).2 == day;
    is_day.then_some(days * DAY + hour * 3600 + minute * 60 + second)
}

fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_the_forms() {
        let seconds = parse_release("Sat, 21 Nov 2026 02:10:46 UTC").unwrap();
        assert_eq!(rfc3339(seconds), "2026-11-21T02:10:46Z");
        assert_eq!(snapshot(seconds), "20261121T021046Z");
        assert_eq!(release(seconds), "Sat, 21 Nov 2026 02:10:46 UTC");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(parse_release("Sat, 21 Nov 2026 02:10:46 CET"), None);
        for day in ["2026-02-29", "2026-04-31", "2026-00-10", "2026-01-00"] {
            assert_eq!(parse_rfc3339(&format!("{day}T00:00:00Z")), None, "{day}");
        }
        assert!(parse_rfc3339("2028-02-29T00:00:00Z").is_some());
    }

    proptest! {
        #[test]
        fn every_second_reads_back(seconds in 0u64..200_000_000_000) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(seconds)), Some(seconds));
            prop_assert_eq!(parse_release(&release(seconds)), Some(seconds));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            prop_assert_eq!(parse_release(&text).or(parse_rfc3339(&text)), None);
        }
    }
}
