//! Why a captured frame was not sent. Why a sent one was not received is [`autotiler_core::wire::LossReason`].

use autotiler_transport::DropReason as QueueReason;

/// Why a frame was dropped on the device. A closed set, for it labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The source could not read it.
    Unreadable,
    /// A newer one took its place before the network.
    InferenceBusy,
    /// A newer one took its place before the codec.
    CodecBusy,
    /// The engine refused or failed.
    EngineFailed,
    /// The encoder refused, crashed or hung.
    CodecFailed,
    /// The queue before the broker.
    Queue(QueueReason),
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::InferenceBusy,
        Self::CodecBusy,
        Self::EngineFailed,
        Self::CodecFailed,
        Self::Queue(QueueReason::QueueFull),
        Self::Queue(QueueReason::Stale),
        Self::Queue(QueueReason::PayloadLimit),
        Self::Queue(QueueReason::Disconnected),
        Self::Queue(QueueReason::Shutdown),
    ];

    /// The process was told to stop, and its drain ran out of time.
    pub const SHUTDOWN: Self = Self::Queue(QueueReason::Shutdown);

    /// Metric label and JSON key.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::InferenceBusy => "inference_busy",
            Self::CodecBusy => "codec_busy",
            Self::EngineFailed => "engine_failed",
            Self::CodecFailed => "codec_failed",
            Self::Queue(reason) => reason.label(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_listed_under_its_own_label() {
        let labels: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
        for reason in QueueReason::ALL {
            assert!(DropReason::ALL.contains(&DropReason::Queue(reason)), "{reason}");
        }
    }
}
