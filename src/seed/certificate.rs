//! A certificate of the user's own, with its key: what would keep a server from starting, or
//! a browser from believing it, is told before it is on the way to a machine.

use crate::lock::date;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

const ORDER: &str =
    "certificates first, that of the site before those of its issuers, then the key, in one text";

/// What is wrong with the text, and what to do about it; it is for these DNS names, and used
/// at `now` (seconds since 1970).
pub(super) fn wrong(pem: &str, domains: &[String], now: u64) -> Option<(String, &'static str)> {
    let said = |what: &str, hint| Some((what.to_owned(), hint));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.unwrap_or_default();
    let Some(own) = chain.first() else {
        return said("holds a certificate that was cut off, or changed", ORDER);
    };
    let Some((from, until)) = validity(own) else {
        return said("holds a certificate that was cut off, or changed", ORDER);
    };
    // One of a form that only the servers know.
    let parsed = ParsedCertificate::try_from(own).ok()?;
    let Ok(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) else {
        return said("holds a private key that was cut off, or changed", ORDER);
    };
    let provider = rustls::crypto::ring::default_provider();
    let pair = CertifiedKey::from_der(chain.clone(), key, &provider);
    // Of other errors the servers know better: they have kinds of keys that ring has not.
    if let Err(rustls::Error::InconsistentKeys(_)) = pair {
        return said("holds the key of another certificate", ORDER);
    }
    if until < now {
        let hint = "servers and browsers refuse it: renew it, or take the line out, and `imagebuild seed` makes one for the time being";
        return Some((format!("expired on {}", day(until)), hint));
    }
    if from > now + DAY {
        return Some((
            format!("is not valid before {}", day(from)),
            "is this machine's clock right?",
        ));
    }
    let is_for = |domain: &&String| {
        let name = ServerName::try_from(domain.as_str());
        name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    };
    let other = domains.iter().find(|domain| !is_for(domain))?;
    let hint = "it must have all of `domains` in site.toml as alternative names; take the line out, and `imagebuild seed` makes one for the time being";
    Some((format!("is not for {other}"), hint))
}

/// A clock may be a little behind that of the issuer.
const DAY: u64 = 86_400;

fn day(seconds: u64) -> String {
    date::rfc3339(seconds).chars().take_while(|letter| *letter != 'T').collect()
}

/// From when until when a certificate is valid (RFC 5280, 4.1), in seconds since 1970.
fn validity(der: &[u8]) -> Option<(u64, u64)> {
    let (_, certificate, _) = element(der)?;
    let (_, signed, _) = element(certificate)?;
    // The version, which may be missing; number, algorithm and issuer.
    let (first, _, after) = element(signed)?;
    let mut rest = if first == 0xa0 { after } else { signed };
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, times, _) = element(rest)?;
    let (kind, from, rest) = element(times)?;
    let (other, until, _) = element(rest)?;
    Some((time(kind, from)?, time(other, until)?))
}

/// The tag of the first element, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// UTCTime (two digits of the year, from 1950) or GeneralizedTime (four).
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let text = match tag {
        0x17 if text.get(..2)? < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let part = |range| text.get(range);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    date::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn armour(label: &str, der: &[u8]) -> String {
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    fn certificate(names: &[&str], years: (i32, i32), key: &KeyPair) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 2);
        armour("CERTIFICATE", params.self_signed(key).unwrap().der())
    }

    /// A certificate with its key, for a test's own site.
    pub(crate) fn pair(names: &[&str]) -> String {
        let key = KeyPair::generate().unwrap();
        certificate(names, (1975, 4000), &key) + &armour("PRIVATE KEY", &key.serialize_der())
    }

    const NOW: &str = "2026-11-29T00:00:00Z";

    fn said(pem: &str, domains: &[&str]) -> Option<String> {
        let domains: Vec<String> = domains.iter().map(|name| (*name).to_owned()).collect();
        wrong(pem, &domains, date::parse_rfc3339(NOW).unwrap()).map(|(what, _)| what)
    }

    #[test]
    fn what_keeps_a_server_from_starting_or_a_browser_from_believing() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let [pem, another] = [&key, &other].map(|key| armour("PRIVATE KEY", &key.serialize_der()));
        let of = |names: &[&str], years| certificate(names, years, &key);
        let good = of(&["example.org", "*.example.org"], (2020, 2060));
        for domains in [&[][..], &["example.org"], &["example.org", "www.example.org"]] {
            assert_eq!(said(&format!("{good}{pem}"), domains), None);
        }
        assert_eq!(said(&format!("{pem}{good}"), &[]), None, "keys may come first");
        let says = |text: String, domains: &[&str], what: &str| {
            assert_eq!(said(&text, domains).as_deref(), Some(what));
        };
        says(format!("{good}{another}"), &[], "holds the key of another certificate");
        says(format!("{}{pem}", of(&[], (2020, 2026))), &[], "expired on 2026-01-02");
        says(format!("{}{pem}", of(&[], (2027, 2028))), &[], "is not valid before 2027-01-01");
        let domains = ["example.org", "www.example.com"];
        says(format!("{good}{pem}"), &domains, "is not for www.example.com");
        let short = good.replacen("MII", "MI", 1);
        says(format!("{short}{pem}"), &[], "holds a certificate that was cut off, or changed");
        says(good, &[], "holds a private key that was cut off, or changed");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_validity_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            prop_assert!(validity(&bytes).is_none_or(|(from, _)| from < u64::MAX));
        }
    }
}
