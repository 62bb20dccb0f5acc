//! The public half of an SSH host key: who knows the seed knows the machine by it.
//!
//! The format of OpenSSH's private keys: its sources, PROTOCOL.key.

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// The credential that a machine is known by.
pub const HOST_KEY: &str = "ssh.host-key-ed25519";

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The public key `TYPE BASE64` of a private one in OpenSSH's form, without a passphrase;
/// nothing for any other text.
pub fn public_host_key(private: &str) -> Option<String> {
    let lines = private.lines().map(str::trim).filter(|line| !line.is_empty());
    let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
    let bytes = BASE64_STANDARD.decode(body).ok()?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let (cipher, _derivation, _options) =
        (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let (count, after) = rest.split_first_chunk::<4>()?;
    rest = after;
    if cipher != b"none" || u32::from_be_bytes(*count) != 1 {
        return None;
    }
    let public = string(&mut rest)?;
    let kind = std::str::from_utf8(string(&mut &public[..])?).ok()?;
    let is_word = kind.bytes().all(|c| c.is_ascii_alphanumeric() || b"-@.".contains(&c));
    is_word.then(|| format!("{kind} {}", BASE64_STANDARD.encode(public)))
}

/// The next string, after its length in four bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;

    /// Of `ssh-keygen -t ed25519 -N '' -C test`, made for this test.
    const PRIVATE: &str = include_str!("../../tests/corpus/host-key/ed25519");
    const PUBLIC: &str = include_str!("../../tests/corpus/host-key-public/ed25519.pub");

    #[test]
    fn as_ssh_keygen_says() {
        assert_eq!(public_host_key(PRIVATE).as_deref(), PUBLIC.trim().strip_suffix(" test"));
        assert_eq!(public_host_key(""), None);
        assert_eq!(public_host_key("-----BEGIN PRIVATE KEY-----\nAAAA\n"), None);
    }

    #[test]
    fn a_corpus_of_keys_changed_at_random() {
        Fuzz::of("host-key", &["none", "\0\0\0\x0b", "ssh-ed25519", "-----\n"]).run(|bytes| {
            drop(public_host_key(&String::from_utf8_lossy(bytes)));
            let body = BASE64_STANDARD.encode([MAGIC, bytes].concat());
            drop(public_host_key(&body));
        });
    }
}
