//! What a person wants, checked: no later step looks at the raw spec.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    operating_point::OperatingPoint,
    quantity::{CompressionRatio, LayerIndex},
};

/// Everything that a decision asks of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What is made small.
    pub objective: Objective,
    /// What must hold.
    pub constraints: Constraints,
    /// What may be chosen.
    pub candidates: CandidateRules,
    /// How inputs are taken.
    pub metrics: Metrics,
    /// When to switch.
    pub behavior: Behavior,
    /// What to do without inputs.
    pub fallback: Fallback,
}

/// What is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Objective {
    /// Time from capture to detections.
    #[default]
    Latency,
    /// Bits sent.
    Uplink,
}

/// What must hold of the chosen point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constraints {
    /// Longest predicted time.
    pub max_latency: Option<Duration>,
    /// Largest loss of mean average precision, in thousandths of the uncut network's.
    pub max_accuracy_drop_permille: u16,
    /// Most bits per second.
    pub max_uplink_bps: Option<u64>,
}

/// Whether a special point may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Permission {
    /// Like any other.
    #[default]
    Allowed,
    /// Never, not by the guard either.
    Forbidden,
    /// By the guard and by the fallback, not by a decision.
    FallbackOnly,
}

/// What may be chosen; an empty list means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CandidateRules {
    /// Partition layers.
    pub layers: Vec<LayerIndex>,
    /// Compression ratios.
    pub ratios: Vec<CompressionRatio>,
    /// The whole network on the device.
    pub device_only: Permission,
    /// The picture itself.
    pub server_only: Permission,
}

/// How inputs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// An older sample is stale.
    pub max_age: Duration,
    /// Fresh samples in a row after a gap, before acting again.
    pub warmup_samples: u32,
    /// Half-life of the mean of the measured capacity.
    pub capacity_half_life: Duration,
}

/// When to switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behavior {
    /// To a point that asks less of the link.
    pub degrade: Turn,
    /// To one that asks more.
    pub recover: Turn,
    /// Shortest stay before a recovery.
    pub min_dwell: Duration,
    /// Most switches in a time; moves of the guard are not counted.
    pub max_switches: SwitchBudget,
    /// Share of a policy's devices that may switch in one sweep.
    pub max_concurrent_percent: u8,
    /// Who sizes frames.
    pub bits: BitsMode,
    /// What the device does by itself when its link dies.
    pub guard: Option<GuardPolicy>,
}

/// When one direction is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The improvement must have been there for so long.
    pub window: Duration,
    /// Least improvement of the predicted objective.
    pub min_improvement_percent: u8,
}

/// At most `count` switches in any `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchBudget {
    /// Switches.
    pub count: u32,
    /// In this time.
    pub period: Duration,
}

/// Who sizes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitsMode {
    /// Each frame has the point's bits.
    Fixed,
    /// The device, inside the point's measured range.
    OnDevice {
        /// Largest share of frames with less than three quarters of the point's bits, in thousandths.
        max_cut_permille: u16,
    },
}

/// The guard's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardPolicy {
    /// A frame that waits for longer means that the link is dead.
    pub queue_age: Duration,
    /// Shortest stay at the safe point.
    pub hold: Duration,
    /// Where to go.
    pub safe_point: SafePoint,
}

/// Where the guard goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafePoint {
    /// Device-only where that meets the deadline, else what is fastest on a very thin link.
    Auto,
    /// This point.
    Point(OperatingPoint),
}

/// What to do when nothing fresh is known of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// Sweeps in a row without fresh inputs.
    pub failure_threshold: u32,
    /// Then this.
    pub action: FallbackAction,
    /// A hold ends after this time.
    pub hold_limit: Duration,
    /// And then this.
    pub after_hold: FallbackAction,
}

/// What a fallback does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FallbackAction {
    /// Stay.
    Hold,
    /// Go to this point.
    Static(OperatingPoint),
    /// The whole network on the device.
    DeviceOnly,
}

impl fmt::Display for FallbackAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("Hold"),
            Self::Static(point) => write!(f, "Static ({point})"),
            Self::DeviceOnly => f.write_str("DeviceOnly"),
        }
    }
}

/// A policy that contradicts itself. The same rules stand in the schema; files pass here without an API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Going back up must need at least as much as going down, or it flaps.
    #[error(
        "behavior: recover.minImprovementPercent {recover} is below degrade.minImprovementPercent {degrade}"
    )]
    EasyRecovery {
        /// Of recovery.
        recover: u8,
        /// Of degradation.
        degrade: u8,
    },
    /// No recovery could ever happen within a period.
    #[error("behavior: recover.minDwell is longer than maxSwitches.period")]
    LongDwell,
    /// The fallback may not go where the policy forbids it.
    #[error("fallback: DeviceOnly while candidates.deviceOnly is Forbidden")]
    ForbiddenFallback,
    /// Nor may the guard.
    #[error("behavior.guard: safePoint DeviceOnly while candidates.deviceOnly is Forbidden")]
    ForbiddenSafePoint,
}

impl Policy {
    /// # Errors
    /// [`BadPolicy`], which names the fields.
    pub fn check(&self) -> Result<(), BadPolicy> {
        let Behavior { degrade, recover, min_dwell, max_switches, guard, .. } = self.behavior;
        let forbidden = self.candidates.device_only == Permission::Forbidden;
        let alone = SafePoint::Point(OperatingPoint::device_only());
        if recover.min_improvement_percent < degrade.min_improvement_percent {
            return Err(BadPolicy::EasyRecovery {
                recover: recover.min_improvement_percent,
                degrade: degrade.min_improvement_percent,
            });
        }
        if min_dwell > max_switches.period {
            return Err(BadPolicy::LongDwell);
        }
        // What comes after a hold is not asked: where it is forbidden, the hold goes on.
        if forbidden && self.fallback.action == FallbackAction::DeviceOnly {
            return Err(BadPolicy::ForbiddenFallback);
        }
        if forbidden && guard.is_some_and(|guard| guard.safe_point == alone) {
            return Err(BadPolicy::ForbiddenSafePoint);
        }
        Ok(())
    }
}

impl Default for Policy {
    /// The defaults of the API, as measured on recorded uplinks.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            objective: Objective::Latency,
            constraints: Constraints {
                max_latency: None,
                max_accuracy_drop_permille: 20,
                max_uplink_bps: None,
            },
            candidates: CandidateRules::default(),
            metrics: Metrics { max_age: seconds(10), warmup_samples: 5, capacity_half_life: seconds(2) },
            behavior: Behavior {
                degrade: Turn { window: seconds(3), min_improvement_percent: 5 },
                recover: Turn { window: seconds(5), min_improvement_percent: 10 },
                min_dwell: seconds(5),
                max_switches: SwitchBudget { count: 4, period: seconds(60) },
                max_concurrent_percent: 25,
                bits: BitsMode::OnDevice { max_cut_permille: 200 },
                guard: Some(GuardPolicy {
                    queue_age: Duration::from_millis(300),
                    hold: Duration::from_millis(300),
                    safe_point: SafePoint::Auto,
                }),
            },
            fallback: Fallback {
                failure_threshold: 3,
                action: FallbackAction::Hold,
                hold_limit: seconds(600),
                after_hold: FallbackAction::DeviceOnly,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_contradict_nothing() {
        assert_eq!(Policy::default().check(), Ok(()));
    }

    #[test]
    fn contradictions_name_their_fields() {
        let refuse = |change: &dyn Fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            policy.check().unwrap_err().to_string()
        };
        let easy = refuse(&|policy| policy.behavior.recover.min_improvement_percent = 4);
        assert!(easy.contains("minImprovementPercent 4"), "{easy}");
        let long = refuse(&|policy| policy.behavior.min_dwell = Duration::from_secs(61));
        assert!(long.contains("minDwell"), "{long}");
        let forbidden = refuse(&|policy| {
            policy.candidates.device_only = Permission::Forbidden;
            policy.fallback.action = FallbackAction::DeviceOnly;
        });
        assert!(forbidden.contains("fallback"), "{forbidden}");
    }
}
