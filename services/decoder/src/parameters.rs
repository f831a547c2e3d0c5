//! Parameter sets of streams: kept by device and digest, asked for once.
//!
//! A digest is a mere CRC-32, so one device's sets are never used for another's frames: a clash, or a forgery,
//! would decode to a wrong plane without an error.

use std::time::Duration;

use autotiler_core::{DeviceId, wire::LossReason};
use autotiler_hevc::{BadParameterSets, ParameterDigest, ParameterSets};
use autotiler_transport::{Connection, ParameterError, request_parameters};

/// Streams whose sets are remembered; about 400 bytes each.
const CAPACITY: usize = 1024;

/// Whose parameter sets.
pub(crate) type StreamKey = (DeviceId, ParameterDigest);

/// Sets of the streams seen lately.
#[derive(Debug, Default)]
pub(crate) struct ParameterCache {
    /// Most recently used last.
    known: Vec<(StreamKey, ParameterSets)>,
}

/// Why there are no parameter sets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The device did not give any.
    #[error(transparent)]
    Request(#[from] ParameterError),
    /// What it gave are none.
    #[error("reading the parameter sets of {device}")]
    Bad {
        /// The device.
        device: DeviceId,
        /// What is wrong with them.
        #[source]
        source: BadParameterSets,
    },
    /// It gave others.
    #[error("{device} gave parameter sets {got} instead of {expected}")]
    Other {
        /// The device.
        device: DeviceId,
        /// Asked for.
        expected: ParameterDigest,
        /// Given.
        got: ParameterDigest,
    },
}

impl FetchError {
    /// What the device is told.
    pub(crate) const REASON: LossReason = LossReason::UnknownParameterSets;

    /// Metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Request(ParameterError::Unknown { .. }) => "unknown",
            Self::Request(_) => "no_answer",
            Self::Bad { .. } | Self::Other { .. } => "bad",
        }
    }
}

impl ParameterCache {
    /// The sets of `key`, if they are known.
    pub(crate) fn get(&mut self, key: &StreamKey) -> Option<ParameterSets> {
        let at = self.known.iter().position(|(known, _)| known == key)?;
        // A clone shares the bytes.
        let sets = self.known.get(at).map(|(_, sets)| sets.clone());
        self.known[at..].rotate_left(1);
        sets
    }

    /// Remembers the sets of `key`, and forgets the least recently used ones for it.
    pub(crate) fn insert(&mut self, key: StreamKey, sets: ParameterSets) {
        self.known.retain(|(known, _)| *known != key);
        if self.known.len() >= CAPACITY {
            self.known.remove(0);
        }
        self.known.push((key, sets));
    }
}

/// Asks the device for its sets and holds them to their digest.
///
/// # Errors
/// [`FetchError`].
pub(crate) async fn fetch(
    connection: &Connection,
    (device, expected): &StreamKey,
    timeout: Duration,
) -> Result<ParameterSets, FetchError> {
    let bytes = request_parameters(connection, device, expected.0, timeout).await?;
    read(device, *expected, &bytes)
}

fn read(device: &DeviceId, expected: ParameterDigest, bytes: &[u8]) -> Result<ParameterSets, FetchError> {
    let bad = |source| FetchError::Bad { device: device.clone(), source };
    let sets = ParameterSets::try_new(bytes).map_err(bad)?;
    match sets.digest() {
        got if got == expected => Ok(sets),
        got => Err(FetchError::Other { device: device.clone(), expected, got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by libx265 3.5 for a gray plane of 80 x 160.
    const SETS: &[u8] = b"\0\0\0\x01\x40\x01\x0c\x01\xff\xff\x04\x08\0\0\x03\0\x9f\xe8\0\0\
        \x03\0\0\x1e\xba\x02\x40\0\0\0\x01\x42\x01\x01\x04\x08\0\0\x03\0\x9f\xe8\0\0\x03\0\0\x1e\xc0\xa2\x02\x85\
        \x96\xe9\x6f\x0b\x9a\x02\0\0\x03\0\x02\0\0\x03\0\x32\x10\0\0\0\x01\x44\x01\xc0\x71\x81\xa4\x80";

    fn key(number: usize) -> StreamKey {
        (format!("cam-{number}").parse().unwrap(), ParameterDigest(1))
    }

    #[test]
    fn the_least_recently_used_sets_are_forgotten() {
        let sets = ParameterSets::try_new(SETS).unwrap();
        let mut cache = ParameterCache::default();
        for number in 0..CAPACITY {
            cache.insert(key(number), sets.clone());
        }
        assert_eq!(cache.get(&key(0)), Some(sets.clone()));
        cache.insert(key(CAPACITY), sets.clone());
        assert_eq!(cache.get(&key(1)), None);
        assert_eq!(cache.get(&key(0)), Some(sets));
        assert_eq!(cache.known.len(), CAPACITY);
    }

    #[test]
    fn sets_of_another_digest_are_refused() {
        let (device, _) = key(0);
        let right = ParameterSets::try_new(SETS).unwrap().digest();
        assert!(read(&device, right, SETS).is_ok());
        let wrong = ParameterDigest(right.0 ^ 1);
        assert!(matches!(read(&device, wrong, SETS), Err(FetchError::Other { got, .. }) if got == right));
        assert!(matches!(read(&device, right, b"no sets"), Err(FetchError::Bad { .. })));
    }
}
