//! Cleartext-signed documents and the keys they are believed by.
//!
//! Verified in-process with rPGP. The framework is that of RFC 9580, section 7,
//! read strictly: what is not signed, escaped or trimmed as it says is refused.
//! A key counts only while it and its binding are valid and unrevoked.

use crate::error::{Error, Result};
use crate::fs;
use crate::lock::{cleartext, date};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, PublicParams, Tag};
use std::path::Path;

/// The keys of Debian 13: archive, security archive and stable release.
const DEBIAN: [&str; 3] = [
    include_str!("../../keys/debian-archive-trixie-automatic.asc"),
    include_str!("../../keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../../keys/debian-archive-trixie-stable.asc"),
];

/// How far in the future a signature may be made before it is refused: clocks differ.
const SKEW: u64 = 24 * 3600;

/// More signatures than this on one document are not looked at.
const MOST_SIGNATURES: usize = 32;

/// The keys that are trusted to sign an archive.
#[derive(Debug, Clone)]
pub struct TrustAnchors {
    keys: Vec<SignedPublicKey>,
    source: String,
}

impl TrustAnchors {
    /// The keys of Debian 13 that are part of this program.
    ///
    /// # Errors
    /// Never in practice: a test reads them.
    pub fn debian() -> Result<TrustAnchors> {
        let mut keys = Vec::new();
        for armored in DEBIAN {
            keys.extend(read_keys(armored.as_bytes(), "the built-in keys")?);
        }
        Ok(TrustAnchors { keys, source: "Debian's archive keys".to_owned() })
    }

    /// The keys in a file, armored (one or more blocks) or binary.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub fn from_file(path: &Path) -> Result<TrustAnchors> {
        let name = path.display().to_string();
        TrustAnchors::from_bytes(&fs::read(path)?, &name)
    }

    /// The keys in `bytes`, as [`TrustAnchors::from_file`]; errors name them `source`.
    ///
    /// # Errors
    /// When there is no key, or something that is none.
    pub fn from_bytes(bytes: &[u8], source: &str) -> Result<TrustAnchors> {
        let keys = read_keys(bytes, source)?;
        if keys.is_empty() {
            return Err(Error::input(format!("{source} holds no OpenPGP key"))
                .hint("`--keyring` wants public keys as `gpg --export` or `gpg --export --armor` writes them"));
        }
        Ok(TrustAnchors { keys, source: source.to_owned() })
    }
}

fn read_keys(bytes: &[u8], source: &str) -> Result<Vec<SignedPublicKey>> {
    let bad = |e: pgp::errors::Error| {
        Error::input(format!("{source} cannot be read as OpenPGP keys: {e}"))
    };
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN));
    let Some(text) = text else {
        return SignedPublicKey::from_bytes_many(bytes)
            .map_err(bad)?
            .collect::<Result<_, _>>()
            .map_err(bad);
    };
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let armored = format!("{BEGIN}{block}");
        let (parsed, _) = SignedPublicKey::from_string_many(&armored).map_err(bad)?;
        for key in parsed {
            keys.push(key.map_err(bad)?);
        }
    }
    Ok(keys)
}

/// Checks the signatures of `document` and gives the signed text, which is all
/// of it that may be believed, with plain line ends.
///
/// One good signature by a trusted key suffices, as for apt.
///
/// # Errors
/// When it is not signed, or by strangers, or the text was changed, or the key
/// or the signature is out of date; `name` names the document.
pub fn verify_cleartext(
    document: &[u8],
    anchors: &TrustAnchors,
    now: u64,
    name: &str,
) -> Result<String> {
    let framed = cleartext::frame(document).map_err(|why| {
        Error::archive(format!("{name} is not signed: {why}")).hint(
            "nothing unsigned is believed; is this a Debian mirror? `--mirror URL` names another",
        )
    })?;
    let signatures = signatures(framed.armor).ok_or_else(|| {
        Error::archive(format!("{name} has a signature that cannot be read"))
            .hint("the file was damaged on its way; `--mirror URL` names another mirror")
    })?;
    let hashed = framed.lines.join("\r\n");
    let mut reasons = Vec::new();
    for signature in &signatures {
        match check(signature, hashed.as_bytes(), anchors, now) {
            Ok(()) => return Ok(framed.lines.join("\n") + "\n"),
            Err(why) => reasons.push(why),
        }
    }
    reasons.dedup();
    let error = Error::archive(format!("{name} has no good signature by a trusted key"));
    let error = reasons.into_iter().fold(error, Error::detail);
    Err(error.detail(format!("trusted: {}", anchors.source)).hint(
        "the file was changed on its way, or this is not the archive it claims to be; `--keyring FILE` names other keys, `--mirror URL` another mirror",
    ))
}

/// The signatures in the armor. What rPGP says about broken ones is not shown: it
/// quotes the input.
fn signatures(armor: &str) -> Option<Vec<Signature>> {
    // Spaces at the ends of lines are as harmless here as in the text.
    let armor: String = armor.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let (parsed, _) = DetachedSignature::from_string_many(&armor).ok()?;
    // After the first that cannot be read the place of the next is not known; the
    // ones before it count.
    let readable = parsed.take(MOST_SIGNATURES).map_while(Result::ok);
    let signatures: Vec<Signature> = readable.map(|detached| detached.signature).collect();
    if signatures.is_empty() { None } else { Some(signatures) }
}

/// Checks one signature against every key that it may be by.
fn check(
    signature: &Signature,
    hashed: &[u8],
    anchors: &TrustAnchors,
    now: u64,
) -> Result<(), String> {
    let by = issuer(signature);
    if !has_strong_digest(signature) {
        return Err(format!("the signature by {by} uses a weak digest"));
    }
    if signature.typ() != Some(SignatureType::Text) {
        return Err(format!("the signature by {by} is not one of a text"));
    }
    let made = signature.created().map_or(0, |at| u64::from(at.as_secs()));
    if made > now + SKEW {
        return Err(format!(
            "the signature by {by} was made in the future ({}); is this machine's clock right?",
            date::rfc3339(made)
        ));
    }
    let lasts = signature.signature_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    if lasts > 0 && made + lasts < now {
        return Err(format!("the signature by {by} has expired"));
    }
    for key in &anchors.keys {
        if is_by(signature, &key.primary_key) {
            usable_primary(key, made, now)?;
            return good(signature.verify(&key.primary_key, hashed), &by);
        }
        if let Some(subkey) = key.public_subkeys.iter().find(|sub| is_by(signature, &sub.key)) {
            usable_primary(key, made, now)?;
            usable_subkey(key, subkey, made, now)?;
            return good(signature.verify(&subkey.key, hashed), &by);
        }
    }
    Err(format!("signed by {by}, which is not trusted"))
}

/// Whether nobody can make two texts with the digest that is signed.
fn has_strong_digest(signature: &Signature) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    let strong = [Sha256, Sha384, Sha512, Sha3_256, Sha3_512];
    signature.hash_alg().is_some_and(|algorithm| strong.contains(&algorithm))
}

fn newest_strong(signatures: Vec<&Signature>) -> Option<&Signature> {
    let strong = signatures.into_iter().filter(|one| has_strong_digest(one));
    strong.max_by_key(|one| one.created().map(|at| at.as_secs()))
}

/// The fewest bits of an RSA modulus: as apt's default policy in Debian 13, and NIST SP 800-57.
const LEAST_RSA: u16 = 2048;

/// Refuses keys that others can compute, by their kind or length.
fn strong_key(key: &impl KeyDetails, shown: &str) -> Result<(), String> {
    let params = key.public_params();
    if matches!(params, PublicParams::DSA(_)) {
        return Err(format!("the key {shown} is DSA, which is too weak"));
    }
    if matches!(params, PublicParams::RSA(_)) {
        // RFC 9580, section 5.5.5.1: the modulus first, as a number with its length in bits.
        let written = params.to_bytes().unwrap_or_default();
        let bits = written.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
        if bits < LEAST_RSA {
            return Err(format!("the key {shown} is RSA of {bits} bits, less than {LEAST_RSA}"));
        }
    }
    Ok(())
}

fn good(verified: pgp::errors::Result<()>, by: &str) -> Result<(), String> {
    verified.map_err(|_| format!("the signature by {by} does not fit the text"))
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|f| f.to_string());
    let id = || signature.issuer_key_id().first().map(|id| id.to_string());
    fingerprint.or_else(id).unwrap_or_else(|| "an unnamed key".to_owned()).to_uppercase()
}

fn is_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        let id = key.legacy_key_id();
        return signature.issuer_key_id().into_iter().any(|other| *other == id);
    }
    fingerprints.into_iter().any(|other| *other == key.fingerprint())
}

/// The primary key is not revoked and was valid, by its newest own signature.
fn usable_primary(key: &SignedPublicKey, made: u64, now: u64) -> Result<(), String> {
    let primary = &key.primary_key;
    let shown = primary.fingerprint().to_string().to_uppercase();
    strong_key(primary, &shown)?;
    let mut revocations = key.details.revocation_signatures.iter();
    if revocations.any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err(format!("the key {shown} is revoked"));
    }
    let direct = key.details.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok());
    let by_users = key.details.users.iter().flat_map(|user| {
        let own = user.signatures.iter().filter(|s| s.is_certification());
        own.filter(|s| s.verify_certification(primary, Tag::UserId, &user.id).is_ok())
    });
    let own: Vec<&Signature> = direct.chain(by_users).collect();
    if own.is_empty() {
        return Err(format!("the key {shown} has no valid signature of its own"));
    }
    let newest = newest_strong(own).ok_or_else(|| {
        format!("the key {shown} is bound to its user by weak digests only, like SHA-1")
    })?;
    in_time(newest, u64::from(primary.created_at().as_secs()), &shown, made, now)
}

/// The subkey is bound to the primary key, may sign, is not revoked and was valid.
fn usable_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    made: u64,
    now: u64,
) -> Result<(), String> {
    let shown = subkey.key.fingerprint().to_string().to_uppercase();
    strong_key(&subkey.key, &shown)?;
    let valid = |s: &&Signature| s.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok();
    let bindings: Vec<&Signature> = subkey.signatures.iter().filter(valid).collect();
    if bindings.iter().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(format!("the key {shown} is revoked"));
    }
    if bindings.is_empty() {
        return Err(format!("the key {shown} is not bound to a trusted one"));
    }
    let newest = newest_strong(bindings).ok_or_else(|| {
        format!("the key {shown} is bound to its primary key by weak digests only, like SHA-1")
    })?;
    let back = newest.embedded_signature();
    let agrees = |s: &Signature| {
        has_strong_digest(s) && s.verify_primary_key_binding(&subkey.key, &key.primary_key).is_ok()
    };
    if !newest.key_flags().sign() || !back.is_some_and(agrees) {
        return Err(format!("the key {shown} may not sign"));
    }
    in_time(newest, u64::from(subkey.key.created_at().as_secs()), &shown, made, now)
}

fn in_time(
    binding: &Signature,
    created: u64,
    shown: &str,
    made: u64,
    now: u64,
) -> Result<(), String> {
    let lasts = binding.key_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    if lasts > 0 && created + lasts < now.max(made) {
        return Err(format!("the key {shown} expired on {}", date::rfc3339(created + lasts)));
    }
    if made < created {
        return Err(format!("the key {shown} is newer than the signature by it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_built_in_keys_are_valid() {
        let anchors = TrustAnchors::debian().unwrap();
        let at = date::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(anchors.keys.len(), 3);
        for key in &anchors.keys {
            usable_primary(key, at, at).unwrap();
            for subkey in &key.public_subkeys {
                usable_subkey(key, subkey, at, at).unwrap();
            }
        }
        let late = date::parse_rfc3339("2040-01-01T00:00:00Z").unwrap();
        let why = usable_primary(&anchors.keys[2], at, late).unwrap_err();
        assert_eq!(
            why,
            "the key 41587F7DB8C774BCCF131416762F67A0B2C39DE4 expired on 2033-03-22T18:56:21Z"
        );
    }

    /// Keys and texts that GnuPG made.
    #[test]
    fn keys_that_others_can_compute_are_refused() {
        macro_rules! verify {
            ($name:literal) => {{
                let key = include_bytes!(concat!("../../tests/corpus/keys/", $name, ".asc"));
                let text = include_bytes!(concat!("../../tests/corpus/keys/", $name, ".signed"));
                let anchors = TrustAnchors::from_bytes(key, "my.asc").unwrap();
                let now = date::parse_rfc3339("2026-11-29T00:00:00Z").unwrap();
                verify_cleartext(text, &anchors, now, "InRelease")
            }};
        }
        assert_eq!(verify!("rsa-2048").unwrap(), "Suite: x\n");
        let cases = [
            (verify!("rsa-1024"), "is RSA of 1024 bits, less than 2048\n"),
            (verify!("dsa-2048"), "is DSA, which is too weak\n"),
            (verify!("sha1-binding"), "is bound to its user by weak digests only, like SHA-1\n"),
        ];
        for (verified, why) in cases {
            let said = verified.unwrap_err().to_string();
            let first = "error: InRelease has no good signature by a trusted key\n  the key ";
            assert!(said.starts_with(first) && said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_keyring_without_keys_is_refused() {
        let error = TrustAnchors::from_bytes(b"", "my.gpg").unwrap_err();
        assert_eq!(error.message(), "my.gpg holds no OpenPGP key");
        for text in ["hello", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nhello\n"] {
            assert!(TrustAnchors::from_bytes(text.as_bytes(), "my.gpg").is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_keyring_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(TrustAnchors::from_bytes(&bytes, "x"));
        }

        #[test]
        fn any_bytes_are_refused(body in ".{0,40}", armor in "[A-Za-z0-9+/=\n]{0,80}") {
            let anchors = TrustAnchors::debian().unwrap();
            let text = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{body}\n-----BEGIN PGP SIGNATURE-----\n\n{armor}\n-----END PGP SIGNATURE-----\n");
            prop_assert!(verify_cleartext(text.as_bytes(), &anchors, 0, "x").is_err());
        }
    }
}
