//! GUIDs that follow from names, so that the same image always has the same ones.
//!
//! RFC 9562 version 5 under one namespace of ours; GPT stores them with the first
//! three fields little-endian (UEFI 2.10, appendix A).

use std::fmt;
use uuid::Uuid;

/// The namespace of every GUID that imagebuild derives; changing it renames every disk.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f6d_5c1e_3b0a_4d52_9a77_1e0c_64b2_f3d9);

/// A GUID; shown as 36 lower-case characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(Uuid);

impl Guid {
    /// The GUID with this value, most significant digit first.
    pub const fn from_u128(value: u128) -> Guid {
        Guid(Uuid::from_u128(value))
    }

    /// The GUID of `name` (such as "arch4-web1/state"), the same for ever.
    pub fn of_name(name: &str) -> Guid {
        Guid(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The 16 bytes as GPT stores them.
    pub fn to_gpt(self) -> [u8; 16] {
        self.0.to_bytes_le()
    }

    /// The 16 bytes in the order in which they are shown (superblocks use this one).
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl serde::Serialize for Guid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Guid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::try_parse(&text).map(Guid).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_from_the_name_alone() {
        assert_eq!(Guid::of_name("arch4-web1/esp"), Guid::of_name("arch4-web1/esp"));
        assert_ne!(Guid::of_name("arch4-web1/esp"), Guid::of_name("arch4-web2/esp"));
        assert_eq!(Guid::of_name("x").to_string().as_bytes()[14], b'5');
    }

    #[test]
    fn gpt_swaps_the_first_three_fields() {
        let guid = Guid::from_u128(0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b);
        assert_eq!(guid.to_gpt()[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
    }
}
