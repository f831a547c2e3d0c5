//! Why a message was not handed to the broker.

use std::fmt;

/// Why a message was dropped before it was sent. A closed set, for it labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// A newer frame took its place in a full queue.
    QueueFull,
    /// It waited longer than its age limit.
    Stale,
    /// It is larger than the broker takes.
    PayloadLimit,
    /// There was no link, and the message cannot wait for one.
    Disconnected,
    /// The process was told to stop, and the drain's deadline passed.
    Shutdown,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::QueueFull, Self::Stale, Self::PayloadLimit, Self::Disconnected, Self::Shutdown];

    /// Metric label and JSON key.
    pub const fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Stale => "stale",
            Self::PayloadLimit => "payload_limit",
            Self::Disconnected => "disconnected",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
