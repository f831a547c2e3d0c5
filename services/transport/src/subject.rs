//! Subjects: who publishes where.
//!
//! | subject | from, to |
//! | --- | --- |
//! | `autotiler.v1.frame.<network>.<device>` | device to one decoder of the queue group [`DECODERS`] (and to who looks on) |
//! | `autotiler.v1.detections.<device>.<stream>.<sequence>` | decoder to the device and whoever listens |
//! | `autotiler.v1.params.<device>` | decoder asks the device for parameter sets, by digest |
//! | `autotiler.v1.sets.<device>.<token>` | device to whoever asked for them |
//! | `autotiler.v1.telemetry.<device>` | device to whoever listens |
//! | `autotiler.v1.echo.<device>.<stream>` | device to itself, by way of the broker |
//! | `autotiler.v1.order.<device>` | the store of orders to the device: that there is a new one |
//!
//! `<network>` is [`Digest::prefix`] as 16 hexadecimal digits: a decoder gets only frames of a network that
//! it has. The detections subject is the reply subject of the frame, so that the broker itself says at
//! once when there is no decoder.
//!
//! Each subject on which a device speaks, or is answered, names it: a right to publish or subscribe there is a right
//! to nothing of another device ([`pattern`]).

pub mod pattern;

use std::{fmt, str::FromStr};

use autotiler_core::{DeviceId, Digest, Sequence, StreamId};

/// Queue group of all decoders.
pub const DECODERS: &str = "decoders";
/// Where nobody listens: the broker's answer shows that it has read all that was sent before.
pub(crate) const NOBODY: &str = "autotiler.v1.nobody";
const FRAME: &str = "autotiler.v1.frame";
const DETECTIONS: &str = "autotiler.v1.detections";
const PARAMS: &str = "autotiler.v1.params";
const TELEMETRY: &str = "autotiler.v1.telemetry";
const ECHO: &str = "autotiler.v1.echo";
const SETS: &str = "autotiler.v1.sets";
const ORDER: &str = "autotiler.v1.order";
/// What the client library calls its inboxes.
const INBOX: &str = "_INBOX";

/// Why a text is no subject of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subject {subject:?} is not {expected}")]
pub struct SubjectError {
    subject: String,
    expected: &'static str,
}

/// Where a device publishes its frames.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FrameSubject {
    /// First eight bytes of the network's digest.
    pub network: u64,
    /// The device.
    pub device: DeviceId,
}

impl FrameSubject {
    /// The subject of `device` for frames of `network`.
    pub fn new(network: &Digest, device: DeviceId) -> Self {
        Self { network: network.prefix(), device }
    }

    /// All devices' frames of `network`.
    pub fn all_devices(network: &Digest) -> String {
        format!("{FRAME}.{:016x}.*", network.prefix())
    }

    /// Frames of `device`, of whatever network.
    pub fn all_networks(device: &DeviceId) -> String {
        format!("{FRAME}.*.{device}")
    }
}

impl fmt::Display for FrameSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FRAME}.{:016x}.{}", self.network, self.device)
    }
}

impl FromStr for FrameSubject {
    type Err = SubjectError;
    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let parse = || {
            let [network, device] = tokens(subject, FRAME)?;
            Some(Self { network: hex16(network)?, device: device.parse().ok()? })
        };
        parse().ok_or_else(|| not(subject, "autotiler.v1.frame.<network>.<device>"))
    }
}

/// Where the answer to one frame goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerSubject {
    /// The device that sent the frame.
    pub device: DeviceId,
    /// Its stream.
    pub stream: StreamId,
    /// The frame.
    pub sequence: Sequence,
}

impl AnswerSubject {
    /// All answers to one stream.
    pub fn whole_stream(device: &DeviceId, stream: StreamId) -> String {
        format!("{DETECTIONS}.{device}.{}.*", stream.0)
    }

    /// All answers to one device.
    pub fn whole_device(device: &DeviceId) -> String {
        format!("{DETECTIONS}.{device}.>")
    }
}

impl fmt::Display for AnswerSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DETECTIONS}.{}.{}.{}", self.device, self.stream.0, self.sequence.0)
    }
}

impl FromStr for AnswerSubject {
    type Err = SubjectError;
    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let parse = || {
            let [device, stream, sequence] = tokens(subject, DETECTIONS)?;
            Some(Self {
                device: device.parse().ok()?,
                stream: StreamId(number(stream)?),
                sequence: Sequence(number(sequence)?),
            })
        };
        parse().ok_or_else(|| not(subject, "autotiler.v1.detections.<device>.<stream>.<sequence>"))
    }
}

/// Where `device` answers requests for its parameter sets.
pub fn parameters(device: &DeviceId) -> String {
    format!("{PARAMS}.{device}")
}

/// Where `device` puts the parameter sets that were asked for under `token`. A reply subject of the asker's own would
/// need a right to publish to other people's inboxes.
pub(crate) fn parameter_sets(device: &DeviceId, token: &str) -> String {
    format!("{SETS}.{device}.{token}")
}

/// Where the store says that it keeps a new order for `device`.
pub fn order(device: &DeviceId) -> String {
    format!("{ORDER}.{device}")
}

/// Where the store says so of all its orders.
pub(crate) fn order_prefix() -> String {
    format!("{ORDER}.>")
}

/// Where `device` says how it does.
pub fn telemetry(device: &DeviceId) -> String {
    format!("{TELEMETRY}.{device}")
}

/// What all devices say.
pub fn all_telemetry() -> String {
    format!("{TELEMETRY}.*")
}

/// The device that says something on `subject`.
pub(crate) fn telemetry_device(subject: &str) -> Option<DeviceId> {
    let [device] = tokens(subject, TELEMETRY)?;
    device.parse().ok()
}

/// Where `device` sends what it wants back, to see whether and how fast the link carries.
pub fn echo(device: &DeviceId, stream: StreamId) -> String {
    format!("{ECHO}.{device}.{}", stream.0)
}

fn not(subject: &str, expected: &'static str) -> SubjectError {
    SubjectError { subject: subject.to_owned(), expected }
}

/// The `N` tokens after `prefix.`, if there are just so many.
fn tokens<'s, const N: usize>(subject: &'s str, prefix: &str) -> Option<[&'s str; N]> {
    let rest = subject.strip_prefix(prefix)?.strip_prefix('.')?;
    rest.split('.').collect::<Vec<_>>().try_into().ok()
}

/// Exactly the digits that we write: one subject has one spelling.
fn hex16(token: &str) -> Option<u64> {
    let value = u64::from_str_radix(token, 16).ok()?;
    (format!("{value:016x}") == token).then_some(value)
}

fn number(token: &str) -> Option<u32> {
    let value: u32 = token.parse().ok()?;
    (value.to_string() == token).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        name.parse().unwrap()
    }

    #[test]
    fn subjects_round_trip_through_text() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let subject = FrameSubject { network: number, device: device("cam-0_A") };
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for (stream, sequence) in [(0, 0), (u32::MAX, 7), (3, u32::MAX)] {
            let subject =
                AnswerSubject { device: device("x"), stream: StreamId(stream), sequence: Sequence(sequence) };
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
    }

    #[test]
    fn written_form_is_fixed() {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&[0, 1, 2, 3, 0xab, 0xcd, 0xef, 9]);
        let network = Digest(digest);
        assert_eq!(
            FrameSubject::new(&network, device("cam")).to_string(),
            "autotiler.v1.frame.00010203abcdef09.cam"
        );
        assert_eq!(FrameSubject::all_devices(&network), "autotiler.v1.frame.00010203abcdef09.*");
        assert_eq!(FrameSubject::all_networks(&device("cam")), "autotiler.v1.frame.*.cam");
        assert_eq!(
            AnswerSubject::whole_stream(&device("cam"), StreamId(4)),
            "autotiler.v1.detections.cam.4.*"
        );
        assert_eq!(parameters(&device("cam")), "autotiler.v1.params.cam");
        assert_eq!(telemetry(&device("cam")), "autotiler.v1.telemetry.cam");
        assert_eq!(telemetry_device(&telemetry(&device("cam"))), Some(device("cam")));
        assert_eq!(telemetry_device("autotiler.v1.telemetry.cam.more"), None);
        assert_eq!(echo(&device("cam"), StreamId(4)), "autotiler.v1.echo.cam.4");
    }

    #[test]
    fn other_subjects_are_refused() {
        for bad in [
            "",
            "autotiler.v1.frame",
            "autotiler.v1.frame.00010203abcdef09",
            "autotiler.v1.frame.00010203ABCDEF09.cam",
            "autotiler.v1.frame.+0010203abcdef09.cam",
            "autotiler.v1.frame.10203abcdef09.cam",
            "autotiler.v1.frame.00010203abcdef09.cam.more",
            "autotiler.v1.frame.00010203abcdef09.ca*",
            "autotiler.v2.frame.00010203abcdef09.cam",
        ] {
            assert!(bad.parse::<FrameSubject>().is_err(), "{bad:?}");
        }
        for bad in [
            "autotiler.v1.detections.cam.1",
            "autotiler.v1.detections.cam.01.2",
            "autotiler.v1.detections.cam.1.-2",
        ] {
            assert!(bad.parse::<AnswerSubject>().is_err(), "{bad:?}");
        }
    }
}
