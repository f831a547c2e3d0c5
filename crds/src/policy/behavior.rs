//! How calmly links are followed. The defaults are those that did best on recorded uplinks.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::HumanDuration, placement::SafePoint};

/// How calmly links are followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.recover.minImprovementPercent >= self.degrade.minImprovementPercent").message(
        "recover.minImprovementPercent must not be below degrade.minImprovementPercent"
    ),
    validation = Rule::new("duration(self.recover.minDwell) <= duration(self.maxSwitches.period)").message(
        "recover.minDwell must not be longer than maxSwitches.period"
    )
)]
pub struct Behavior {
    /// To a point that sends fewer bits.
    #[serde(default)]
    pub degrade: Degrade,
    /// To a point that sends more bits.
    #[serde(default)]
    pub recover: Recover,
    /// Budget of switches for each device; moves of the guard are not counted.
    #[serde(default)]
    pub max_switches: MaxSwitches,
    /// Share of a policy's devices that may switch in one sweep, in percent; at least one device may.
    #[serde(default = "default_concurrent_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub max_concurrent_percent: u8,
    /// Bits of single frames.
    #[serde(default)]
    pub bits: Bits,
    /// The device's own way out of a dead link.
    #[serde(default)]
    pub guard: Guard,
}

fn default_concurrent_percent() -> u8 {
    25
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            degrade: Degrade::default(),
            recover: Recover::default(),
            max_switches: MaxSwitches::default(),
            max_concurrent_percent: default_concurrent_percent(),
            bits: Bits::default(),
            guard: Guard::default(),
        }
    }
}

/// When to go to a point that sends fewer bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Degrade {
    /// How long the other point must have been the better one.
    pub stabilization_window: HumanDuration,
    /// By how much its prediction must be better, in percent.
    #[schemars(range(max = 100))]
    pub min_improvement_percent: u8,
}

impl Default for Degrade {
    fn default() -> Self {
        Self { stabilization_window: HumanDuration::from_secs(3), min_improvement_percent: 5 }
    }
}

/// When to go to a point that sends more bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Recover {
    /// How long the other point must have been the better one.
    pub stabilization_window: HumanDuration,
    /// By how much its prediction must be better, in percent.
    #[schemars(range(max = 100))]
    pub min_improvement_percent: u8,
    /// How long a device stays where it is before it may recover.
    pub min_dwell: HumanDuration,
}

impl Default for Recover {
    fn default() -> Self {
        Self {
            stabilization_window: HumanDuration::from_secs(5),
            min_improvement_percent: 10,
            min_dwell: HumanDuration::from_secs(5),
        }
    }
}

/// A budget of switches; when it is spent, the condition Limited says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaxSwitches {
    /// Switches of one device.
    #[schemars(range(min = 1, max = 1000))]
    pub count: u16,
    /// In this time.
    pub period: HumanDuration,
}

impl Default for MaxSwitches {
    fn default() -> Self {
        Self { count: 4, period: HumanDuration::from_secs(60) }
    }
}

/// Bits of single frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bits {
    /// Fixed, or OnDevice: the device sizes each frame from its own send queue, inside the point's measured range.
    pub adapt: BitsAdapt,
    /// Most frames that may have fewer bits than the point says, in thousandths.
    #[schemars(range(max = 1000))]
    pub max_cut_permille: u16,
}

impl Default for Bits {
    fn default() -> Self {
        Self { adapt: BitsAdapt::default(), max_cut_permille: 200 }
    }
}

/// Who sizes frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BitsAdapt {
    /// Each frame has the bits of the assignment.
    Fixed,
    /// The device, from its own send queue.
    #[default]
    OnDevice,
}

/// The device's own way out of a dead link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Guard {
    /// The send queue's age at which the device leaves its assignment.
    pub queue_age: HumanDuration,
    /// How long it stays away at least.
    pub hold: HumanDuration,
    /// Where it goes: Off, Auto, DeviceOnly, or a point like `layer=16,cr=8,bits=4k`. Auto is device-only if that
    /// meets maxLatency, else the point that is fastest at 100 kbit/s.
    pub safe_point: SafePoint,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            queue_age: HumanDuration::from_millis(300),
            hold: HumanDuration::from_millis(300),
            safe_point: SafePoint::default(),
        }
    }
}
