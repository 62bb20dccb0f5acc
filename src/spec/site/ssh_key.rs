//! Public SSH keys: lines as `ssh-keygen` writes them, `TYPE BASE64 [comment]`.

use crate::error::Result;
use crate::spec::source::Sources;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use toml::Spanned;

/// Types that Debian's sshd takes.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
const PASTE: &str = "paste the line of ~/.ssh/id_ed25519.pub: `ssh-ed25519 AAAA... you@host`";
const WHOLE: &str = "paste the whole line of ~/.ssh/id_ed25519.pub once more, with nothing changed";

/// Checks a line of authorized_keys.
pub(crate) fn check(key: &Spanned<String>, sources: &Sources) -> Result<()> {
    match wrong(key.get_ref()) {
        None => Ok(()),
        Some(_) if key.get_ref().contains("PRIVATE KEY") => Err(sources
            .error_unseen(key.span(), "this is a private SSH key: it stays with you")
            .hint(PASTE)),
        Some((message, hint)) => Err(sources.error(key.span(), message).hint(hint)),
    }
}

/// What is wrong with a line, and what to do about it.
pub fn wrong(line: &str) -> Option<(String, String)> {
    let said = |message: &str, hint: &str| Some((message.to_owned(), hint.to_owned()));
    let mut words = line.split_whitespace();
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if line.trim().contains(|c: char| c.is_control() && c != '\t') {
        return said("this is not a public SSH key", PASTE);
    }
    if TYPES.contains(&kind) {
        return wrong_body(kind, body);
    }
    if line.split_whitespace().any(|word| TYPES.contains(&word)) {
        let hint = "begin with the key's type, `ssh-ed25519`: there are no options here";
        return said("there is something before the type of this SSH key", hint);
    }
    if body.starts_with("AAAA") {
        let message = format!("`{kind}` is not a type of SSH keys that sshd takes");
        return Some((message, format!("it takes {}", TYPES.join(", "))));
    }
    said("this is not a public SSH key", PASTE)
}

/// What is wrong with the key itself: it says its type once more, then its numbers.
/// <https://www.rfc-editor.org/rfc/rfc4253#section-6.6>
fn wrong_body(kind: &str, body: &str) -> Option<(String, String)> {
    let said = |message: String| Some((message, WHOLE.to_owned()));
    let Ok(bytes) = BASE64_STANDARD.decode(body) else {
        return said("this SSH key is not base64: it was cut off, or changed".to_owned());
    };
    match strings(&bytes).as_deref() {
        Some([first, _, ..]) if *first == kind.as_bytes() => None,
        Some([first, _, ..]) => {
            let own = String::from_utf8_lossy(first);
            said(format!("this SSH key says `{own}` inside, and `{kind}` before"))
        }
        _ => said("this SSH key is not whole".to_owned()),
    }
}

/// The strings of a key, each with its length (4 bytes) before it; none, if there is more
/// or less.
fn strings(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (string, rest) = rest.split_at_checked(length)?;
        all.push(string);
        bytes = rest;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_all_of_a_key() {
        assert_eq!(strings(b"\0\0\0\x02ab\0\0\0\0").unwrap(), [&b"ab"[..], b""]);
        assert_eq!(strings(b"\0\0\0\x03ab"), None);
        assert_eq!(strings(b"\0\0\0\x02ab\0"), None);
    }
}
