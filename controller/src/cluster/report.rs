//! Writes status and events: on transitions only, put together and rate-capped.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use autotiler_crds::{AutoTilerPolicy, EdgeDevice};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder, Reporter as EventReporter},
};
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{FIELD_MANAGER, Objects, full_name, status};
use crate::{
    board::{Board, Explained},
    catalog::PolicyName,
    metrics::ControllerMetrics,
};

/// How often the last sweeps are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Writes that may be made at once after a calm time.
const BURST: f64 = 20.0;

/// See the module.
pub(super) struct Reporter {
    client: Client,
    objects: Objects,
    board: Board,
    metrics: ControllerMetrics,
    recorder: Recorder,
    /// What was written last, until the watch has brought it back.
    written: HashMap<(&'static str, String), serde_json::Value>,
}

/// One status that is to be written.
struct Due {
    kind: &'static str,
    namespace: String,
    name: String,
    status: serde_json::Value,
    event: Option<Event>,
    reference: k8s_openapi::api::core::v1::ObjectReference,
}

impl Reporter {
    pub(super) fn new(client: Client, objects: Objects, board: Board, metrics: ControllerMetrics) -> Self {
        let reporter = EventReporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, objects, board, metrics, recorder, written: HashMap::new() }
    }

    /// Runs until `cancel` is cancelled.
    pub(super) async fn run(mut self, writes_per_second: f64, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut credit = BURST;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = cancel.cancelled() => return,
            }
            credit = (credit + writes_per_second * LOOK.as_secs_f64()).min(BURST);
            if credit < 1.0 {
                continue;
            }
            // Those that find no credit are put together anew at the next look: only the newest is ever written.
            for due in self.due().into_iter().take(credit as usize) {
                credit -= 1.0;
                self.write(due).await;
            }
        }
    }

    fn due(&mut self) -> Vec<Due> {
        let now = Timestamp::now();
        let explained: HashMap<String, Arc<Explained>> =
            self.board.devices().into_iter().map(|one| (one.device.to_string(), one)).collect();
        let states: HashMap<PolicyName, _> =
            self.board.policies().into_iter().map(|state| (state.name.clone(), state)).collect();
        let known = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        for (key, object) in &known.policies {
            let name = PolicyName(full_name(Some(&key.0), &key.1));
            let own: Vec<&Explained> =
                explained.values().filter(|one| one.policy == name).map(|one| &**one).collect();
            let before = object.status.clone().unwrap_or_default();
            let new = status::policy(
                &before,
                states.get(&name),
                &own,
                known.trouble("AutoTilerPolicy", key),
                object.spec.suspend,
                object.metadata.generation,
                now,
            );
            if new != before {
                due.extend(self.unless_written("AutoTilerPolicy", &**object, &new, None));
            }
        }
        for (key, object) in &known.devices {
            let before = object.status.clone().unwrap_or_default();
            let own = explained.get(&key.1).map(|one| &**one);
            let trouble = known.trouble("EdgeDevice", key);
            let new = status::device(&before, own, trouble, object.metadata.generation, now);
            if new != before {
                let event = event(&before, &new);
                due.extend(self.unless_written("EdgeDevice", &**object, &new, event));
            }
        }
        due
    }

    fn unless_written<K: Resource<DynamicType = ()>>(
        &self,
        kind: &'static str,
        object: &K,
        status: &impl serde::Serialize,
        event: Option<Event>,
    ) -> Option<Due> {
        let status = serde_json::to_value(status).ok()?;
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let at = (kind, full_name(Some(&namespace), &name));
        let again = self.written.get(&at).is_some_and(|written| same_but_times(written, &status));
        (!again).then(|| Due { kind, namespace, name, status, event, reference: object.object_ref(&()) })
    }

    async fn write(&mut self, due: Due) {
        let Due { kind, namespace, name, status, event, reference } = due;
        let at = (kind, full_name(Some(&namespace), &name));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = json!({ "apiVersion": "autotiler.dev/v1alpha1", "kind": kind, "status": status });
        let result = match kind {
            "EdgeDevice" => {
                let api: Api<EdgeDevice> = Api::namespaced(self.client.clone(), &namespace);
                api.patch_status(&name, &params, &Patch::Apply(patch)).await.map(drop)
            }
            _ => {
                let api: Api<AutoTilerPolicy> = Api::namespaced(self.client.clone(), &namespace);
                api.patch_status(&name, &params, &Patch::Apply(patch)).await.map(drop)
            }
        };
        let label = if result.is_ok() { "ok" } else { "failed" };
        self.metrics.status_writes.with_label_values(&[label]).inc();
        match result {
            Ok(()) => drop(self.written.insert(at, status)),
            // A deleted object, or a server that is away: the next look tries again if there is still something.
            Err(error) => tracing::debug!(%error, kind, name, "status not written"),
        }
        if let Some(event) = event
            && let Err(error) = self.recorder.publish(&event, &reference).await
        {
            tracing::debug!(%error, kind, name, "event not written");
        }
    }
}

/// What is worth an event: an order, a refusal, a fallback. Reasons come from a closed list.
fn event(before: &autotiler_crds::EdgeDeviceStatus, new: &autotiler_crds::EdgeDeviceStatus) -> Option<Event> {
    let made = |type_, reason: &str, action: &str, note: String| Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: action.to_owned(),
        secondary: None,
    };
    let holds = |status: &autotiler_crds::EdgeDeviceStatus, kind: &str, reason: &str| {
        status
            .conditions
            .iter()
            .any(|one| one.type_ == kind && one.reason == reason && !one.message.is_empty())
    };
    if holds(new, "Ready", "Refused") && !holds(before, "Ready", "Refused") {
        let note = new.conditions.iter().find(|one| one.type_ == "Ready").map(|one| one.message.clone());
        return Some(made(EventType::Warning, "OrderRefused", "Order", note.unwrap_or_default()));
    }
    let (old, new) = (before.assignment.as_ref(), new.assignment.as_ref()?);
    if old.map(|old| old.epoch) == Some(new.epoch) {
        return None;
    }
    let from = old.map_or("nothing", |old| old.point.as_str());
    let note = format!("from {from} to {} ({})", new.point, new.reason);
    let (type_, reason) = match new.reason.as_str() {
        "Fallback" => (EventType::Warning, "FellBack"),
        "Pinned" => (EventType::Normal, "Pinned"),
        "FirstAssignment" => (EventType::Normal, "Assigned"),
        _ => (EventType::Normal, "Switched"),
    };
    Some(made(type_, reason, "Order", note))
}

/// Whether two statuses differ at most in times that each look makes anew.
fn same_but_times(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value;
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
