//! What an archive's indexes say: versions, relations, control files, dates, signatures.

use crate::fuzzer::Fuzz;
use crate::in_little_memory;
use imagebuild::lock::TrustAnchors;
use imagebuild::lock::control::Paragraphs;
use imagebuild::lock::date;
use imagebuild::lock::depends::{self, Group};
use imagebuild::lock::openpgp::verify_cleartext;
use imagebuild::lock::packages::{Index, Packing};
use imagebuild::lock::version::Version;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

const FIELDS: &[&str] = &[
    "\n\n",
    "\n ",
    ":",
    "#",
    "Package: ",
    "Version: ",
    "Depends: ",
    "Provides: ",
    "Filename: ",
    "Size: ",
    "SHA256: ",
    "Essential: yes\n",
    "../",
    "\r\n",
    "\u{e9}",
    "\t",
];

#[test]
fn versions() {
    let tokens = &["~", "+", "-", ":", ".", "0", "\n", "a", "999999999999999999999"];
    Fuzz::of("version", tokens).rounds(20_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let all: Vec<Version> =
            text.lines().take(6).filter_map(|line| Version::parse(line).ok()).collect();
        for a in &all {
            assert_eq!(Version::parse(a.as_str()).unwrap().as_str(), a.as_str());
            assert_eq!(a.cmp(a), Ordering::Equal);
            for b in &all {
                assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} {b}");
                let mut beyond = all.iter().filter(|c| a <= b && b <= *c);
                assert!(beyond.all(|c| a <= c), "{a} {b}");
            }
        }
    });
}

#[test]
fn relations() {
    let tokens =
        &["(", ")", "[", "]", "<", ">", ">=", "<<", "=", "|", ",", ":", "!", "any", "amd64"];
    Fuzz::of("depends", tokens).rounds(20_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(groups) = depends::parse(&text, "amd64") else { return };
        assert!(groups.len() <= text.len() && groups.iter().all(|group| !group.0.is_empty()));
        let shown: Vec<String> = groups.iter().map(Group::to_string).collect();
        assert_eq!(depends::parse(&shown.join(", "), "amd64").as_ref(), Ok(&groups), "{text}");
    });
}

#[test]
fn control_files() {
    Fuzz::of("control", FIELDS).rounds(20_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut end = 0;
        for paragraph in Paragraphs::new(Path::new("control"), &text) {
            let Ok(paragraph) = paragraph else { continue };
            // Each is after the one before: no byte is read twice.
            assert!(paragraph.span.start >= end && paragraph.span.end > paragraph.span.start);
            end = paragraph.span.end;
            assert!(
                paragraph.words("Depends").len() + paragraph.lines("Files").count() <= text.len()
            );
            drop(paragraph.require("Package"));
        }
        assert!(end <= text.len());
    });
}

#[test]
fn indexes() {
    in_little_memory(|| {
        Fuzz::of("packages", FIELDS).run(|bytes| {
            for packing in Packing::ALL {
                let file = PathBuf::from("Packages");
                let Ok(index) = Index::unpack(file, "debian", packing, bytes, 1 << 20) else {
                    continue;
                };
                for entry in 0..index.names().count() {
                    let Ok(package) = index.package(entry) else { continue };
                    assert!(!package.filename.split('/').any(|part| part == ".."));
                    assert!(!package.filename.starts_with('/') && !package.name.contains('/'));
                }
            }
        });
    });
}

#[test]
fn dates() {
    let tokens = &["UTC", "GMT", "Z", "T", ":", "-", " ", "Feb", "29", "9999", "\n"];
    Fuzz::of("date", tokens).rounds(20_000).run(|bytes| {
        for line in String::from_utf8_lossy(bytes).lines() {
            for seconds in [date::parse_release(line), date::parse_rfc3339(line)] {
                let Some(seconds) = seconds else { continue };
                assert_eq!(date::parse_rfc3339(&date::rfc3339(seconds)), Some(seconds), "{line}");
                assert_eq!(date::parse_release(&date::release(seconds)), Some(seconds), "{line}");
            }
        }
    });
}

const ARMOR: &[&str] = &[
    "-----BEGIN PGP SIGNED MESSAGE-----\n",
    "-----BEGIN PGP SIGNATURE-----\n",
    "-----END PGP SIGNATURE-----\n",
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
    "-----END PGP PUBLIC KEY BLOCK-----\n",
    "Hash: SHA256\n",
    "- ",
    "\n\n",
    "=AAAA\n",
    "=",
    "\r",
    "Comment: x\n",
    "\0",
];

/// Of a document that was changed on its way either nothing is believed, or what was signed.
#[test]
fn signed_documents() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let anchors = TrustAnchors::from_file(&corpus.join("keyring/armored")).unwrap();
    let now = date::parse_rfc3339("2026-12-01T00:00:00Z").unwrap();
    let read = |bytes: &[u8]| verify_cleartext(bytes, &anchors, now, "InRelease");
    let mut signed = Vec::new();
    for name in ["inrelease", "escaped", "two-signatures"] {
        let document = std::fs::read(corpus.join("openpgp").join(name)).unwrap();
        signed.push(read(&document).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    in_little_memory(|| {
        Fuzz::of("openpgp", ARMOR).rounds(8000).run(|bytes| {
            if let Ok(text) = read(bytes) {
                assert!(signed.contains(&text), "{text}");
            }
        });
    });
}

#[test]
fn keyrings() {
    in_little_memory(|| {
        Fuzz::of("keyring", ARMOR).rounds(8000).run(|bytes| {
            drop(TrustAnchors::from_bytes(bytes, "keyring"));
        });
    });
}
