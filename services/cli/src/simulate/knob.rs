//! `--set KNOB=VALUE`: one setting of a policy, changed for a run.

use std::{fmt, str::FromStr, time::Duration};

use autotiler_core::{
    OperatingPoint,
    decision::{BitsMode, GuardPolicy, Policy, SafePoint},
};

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Knob {
    DegradeWindow(Duration),
    RecoverWindow(Duration),
    MinDwell(Duration),
    HalfLife(Duration),
    MaxAge(Duration),
    Period(Duration),
    DegradePercent(u8),
    RecoverPercent(u8),
    Switches(u32),
    Warmup(u32),
    FixedBits,
    BitsOnDevice,
    MaxCut(u16),
    NoGuard,
    QueueAge(Duration),
    Hold(Duration),
    Safe(SafePoint),
    MaxLatency(Duration),
    MaxDrop(u16),
}

/// Why a text is no knob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKnob {
    #[error("{0:?} is no KNOB=VALUE: write for example guard.queueAge=400ms")]
    Shape(String),
    #[error("{0:?} is no knob: see the list at the end of --help")]
    Name(String),
    #[error("{name}: {value:?} is no value of it: {wanted}")]
    Value { name: String, value: String, wanted: String },
}

impl FromStr for Knob {
    type Err = BadKnob;

    fn from_str(text: &str) -> Result<Self, BadKnob> {
        let (name, value) = text.split_once('=').ok_or_else(|| BadKnob::Shape(text.to_owned()))?;
        let bad = |wanted: &dyn fmt::Display| {
            let (name, value) = (name.to_owned(), value.to_owned());
            BadKnob::Value { name, value, wanted: wanted.to_string() }
        };
        let time = || humantime::parse_duration(value).map_err(|_| bad(&"write a time, like 400ms or 3s"));
        let count = || value.parse().map_err(|_| bad(&"write a whole number"));
        let percent = || value.parse::<u8>().ok().filter(|p| *p <= 100).ok_or_else(|| bad(&"write 0 to 100"));
        let permille =
            || value.parse::<u16>().ok().filter(|p| *p <= 1000).ok_or_else(|| bad(&"write 0 to 1000"));
        Ok(match name {
            "degrade.window" => Self::DegradeWindow(time()?),
            "recover.window" => Self::RecoverWindow(time()?),
            "recover.minDwell" => Self::MinDwell(time()?),
            "capacityHalfLife" => Self::HalfLife(time()?),
            "maxAge" => Self::MaxAge(time()?),
            "maxSwitches.period" => Self::Period(time()?),
            "degrade.minImprovementPercent" => Self::DegradePercent(percent()?),
            "recover.minImprovementPercent" => Self::RecoverPercent(percent()?),
            "maxSwitches.count" => Self::Switches(count()?),
            "warmupSamples" => Self::Warmup(count()?),
            "bits" if value == "Fixed" => Self::FixedBits,
            "bits" if value == "OnDevice" => Self::BitsOnDevice,
            "bits" => return Err(bad(&"write Fixed or OnDevice")),
            "maxCutPermille" => Self::MaxCut(permille()?),
            "guard" if value == "Off" => Self::NoGuard,
            "guard" => return Err(bad(&"write Off")),
            "guard.queueAge" => Self::QueueAge(time()?),
            "guard.hold" => Self::Hold(time()?),
            "guard.safePoint" if value == "Auto" => Self::Safe(SafePoint::Auto),
            "guard.safePoint" => {
                Self::Safe(SafePoint::Point(value.parse::<OperatingPoint>().map_err(|error| bad(&error))?))
            }
            "maxLatency" => Self::MaxLatency(time()?),
            "maxAccuracyDropPermille" => Self::MaxDrop(permille()?),
            _ => return Err(BadKnob::Name(name.to_owned())),
        })
    }
}

impl Knob {
    /// Changes `policy`.
    pub(super) fn turn(&self, policy: &mut Policy) {
        let behavior = &mut policy.behavior;
        let most_cuts = match behavior.bits {
            BitsMode::OnDevice { max_cut_permille } => max_cut_permille,
            BitsMode::Fixed => 200,
        };
        let usual = Policy::default().behavior.guard;
        let guard = |change: &dyn Fn(&mut GuardPolicy), now: Option<GuardPolicy>| {
            now.or(usual).map(|mut guard| {
                change(&mut guard);
                guard
            })
        };
        match *self {
            Self::DegradeWindow(time) => behavior.degrade.window = time,
            Self::RecoverWindow(time) => behavior.recover.window = time,
            Self::MinDwell(time) => behavior.min_dwell = time,
            Self::HalfLife(time) => policy.metrics.capacity_half_life = time,
            Self::MaxAge(time) => policy.metrics.max_age = time,
            Self::Period(time) => behavior.max_switches.period = time,
            Self::DegradePercent(percent) => behavior.degrade.min_improvement_percent = percent,
            Self::RecoverPercent(percent) => behavior.recover.min_improvement_percent = percent,
            Self::Switches(count) => behavior.max_switches.count = count,
            Self::Warmup(count) => policy.metrics.warmup_samples = count,
            Self::FixedBits => behavior.bits = BitsMode::Fixed,
            Self::BitsOnDevice => behavior.bits = BitsMode::OnDevice { max_cut_permille: most_cuts },
            Self::MaxCut(max_cut_permille) => behavior.bits = BitsMode::OnDevice { max_cut_permille },
            Self::NoGuard => behavior.guard = None,
            Self::QueueAge(time) => behavior.guard = guard(&|guard| guard.queue_age = time, behavior.guard),
            Self::Hold(time) => behavior.guard = guard(&|guard| guard.hold = time, behavior.guard),
            Self::Safe(point) => behavior.guard = guard(&|guard| guard.safe_point = point, behavior.guard),
            Self::MaxLatency(time) => policy.constraints.max_latency = Some(time),
            Self::MaxDrop(permille) => policy.constraints.max_accuracy_drop_permille = permille,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_change_what_they_name_and_nothing_else() {
        let turned = |texts: &[&str]| {
            let mut policy = Policy::default();
            texts.iter().for_each(|text| text.parse::<Knob>().unwrap().turn(&mut policy));
            policy
        };
        assert_eq!(turned(&["bits=Fixed"]).behavior.bits, BitsMode::Fixed);
        let guard = turned(&["guard=Off", "guard.queueAge=400ms"]).behavior.guard.unwrap();
        assert_eq!((guard.queue_age, guard.hold), (Duration::from_millis(400), Duration::from_millis(300)));
        let mut policy = Policy::default();
        policy.behavior.recover.window = Duration::from_secs(9);
        assert_eq!(turned(&["recover.window=9s"]), policy);
    }

    #[test]
    fn what_is_no_knob_says_what_would_be_one() {
        let refuse = |text: &str| text.parse::<Knob>().unwrap_err().to_string();
        assert!(refuse("bits").contains("guard.queueAge=400ms"));
        assert!(refuse("speed=3").contains("--help"));
        assert!(refuse("bits=some").contains("Fixed or OnDevice"));
        assert!(refuse("maxCutPermille=1001").contains("0 to 1000"));
        assert!(refuse("guard.safePoint=layer=3").contains("guard.safePoint"));
    }
}
