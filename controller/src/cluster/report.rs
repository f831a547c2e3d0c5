//! Writes status and events: on transitions only, put together and rate-capped.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use autotiler_core::DeviceId;
use autotiler_crds::{
    AutoTilerPolicy, AutoTilerPolicyStatus, EdgeDevice, EdgeDeviceStatus, PartitionProfile,
};
use k8s_openapi::{
    api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    runtime::events::{Event, Recorder, Reporter as EventReporter},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    FIELD_MANAGER, Objects, event, full_name,
    guarded::Guarded,
    status::{self, At},
    watch::{Kept, Key, Known, Watched},
};
use crate::{
    board::{Board, Explained, Standing},
    catalog::PolicyName,
    metrics::ControllerMetrics,
};

/// How often the last sweeps are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A look at thousands of devices takes long, and the sweeps need the time, too: it rests so many times as long.
const REST: u32 = 4;
/// Writes that may be made at once after a calm time, where fewer are allowed in a second.
const BURST: f64 = 20.0;

/// See the module.
pub(super) struct Reporter {
    client: Client,
    objects: Objects,
    board: Board,
    metrics: ControllerMetrics,
    recorder: Recorder,
    /// What was written last of each object, until the watch has brought it back.
    written: HashMap<Place, Value>,
}

/// An object: its kind and its name.
type Place = (&'static str, Key);

/// What is to be written of one object.
struct Due {
    place: Place,
    reference: ObjectReference,
    /// None where the kind has no status: what is written then stands in the events.
    status: Option<Value>,
    events: Vec<Event>,
}

/// An object with a status, as the API server has it.
struct Subject<'k, K, S> {
    key: &'k Key,
    metadata: &'k ObjectMeta,
    /// Its last good version, if there was one.
    good: Option<&'k K>,
    /// Of its newest version.
    before: S,
}

impl Reporter {
    pub(super) fn new(client: Client, objects: Objects, board: Board, metrics: ControllerMetrics) -> Self {
        let reporter = EventReporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, objects, board, metrics, recorder, written: HashMap::new() }
    }

    /// Runs until `cancel` is cancelled.
    pub(super) async fn run(mut self, writes_per_second: f64, cancel: CancellationToken) {
        let burst = writes_per_second.max(BURST);
        let (mut credit, mut paid, mut rest) = (burst, Instant::now(), LOOK);
        loop {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = cancel.cancelled() => return,
            }
            let begin = Instant::now();
            credit = (credit + writes_per_second * (begin - paid).as_secs_f64()).min(burst);
            paid = begin;
            if credit < 1.0 {
                continue;
            }
            let all_due = self.due();
            rest = LOOK.max(REST * begin.elapsed());
            // Those that find no credit are put together anew at the next look: only the newest is ever written.
            for due in all_due.into_iter().take(credit as usize) {
                credit -= 1.0;
                self.write(due).await;
            }
        }
    }

    fn due(&mut self) -> Vec<Due> {
        let objects = self.objects.clone();
        let known = objects.lock().unwrap_or_else(PoisonError::into_inner);
        self.written.retain(|(kind, key), _| known.has(kind, key));
        let mut due = self.policies(&known);
        due.extend(self.devices(&known));
        due.extend(self.profiles(&known));
        due
    }

    fn policies(&self, known: &Known) -> Vec<Due> {
        let mut devices: HashMap<PolicyName, Vec<Arc<Explained>>> = HashMap::new();
        for explained in self.board.devices() {
            devices.entry(explained.policy.clone()).or_default().push(explained);
        }
        let states: HashMap<PolicyName, _> =
            self.board.policies().into_iter().map(|state| (state.name.clone(), state)).collect();
        let due = |subject: Subject<'_, AutoTilerPolicy, AutoTilerPolicyStatus>| {
            let Subject { key, metadata, good, before } = subject;
            let name = PolicyName(full_name(Some(&key.0), &key.1));
            let (spec, trouble) = (good.map(|good| &good.spec), known.trouble(&known.policies, key));
            let profile = spec.map(|spec| (key.0.clone(), spec.profile_ref.name.clone()));
            let profile_trouble = profile.and_then(|profile| known.trouble(&known.profiles, &profile));
            let about = status::Known {
                spec,
                state: states.get(&name),
                devices: devices.get(&name).map(Vec::as_slice).unwrap_or_default(),
                trouble: trouble.as_ref(),
                profile_trouble: profile_trouble.as_ref(),
            };
            let generation = metadata.generation;
            // After a start what another process reported stands until the policy has been swept.
            if about.state.is_none() && trouble.is_none() && before.observed_generation == generation {
                return None;
            }
            let new = status::policy(&before, &about, At { generation, now: Timestamp::now() });
            let events = event::of_conditions(&before.conditions, &new.conditions);
            (new != before).then(|| self.unless_written::<AutoTilerPolicy>(key, metadata, &new, events))?
        };
        subjects(&known.policies, |good| good.status.clone()).filter_map(due).collect()
    }

    fn devices(&self, known: &Known) -> Vec<Due> {
        let due = |subject: Subject<'_, EdgeDevice, EdgeDeviceStatus>| {
            let Subject { key, metadata, good, before } = subject;
            let trouble = known.trouble(&known.devices, key);
            let device: Option<DeviceId> = key.1.parse().ok();
            let standing = device.and_then(|device| self.board.standing(&device));
            // A name that no device can have, and an object that never decoded, are in no policy's hands.
            let standing = standing.or_else(|| trouble.as_ref().map(|_| Standing::NoPolicy))?;
            let at = At { generation: metadata.generation, now: Timestamp::now() };
            let spec = good.map(|good| &good.spec);
            let new = status::device(&before, spec, &standing, trouble.as_ref(), at);
            let events = event::of_device(&before, &new);
            (new != before).then(|| self.unless_written::<EdgeDevice>(key, metadata, &new, events))?
        };
        subjects(&known.devices, |good| good.status.clone()).filter_map(due).collect()
    }

    /// Profiles have no status: what is wrong with one is told by an event, and by the policies that name it.
    fn profiles(&self, known: &Known) -> Vec<Due> {
        let kept = &known.profiles;
        let keys = kept.good.keys().chain(kept.bad.keys().filter(|key| !kept.good.contains_key(*key)));
        let due = |key: &Key| {
            let place = (PartitionProfile::KIND, key.clone());
            let trouble = known.trouble(kept, key)?;
            if self.written.get(&place).and_then(Value::as_str) == Some(trouble.message.as_str()) {
                return None;
            }
            let bad = kept.bad.get(key).map(|bad| &bad.metadata);
            let metadata = bad.or_else(|| kept.good.get(key).map(|good| good.meta()))?;
            let events = vec![event::of_trouble(&trouble)];
            Some(Due { place, reference: reference::<PartitionProfile>(metadata), status: None, events })
        };
        keys.filter_map(due).collect()
    }

    fn unless_written<K: Watched>(
        &self,
        key: &Key,
        metadata: &ObjectMeta,
        status: &impl Serialize,
        events: Vec<Event>,
    ) -> Option<Due> {
        let status = serde_json::to_value(status).ok()?;
        let place = (K::KIND, key.clone());
        let again = self.written.get(&place).is_some_and(|written| same_but_times(written, &status));
        let reference = reference::<K>(metadata);
        (!again).then_some(Due { place, reference, status: Some(status), events })
    }

    async fn write(&mut self, due: Due) {
        let Due { place, reference, status, events } = due;
        let (kind, (_, name)) = &place;
        match status {
            Some(status) => {
                let result = self.patch(&place, &status).await;
                let label = if result.is_ok() { "ok" } else { "failed" };
                self.metrics.status_writes.with_label_values(&[label]).inc();
                match result {
                    Ok(()) => drop(self.written.insert(place.clone(), status)),
                    // A deleted object, or a server that is away: the next look tries again if there is still something.
                    Err(error) => return tracing::debug!(%error, kind, name, "status not written"),
                }
            }
            None => {
                let note = events.first().and_then(|event| event.note.clone()).unwrap_or_default();
                self.written.insert(place.clone(), Value::String(note));
            }
        }
        for event in &events {
            if let Err(error) = self.recorder.publish(event, &reference).await {
                tracing::debug!(%error, kind, name, "event not written");
            }
        }
    }

    async fn patch(&self, (kind, (namespace, name)): &Place, status: &Value) -> kube::Result<()> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch =
            Patch::Apply(json!({ "apiVersion": "autotiler.dev/v1alpha1", "kind": kind, "status": status }));
        if *kind == EdgeDevice::KIND {
            patch_status::<EdgeDevice>(&self.client, namespace, name, &params, &patch).await
        } else {
            patch_status::<AutoTilerPolicy>(&self.client, namespace, name, &params, &patch).await
        }
    }
}

async fn patch_status<K: Watched>(
    client: &Client,
    namespace: &str,
    name: &str,
    params: &PatchParams,
    patch: &Patch<Value>,
) -> kube::Result<()> {
    // The answer is not looked at: one that does not decode is written all the same.
    let api: Api<Guarded<K>> = Api::namespaced(client.clone(), namespace);
    api.patch_status(name, params, patch).await.map(drop)
}

/// All objects of a kind; of those that do not decode the status is read for itself.
fn subjects<'k, K: Watched, S: DeserializeOwned + Default>(
    kept: &'k Kept<K>,
    status: impl Fn(&K) -> Option<S> + 'k,
) -> impl Iterator<Item = Subject<'k, K, S>> {
    let bad = kept.bad.iter().map(|(key, bad)| Subject {
        key,
        metadata: &bad.metadata,
        good: kept.good.get(key).map(|good| &**good),
        before: serde_json::from_value(bad.status.clone()).unwrap_or_default(),
    });
    let good = kept.good.iter().filter(|(key, _)| !kept.bad.contains_key(*key));
    let good = good.map(move |(key, good)| Subject {
        key,
        metadata: good.meta(),
        good: Some(&**good),
        before: status(good).unwrap_or_default(),
    });
    good.chain(bad)
}

fn reference<K: Resource<DynamicType = ()>>(metadata: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Whether two statuses differ at most in times that each look makes anew.
fn same_but_times(a: &Value, b: &Value) -> bool {
    const TIMES: [&str; 3] = ["lastTransitionTime", "at", "since"];
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.get(key)
                        .is_some_and(|other| TIMES.contains(&key.as_str()) || same_but_times(value, other))
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_but_times(a, b))
        }
        _ => a == b,
    }
}
