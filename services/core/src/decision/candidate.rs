//! What could be chosen: every measured route at every measured rate, and the range that a device may use.

use serde::Serialize;

use super::{BitsMode, CandidateRules, Permission, Policy};
use crate::{
    operating_point::{OperatingPoint, Route},
    profile::{Profile, ProfilePoint},
    quantity::TargetBits,
};

/// An operating point that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The point.
    pub point: OperatingPoint,
    /// Fewest bits that the device may give a frame; none where its bits are fixed.
    pub min_bits: Option<TargetBits>,
    /// Loss of accuracy at the point's bits, in thousandths.
    pub accuracy_drop_permille: u16,
    /// Whether the policy lets a decision choose it.
    pub allowed: bool,
}

impl Candidate {
    /// Bits of a frame; 0 when none is sent.
    pub fn bits(&self) -> u32 {
        self.point.bits().map_or(0, TargetBits::get)
    }
}

/// All candidates of `profile`, in its order, then by rising bits.
pub fn candidates(profile: &Profile, policy: &Policy) -> Vec<Candidate> {
    profile.points().iter().flat_map(|point| of_point(point, policy)).collect()
}

fn of_point(point: &ProfilePoint, policy: &Policy) -> Vec<Candidate> {
    let allowed = policy.candidates.allows(point.route);
    if point.route == Route::DeviceOnly {
        let point = OperatingPoint::device_only();
        return vec![Candidate { point, min_bits: None, accuracy_drop_permille: 0, allowed }];
    }
    let adapts = matches!(policy.behavior.bits, BitsMode::OnDevice { .. });
    let fewest = point.fewest_bits().filter(|_| adapts);
    let at = |rate: &crate::profile::Rate| Candidate {
        point: point.at(rate.bits),
        min_bits: fewest.filter(|fewest| *fewest < rate.bits),
        accuracy_drop_permille: rate.accuracy_drop_permille,
        allowed,
    };
    point.rates.iter().map(at).collect()
}

impl CandidateRules {
    /// Whether a decision may choose `route`.
    pub fn allows(&self, route: Route) -> bool {
        match route {
            Route::DeviceOnly => self.device_only == Permission::Allowed,
            Route::ServerOnly => self.server_only == Permission::Allowed,
            Route::Split { layer, cr } => {
                (self.layers.is_empty() || self.layers.contains(&layer))
                    && (self.ratios.is_empty() || self.ratios.contains(&cr))
            }
        }
    }

    /// Whether a guard or a fallback may go to `route`.
    pub fn allows_in_need(&self, route: Route) -> bool {
        match route {
            Route::DeviceOnly => self.device_only != Permission::Forbidden,
            Route::ServerOnly => self.server_only != Permission::Forbidden,
            Route::Split { .. } => self.allows(route),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::tests::small, quantity::LayerIndex};

    #[test]
    fn every_rate_is_one_and_the_device_may_go_down_to_the_fewest_bits() {
        let all = candidates(&small(), &Policy::default());
        assert_eq!(all.len(), 10);
        let low = |text: &str| all.iter().find(|c| c.point.to_string() == text).unwrap().min_bits;
        assert_eq!(low("layer=30,cr=4,bits=25k").unwrap().get(), 4_000);
        assert_eq!(low("layer=30,cr=4,bits=4k"), None, "there is nothing below");
    }

    #[test]
    fn lists_and_permissions_are_kept_and_fallback_only_serves_in_need() {
        let rules = CandidateRules {
            layers: vec![LayerIndex(30)],
            device_only: Permission::FallbackOnly,
            server_only: Permission::Forbidden,
            ..CandidateRules::default()
        };
        let policy = Policy { candidates: rules.clone(), ..Policy::default() };
        let allowed = candidates(&small(), &policy).into_iter().filter(|c| c.allowed);
        assert!(allowed.map(|c| c.point.to_string()).all(|point| point.starts_with("layer=30")));
        assert!(rules.allows_in_need(Route::DeviceOnly) && !rules.allows_in_need(Route::ServerOnly));
    }
}
