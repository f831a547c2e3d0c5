//! Names and counters that travel with a frame.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A device's name: one NATS subject token, `[A-Za-z0-9_-]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(String);

/// Why a text is no device name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device name {0:?} must be 1 to 63 letters, digits, '-' or '_'")]
pub struct BadDeviceId(String);

impl DeviceId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 64-bit FNV-1a hash of the name: what the frame header carries in its place.
    /// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
    pub fn hash64(&self) -> u64 {
        self.0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl TryFrom<String> for DeviceId {
    type Error = BadDeviceId;
    fn try_from(name: String) -> Result<Self, BadDeviceId> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if (1..=63).contains(&name.len()) && name.bytes().all(token) {
            Ok(Self(name))
        } else {
            Err(BadDeviceId(name))
        }
    }
}

impl FromStr for DeviceId {
    type Err = BadDeviceId;
    fn from_str(name: &str) -> Result<Self, BadDeviceId> {
        Self::try_from(name.to_owned())
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of one source on a device; a restarted edge takes a new one, so sequences never clash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId(pub u32);

/// Number of a frame within its stream, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence(pub u32);

/// Number of an assignment; rises with each change of operating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// SHA-256 of a network or a tiler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest {0:?} must be 64 hexadecimal digits")]
pub struct BadDigest(String);

impl Digest {
    /// The first eight bytes, big-endian: what the frame header carries.
    pub fn prefix(&self) -> u64 {
        u64::from_be_bytes([
            self.0[0], self.0[1], self.0[2], self.0[3], self.0[4], self.0[5], self.0[6], self.0[7],
        ])
    }
}

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadDigest(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = BadDigest;
    fn try_from(text: String) -> Result<Self, BadDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_id_refuses_what_a_subject_cannot_hold() {
        for bad in ["", "a.b", "a b", "cam*", "ü", &"x".repeat(64)] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad:?}");
        }
        assert_eq!("cam-0_A".parse::<DeviceId>().unwrap().as_str(), "cam-0_A");
    }

    #[test]
    fn fnv1a_matches_its_reference_vector() {
        assert_eq!("a".parse::<DeviceId>().unwrap().hash64(), 0xaf63_dc4c_8601_ec8c);
    }
}
