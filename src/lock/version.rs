//! Debian version numbers and their order.
//!
//! The format `[epoch:]upstream[-revision]` and the comparison are those of
//! Debian Policy 5.6.12, as dpkg implements them: `~` sorts before everything,
//! even before the end; digits compare as numbers of any length.

use std::cmp::Ordering;
use std::fmt;

/// A version, kept as it was written; equal means equal in order ("1.0" = "0:1.00").
#[derive(Debug, Clone)]
pub struct Version(String);

impl Version {
    /// Reads a version.
    ///
    /// # Errors
    /// A reason, when the text is not one by the rules of Policy 5.6.12 (a
    /// version need not start with a digit: archives hold some that do not).
    pub fn parse(text: &str) -> Result<Version, String> {
        let wrong = |why: &str| Err(format!("`{text}` is not a Debian version: {why}"));
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        if epoch.is_empty() || !epoch.bytes().all(|b| b.is_ascii_digit()) {
            return wrong("the epoch before `:` is not a number");
        }
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        if upstream.is_empty() || revision.is_empty() {
            return wrong("a part of it is empty");
        }
        let allowed = |extra: &'static str| {
            move |b: u8| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b)
        };
        if !upstream.bytes().all(allowed(".+-~:")) || !revision.bytes().all(allowed(".+~")) {
            return wrong("only letters, digits and . + - ~ : can be in it");
        }
        Ok(Version(text.to_owned()))
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str, &str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("0", &self.0));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch, upstream, revision)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let (a, b) = (self.parts(), other.parts());
        compare_digits(a.0.as_bytes(), b.0.as_bytes())
            .then_with(|| compare_part(a.1.as_bytes(), b.1.as_bytes()))
            .then_with(|| compare_part(a.2.as_bytes(), b.2.as_bytes()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares upstream versions or revisions: runs of non-digits and of digits in turn.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_run(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split_run(b, |byte| !byte.is_ascii_digit());
        let (number_a, rest_a) = split_run(rest_a, |byte| byte.is_ascii_digit());
        let (number_b, rest_b) = split_run(rest_b, |byte| byte.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| compare_digits(number_a, number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn split_run(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !belongs(byte)).unwrap_or(bytes.len()))
}

/// Compares as text where `~` is before the end and letters are before the rest.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    (0..a.len().max(b.len()))
        .map(|i| weight(a.get(i)).cmp(&weight(b.get(i))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// Compares as numbers; no digits at all count as 0.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn known_pairs_are_in_order() {
        let ascending = [
            ("1.0~rc1", "1.0"),
            ("1.0~~", "1.0~"),
            ("1.0~~a", "1.0~"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+"),
            ("1.0-1", "1.0-1.1"),
            ("1.0-1", "1.0-1+deb13u1"),
            ("1.0-1~bpo13+1", "1.0-1"),
            ("9", "10"),
            ("2:1", "10:0"),
            ("99", "1:0"),
            ("1.2-9", "1.2.1-1"),
            ("3.5.1-1", "3.5.1-1+deb13u1"),
            ("99999999999999999999", "100000000000000000000"),
            ("a", "b"),
        ];
        for (low, high) in ascending {
            assert!(v(low) < v(high), "{low} < {high}");
            assert!(v(high) > v(low), "{high} > {low}");
        }
    }

    #[test]
    fn different_spellings_can_be_equal() {
        for (a, b) in [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0", "1.0-0"), ("1.a", "1.a0")] {
            assert_eq!(v(a), v(b), "{a} = {b}");
        }
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in ["", ":1", "a:1", "1-", "-1", "1_0", "1 0", "1:", "é"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }

    fn version() -> impl Strategy<Value = Version> {
        "([0-3]:)?[0-9a-b~+.]{1,6}(-[0-9a~+.]{1,3})?".prop_map(|text| v(&text))
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in version(), b in version(), c in version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            if let Ok(version) = Version::parse(&text) {
                prop_assert_eq!(version.cmp(&version), Ordering::Equal);
            }
        }
    }
}
