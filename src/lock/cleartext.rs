//! The frame of a cleartext-signed document, taken apart.
//!
//! RFC 9580, section 7, read strictly: a header other than `Hash`, a line that
//! should be escaped and is not, or anything after the signature is refused, so
//! that no two readers can disagree about what is signed.

/// A document that is split but not yet believed.
#[derive(Debug)]
pub(super) struct Framed<'a> {
    /// The signed lines, unescaped and without spaces at their ends.
    pub(super) lines: Vec<&'a str>,
    /// The armored signatures.
    pub(super) armor: &'a str,
}

/// Splits the document into its lines, unescaped and trimmed, and the armor.
pub(super) fn frame(document: &[u8]) -> Result<Framed<'_>, String> {
    let text = std::str::from_utf8(document).map_err(|_| "it is not text")?;
    let begin = "-----BEGIN PGP SIGNED MESSAGE-----";
    let signature = "-----BEGIN PGP SIGNATURE-----";
    let mut rest = text;
    let mut next = || -> Option<(&str, &str)> {
        let before = rest;
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        Some((line.trim_end_matches([' ', '\t', '\r']), before))
    };
    if next().is_none_or(|(line, _)| line != begin) {
        return Err(format!("it does not start with `{begin}`"));
    }
    while let Some((line, _)) = next().filter(|(line, _)| !line.is_empty()) {
        if !line.starts_with("Hash: ") {
            return Err(format!("unexpected header `{line}`"));
        }
    }
    let mut lines = Vec::new();
    while let Some((line, before)) = next() {
        if line == signature {
            let armor = before.trim_end();
            let ends = armor.ends_with("-----END PGP SIGNATURE-----");
            let one = armor.matches("-----BEGIN").count() == 1;
            return if ends && one {
                Ok(Framed { lines, armor })
            } else {
                Err("something follows its signature".to_owned())
            };
        }
        let unescaped = line.strip_prefix("- ").unwrap_or(line);
        if (unescaped.len() == line.len() && line.starts_with('-')) || line.contains(['\r', '\0']) {
            return Err(format!("the line `{}` is not escaped", line.escape_debug()));
        }
        lines.push(unescaped.trim_end_matches([' ', '\t']));
    }
    Err("it has no signature at its end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;

    #[test]
    fn escapes_and_line_ends_are_undone() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n- -a \t\r\nb  \r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nx\r\n-----END PGP SIGNATURE-----\r\n";
        let framed = frame(text.as_bytes()).map(|framed| framed.lines).unwrap();
        assert_eq!(framed, ["-a", "b"]);
        let cases = [
            ("Origin: x\n", "it does not start with `-----BEGIN PGP SIGNED MESSAGE-----`"),
            (
                "-----BEGIN PGP SIGNED MESSAGE-----\nComment: x\n\n",
                "unexpected header `Comment: x`",
            ),
            ("-----BEGIN PGP SIGNED MESSAGE-----\n\na\n", "it has no signature at its end"),
            ("-----BEGIN PGP SIGNED MESSAGE-----\n\n-a\n", "the line `-a` is not escaped"),
        ];
        for (text, why) in cases {
            assert_eq!(frame(text.as_bytes()).map(|framed| framed.lines).unwrap_err(), why);
        }
        let after = text.to_owned() + "more: yes\n";
        assert_eq!(
            frame(after.as_bytes()).map(|f| f.lines).unwrap_err(),
            "something follows its signature"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(lines in proptest::collection::vec("(- |-----BEGIN PGP SIGNATURE-----|-----END PGP SIGNATURE-----|Hash: |.{0,3})", 0..8)) {
            let text = format!("-----BEGIN PGP SIGNED MESSAGE-----\n{}", lines.join("\n"));
            drop(frame(text.as_bytes()));
        }
    }

    #[test]
    fn a_corpus_of_documents_changed_at_random() {
        let tokens =
            &["-----BEGIN PGP SIGNATURE-----\n", "-----BEGIN", "Hash: ", "- ", "\r\n", "\0"];
        Fuzz::of("openpgp", tokens).rounds(100_000).run(|bytes| {
            let Ok(framed) = frame(bytes) else { return };
            // What is signed is in the document, and nothing else could be its signature.
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(framed.lines.iter().all(|line| text.contains(line) && !line.contains('\n')));
            assert!(framed.armor.matches("-----BEGIN").count() == 1);
            assert!(text.trim_end().ends_with(framed.armor));
        });
    }
}
