//! Unpacks xz, in bounded memory.

use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Error, Stream};
use std::io::Read;

/// An xz file says how much memory its reader needs, up to 4 GiB, and gets it before a
/// byte is unpacked. `xz -9`, the most that dpkg-deb takes, needs 65 MiB.
const MOST_MEMORY: u64 = 256 << 20;

/// A reader of what is packed in `reader`, of one or more streams one after the other.
pub(crate) fn decoder<R: Read>(reader: R) -> Result<XzDecoder<R>, Error> {
    let stream = Stream::new_stream_decoder(MOST_MEMORY, CONCATENATED)?;
    Ok(XzDecoder::new_stream(reader, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        decoder(bytes)?.read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn several_streams_are_one_file_and_the_largest_of_debian_is_read() {
        let packed = liblzma::encode_all(&b"some words"[..], 9).unwrap();
        assert_eq!(unpacked(&packed).unwrap(), b"some words");
        let twice = [&packed[..], &packed].concat();
        assert_eq!(unpacked(&twice).unwrap(), b"some wordssome words");
        assert!(unpacked(&packed[..packed.len() - 1]).is_err());
    }

    #[test]
    fn a_dictionary_of_4_gib_is_refused() {
        let packed = include_bytes!("../../tests/corpus/packages/xz-dictionary-of-4-GiB");
        let error = unpacked(packed).unwrap_err().to_string();
        assert!(error.contains("memory"), "{error}");
    }
}
