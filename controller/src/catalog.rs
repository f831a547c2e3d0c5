//! What people want, as the controller sees it: policies, devices and profiles, and which policy a device follows.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};

use autotiler_core::{
    DeviceId, Digest, OperatingPoint, Route, TargetBits, decision::Policy, profile::Profile,
};
use kube::core::{Selector, SelectorExt as _};
use serde::Serialize;

use crate::observe::PrometheusSettings;

/// All of it at one moment.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Policies, checked.
    pub policies: Vec<Arc<PolicyEntry>>,
    /// Devices that are known by name.
    pub devices: BTreeMap<DeviceId, DeviceEntry>,
    /// Whether devices that only their telemetry names are under control too (files: `--devices all`).
    pub any_device: bool,
    /// Profiles by name; those of a cluster as `namespace/name`.
    pub profiles: HashMap<String, ProfileEntry>,
}

/// Names a policy: `namespace/name`, or the name alone outside of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PolicyName(pub String);

/// One policy.
#[derive(Debug, Clone)]
pub struct PolicyEntry {
    /// Its name.
    pub name: PolicyName,
    /// Where its devices live; a policy selects in its own namespace. None outside of a cluster.
    pub namespace: Option<String>,
    /// Of its spec.
    pub generation: i64,
    /// Higher wins.
    pub priority: i32,
    /// Then older wins.
    pub created: SystemTime,
    /// Freeze.
    pub suspend: bool,
    /// Whether orders are sent.
    pub mode: Mode,
    /// Which devices; none outside of a cluster means all.
    pub selector: Option<Selector>,
    /// Key of its profile in [`Catalog::profiles`].
    pub profile: String,
    /// Everything that a decision asks of it.
    pub policy: Policy,
    /// Where its signals come from.
    pub prometheus: PrometheusSettings,
}

/// One profile.
#[derive(Debug, Clone)]
pub struct ProfileEntry {
    /// What was measured.
    pub profile: Arc<Profile>,
    /// Digest of the object that it stands in.
    pub digest: Digest,
}

/// Whether decisions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Mode {
    /// Sent to devices.
    Enforce,
    /// Only reported.
    Advise,
}

/// One device.
#[derive(Debug, Clone, Default)]
pub struct DeviceEntry {
    /// Of its object.
    pub namespace: Option<String>,
    /// Of its object.
    pub labels: BTreeMap<String, String>,
    /// Which profile fits it.
    pub class: Option<String>,
    /// A point that a person holds it at.
    pub pin: Option<Pin>,
}

/// A point that a person holds a device at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Where the work is done.
    pub route: Route,
    /// Bits of a frame; without them the fewest that are accurate enough.
    pub bits: Option<TargetBits>,
    /// Until then; without it until the pin is taken off.
    pub until: Option<SystemTime>,
}

/// Which policy each device follows, and which others it would.
#[derive(Debug, Default)]
pub struct Matches {
    /// The winner of each device.
    pub winner: BTreeMap<DeviceId, Arc<PolicyEntry>>,
    /// Devices that a policy selects and another has.
    pub lost: BTreeMap<PolicyName, Vec<(DeviceId, PolicyName)>>,
}

impl PolicyEntry {
    fn selects(&self, device: &DeviceEntry) -> bool {
        let here = self.namespace == device.namespace;
        here && self.selector.as_ref().is_none_or(|selector| selector.matches(&device.labels))
    }

    /// Winners sort first. The name comes last: the outcome never hangs on the order of a list.
    fn rank(&self) -> (Reverse<i32>, SystemTime, PolicyName) {
        (Reverse(self.priority), self.created, self.name.clone())
    }
}

impl Matches {
    /// Whether `device` follows the policy called `name`.
    pub fn is_won(&self, device: &DeviceId, name: &PolicyName) -> bool {
        self.winner.get(device).is_some_and(|winner| winner.name == *name)
    }
}

impl Catalog {
    /// Matches policies and devices; `reporting` are those that telemetry names.
    pub fn matches<'d>(&self, reporting: impl IntoIterator<Item = &'d DeviceId>) -> Matches {
        let mut ranked = self.policies.clone();
        ranked.sort_by_cached_key(|policy| policy.rank());
        let unknown = DeviceEntry::default();
        let unlisted = reporting
            .into_iter()
            .filter(|device| self.any_device && !self.devices.contains_key(*device))
            .map(|device| (device, &unknown));
        let mut matches = Matches::default();
        for (device, entry) in self.devices.iter().chain(unlisted) {
            let mut selecting = ranked.iter().filter(|policy| policy.selects(entry));
            let Some(winner) = selecting.next() else { continue };
            for loser in selecting {
                matches
                    .lost
                    .entry(loser.name.clone())
                    .or_default()
                    .push((device.clone(), winner.name.clone()));
            }
            matches.winner.insert(device.clone(), winner.clone());
        }
        matches
    }

    /// Digest of the profile that `policy` names; none if it is not there.
    pub fn profile_digest(&self, policy: &PolicyEntry) -> Option<Digest> {
        self.profiles.get(&policy.profile).map(|entry| entry.digest)
    }

    /// The profile of `policy` for devices of `class`: the one that it names, or one of the same network that was
    /// measured on that class.
    pub fn profile(&self, policy: &PolicyEntry, class: Option<&str>) -> Option<Arc<Profile>> {
        let named = &self.profiles.get(&policy.profile)?.profile;
        let fits = |profile: &&Arc<Profile>| {
            profile.network() == named.network() && Some(profile.device_class()) == class
        };
        let other = || {
            let all = self.profiles.iter().map(|(name, entry)| (name, &entry.profile));
            let fitting = all.filter(|(_, profile)| fits(profile));
            fitting.min_by_key(|(name, _)| *name).map(|(_, profile)| profile.clone())
        };
        if class.is_none() || fits(&named) {
            Some(named.clone())
        } else {
            Some(other().unwrap_or_else(|| named.clone()))
        }
    }
}

impl Pin {
    /// The point that it means; none where the route was not measured and bits are not named.
    pub fn point(&self, profile: &Profile, policy: &Policy) -> Option<OperatingPoint> {
        let measured = profile.find(self.route);
        let accurate = || {
            let rates = &measured?.rates;
            let most = policy.constraints.max_accuracy_drop_permille;
            let fit = rates.iter().find(|rate| rate.accuracy_drop_permille <= most).or(rates.last());
            fit.map(|rate| rate.bits)
        };
        let bits = || self.bits.or_else(accurate);
        Some(match self.route {
            Route::DeviceOnly => OperatingPoint::device_only(),
            Route::ServerOnly => OperatingPoint::server_only(bits()?),
            Route::Split { layer, cr } => OperatingPoint::split(layer, cr, bits()?),
        })
    }

    /// Whether it holds at `now`.
    pub fn holds(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn policy(name: &str) -> PolicyEntry {
        PolicyEntry {
            name: PolicyName(name.to_owned()),
            namespace: None,
            generation: 1,
            priority: 0,
            created: SystemTime::UNIX_EPOCH,
            suspend: false,
            mode: Mode::Enforce,
            selector: None,
            profile: "profile".to_owned(),
            policy: Policy::default(),
            prometheus: PrometheusSettings {
                address: "http://127.0.0.1:1".to_owned(),
                interval: Duration::from_secs(1),
                timeout: Duration::from_millis(800),
                device_label: "device".to_owned(),
                uplink_bandwidth: String::new(),
                rtt: String::new(),
                server_queue: String::new(),
            },
        }
    }

    fn device(name: &str) -> DeviceId {
        name.parse().unwrap()
    }

    #[test]
    fn the_higher_priority_wins_then_the_older_and_the_loser_is_told() {
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let policies = [
            PolicyEntry { created: later, ..policy("young") },
            policy("old"),
            PolicyEntry { priority: 5, created: later, ..policy("high") },
        ];
        let matches = |policies: &[PolicyEntry]| {
            let policies = policies.iter().cloned().map(Arc::new).collect();
            Catalog { policies, any_device: true, ..Catalog::default() }.matches([&device("cam")])
        };
        let all = matches(&policies);
        assert_eq!(all.winner[&device("cam")].name.0, "high");
        let told = &all.lost[&PolicyName("old".to_owned())];
        assert_eq!(told, &[(device("cam"), PolicyName("high".to_owned()))]);
        assert_eq!(matches(&policies[..2]).winner[&device("cam")].name.0, "old");
    }

    #[test]
    fn a_selector_and_a_namespace_leave_devices_out() {
        let labels = BTreeMap::from([("site".to_owned(), "north".to_owned())]);
        let entry = |namespace: &str| DeviceEntry {
            namespace: Some(namespace.to_owned()),
            labels: labels.clone(),
            ..DeviceEntry::default()
        };
        let devices = BTreeMap::from([(device("a"), entry("x")), (device("b"), entry("y"))]);
        let selects = |site: &str| {
            let selector = Some(Selector::from_iter([("site".to_owned(), site.to_owned())]));
            let policy = PolicyEntry { namespace: Some("x".to_owned()), selector, ..policy("p") };
            let catalog =
                Catalog { policies: vec![Arc::new(policy)], devices: devices.clone(), ..Catalog::default() };
            catalog.matches([&device("c")]).winner.into_keys().map(|id| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!((selects("north"), selects("south")), (vec!["a".to_owned()], vec![]));
    }

    #[test]
    fn a_pin_ends() {
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let pin = Pin { route: Route::DeviceOnly, bits: None, until: Some(until) };
        assert!(pin.holds(SystemTime::UNIX_EPOCH) && !pin.holds(until));
    }
}
