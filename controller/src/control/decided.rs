//! What a sweep knew of a device, what it made of it, and what is remembered: the ground of `explain`.

use std::{fmt::Write as _, time::SystemTime};

use autotiler_core::{
    Digest, OperatingPoint, TargetBits,
    decision::{Choice, Direction, Held, Inputs, Judged, Proposal, Signal, Verdict},
    order::{GuardTerms, Order},
};
use serde::Serialize;

use super::{Acting, Forecast};

/// A device's sweep, with every reason.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// What was known.
    #[serde(flatten)]
    pub seen: SeenInputs,
    /// The point in force before.
    pub current: Option<OperatingPoint>,
    /// Every candidate; none before the first measurement.
    pub choice: Option<Choice>,
    /// What it came to.
    pub outcome: Outcome,
    /// What the policy's fallback does, while it acts.
    pub fallback: Option<Acting>,
    /// The switch that could be made.
    #[serde(skip)]
    pub proposal: Option<Proposal>,
    /// The forecast of the sweep before, if the device has said how it went.
    #[serde(skip)]
    pub forecast: Option<Forecast>,
}

/// What was known of link and server.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenInputs {
    /// Capacity of the uplink, in bit/s.
    pub uplink: Signal,
    /// Round trip, in seconds.
    pub rtt: Signal,
    /// Wait on the server, in seconds.
    pub server_queue: Signal,
    /// Slow mean of the capacity.
    pub mean_uplink_bps: Option<f64>,
    /// What was reckoned with.
    pub inputs: Option<Inputs>,
}

/// What a sweep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The candidates were weighed.
    Decided(Verdict),
    /// The policy is suspended.
    Suspended,
    /// A person holds the device at a point.
    Pinned,
    /// The device's own guard has left the link; controller and estimator wait for it.
    Guarded,
    /// Nothing fresh is known, not yet for long.
    Blind,
    /// Too few fresh samples since the last gap.
    #[serde(rename_all = "camelCase")]
    WarmingUp {
        /// Samples.
        missing: u32,
    },
    /// Nothing fresh for so long that the policy's fallback acts.
    Fallback,
}

/// Everything of an order that a policy decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The operating point.
    pub point: OperatingPoint,
    /// Fewest bits of a frame, where the device sizes them.
    pub min_bits: Option<TargetBits>,
    /// Largest share of cut frames.
    pub max_cut_permille: u16,
    /// The tiler that was measured.
    pub tiler: Option<Digest>,
    /// The guard.
    pub guard: Option<GuardTerms>,
}

/// Why an order was made, in one word of a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// The device had none.
    FirstAssignment,
    /// Another point is predicted to be better, at fewer bits.
    Degraded,
    /// Another point is predicted to be better, at as many bits or more.
    Recovered,
    /// A person holds the device there.
    Pinned,
    /// Nothing fresh is known.
    Fallback,
    /// The policy forbids the old point, or wants other terms.
    PolicyChanged,
}

/// A decision that was carried out, or would have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Of the order; 0 when it was only advised.
    pub epoch: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// From here.
    pub from: Option<OperatingPoint>,
    /// To here.
    pub to: OperatingPoint,
    /// Why.
    pub reason: Reason,
    /// Why, with figures, for people.
    pub detail: String,
    /// Mean capacity of the uplink then, in bit/s.
    pub uplink_bps: Option<f64>,
}

/// What a decision knew when its order was written.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// The order's epoch.
    pub epoch: u32,
    /// What was known.
    pub seen: SeenInputs,
    /// The point that was ordered.
    pub chosen: Option<Judged>,
    /// The next best.
    pub runner_up: Option<Judged>,
}

impl Desired {
    /// What `order` says.
    pub fn of(order: &Order) -> Self {
        Self {
            point: order.point,
            min_bits: order.min_bits,
            max_cut_permille: order.max_cut_permille,
            tiler: order.tiler,
            guard: order.guard,
        }
    }
}

impl Outcome {
    /// Better, but enough other devices of the policy switch in this sweep.
    pub const CONCURRENCY: Self = Self::Decided(Verdict::Held(Held::Concurrency));

    /// Label of the metric that counts it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Decided(Verdict::Best) => "best",
            Self::Decided(Verdict::Held(_)) => "held",
            Self::Decided(Verdict::Nothing) => "nothing",
            Self::Decided(Verdict::Switch) => "switch",
            Self::Suspended => "suspended",
            Self::Pinned => "pinned",
            Self::Guarded => "guarded",
            Self::Blind => "blind",
            Self::WarmingUp { .. } => "warming_up",
            Self::Fallback => "fallback",
        }
    }

    /// All labels.
    pub const LABELS: [&str; 10] = [
        "best",
        "held",
        "nothing",
        "switch",
        "suspended",
        "pinned",
        "guarded",
        "blind",
        "warming_up",
        "fallback",
    ];
}

impl Decided {
    /// The reason in one word.
    pub fn word(&self, to: OperatingPoint) -> Reason {
        match (self.outcome, self.current, self.proposal) {
            (Outcome::Pinned, ..) => Reason::Pinned,
            (Outcome::Fallback, ..) => Reason::Fallback,
            (_, None, _) => Reason::FirstAssignment,
            (_, Some(current), Some(proposal)) if current != to && !proposal.forced => {
                match proposal.direction {
                    Direction::Degrade => Reason::Degraded,
                    Direction::Recover => Reason::Recovered,
                }
            }
            _ => Reason::PolicyChanged,
        }
    }

    /// What is known when the order of `to` is written.
    pub fn assigned(&self, epoch: u32, to: OperatingPoint) -> Assigned {
        let choice = self.choice.as_ref();
        Assigned {
            epoch,
            seen: self.seen,
            chosen: choice.and_then(|choice| choice.find(to)).cloned(),
            runner_up: choice.and_then(Choice::runner_up).cloned(),
        }
    }

    /// The reason in one line, for people.
    pub fn reason(&self, to: OperatingPoint) -> String {
        let mut text = match self.outcome {
            Outcome::Pinned => return "pinned by a person".to_owned(),
            Outcome::Fallback => return "no fresh metrics: the policy's fallback".to_owned(),
            _ if self.current == Some(to) => return "the policy's terms changed".to_owned(),
            _ if self.current.is_none() => "first assignment".to_owned(),
            _ => String::new(),
        };
        let millis = |point: OperatingPoint| {
            let judged = self.choice.as_ref()?.find(point)?;
            Some(judged.predicted.total_us as f64 / 1e3)
        };
        if let (Some(from), Some(new)) = (self.current.and_then(millis), millis(to)) {
            // Writing to a string cannot fail.
            let _ = write!(text, "predicted {new:.0} ms instead of {from:.0} ms");
        } else if let Some(new) = millis(to) {
            let _ = write!(text, ", predicted {new:.0} ms");
        }
        if let Some(bps) = self.seen.mean_uplink_bps {
            let _ = write!(text, " at {:.2} Mbit/s", bps / 1e6);
        }
        text
    }
}

/// Milliseconds since 1970; 0 before.
pub fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
