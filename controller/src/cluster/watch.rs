//! Watches the three kinds and puts together what people want whenever it changes.
//!
//! An object that does not decode (an old one in the store, a field that a newer version wrote) never stops a watch:
//! it is told on the object itself, and its last good version stays in force.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use autotiler_crds::{AutoTilerPolicy, EdgeDevice, PartitionProfile};
use autotiler_runtime::Latch;
use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::NamespaceResourceScope,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{
    Objects, convert,
    guarded::{Guarded, Unreadable},
    status::Trouble,
};
use crate::catalog::Catalog;

/// Namespace and name.
pub(super) type Key = (String, String);

/// Everything that the watches have seen.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Policies.
    pub(super) policies: Kept<AutoTilerPolicy>,
    /// Devices.
    pub(super) devices: Kept<EdgeDevice>,
    /// Profiles.
    pub(super) profiles: Kept<PartitionProfile>,
    /// Objects that decode and cannot be used, and why, by kind.
    rejected: BTreeMap<(&'static str, Key), String>,
    /// Kinds whose first list has not come yet.
    missing: Vec<&'static str>,
}

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Kept<K> {
    /// The last good version of each.
    pub(super) good: BTreeMap<Key, Arc<K>>,
    /// Those whose newest version does not decode.
    pub(super) bad: BTreeMap<Key, Unreadable>,
}

/// A kind that is watched: where its objects are kept.
pub(super) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
{
    const KIND: &'static str;
    fn kept(known: &mut Known) -> &mut Kept<Self>;
    /// Whether two versions mean the same to a decision: our own writes of status must wake nobody.
    fn same(&self, other: &Self) -> bool {
        self.meta().generation == other.meta().generation && self.meta().labels == other.meta().labels
    }
}

impl Watched for AutoTilerPolicy {
    const KIND: &'static str = "AutoTilerPolicy";
    fn kept(known: &mut Known) -> &mut Kept<Self> {
        &mut known.policies
    }
}

impl Watched for EdgeDevice {
    const KIND: &'static str = "EdgeDevice";
    fn kept(known: &mut Known) -> &mut Kept<Self> {
        &mut known.devices
    }
}

impl Watched for PartitionProfile {
    const KIND: &'static str = "PartitionProfile";
    fn kept(known: &mut Known) -> &mut Kept<Self> {
        &mut known.profiles
    }
}

/// Starts the watches, which end with the process. `latch` is released when all kinds have been listed once.
pub(super) fn start(
    client: &Client,
    namespace: Option<&str>,
    latch: Latch,
) -> (Objects, watch::Receiver<Arc<Catalog>>) {
    let missing = vec![AutoTilerPolicy::KIND, EdgeDevice::KIND, PartitionProfile::KIND];
    let objects: Objects = Arc::new(Mutex::new(Known { missing, ..Known::default() }));
    let (give, take) = watch::channel(Arc::new(Catalog::default()));
    let (give, latch) = (Arc::new(give), Arc::new(latch));
    spawn::<AutoTilerPolicy>(client, namespace, &objects, &give, &latch);
    spawn::<EdgeDevice>(client, namespace, &objects, &give, &latch);
    spawn::<PartitionProfile>(client, namespace, &objects, &give, &latch);
    (objects, take)
}

fn spawn<K: Watched>(
    client: &Client,
    namespace: Option<&str>,
    objects: &Objects,
    give: &Arc<watch::Sender<Arc<Catalog>>>,
    latch: &Arc<Latch>,
) {
    let api: Api<Guarded<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (objects, give, latch) = (objects.clone(), give.clone(), latch.clone());
    tokio::spawn(async move {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let mut listed = Kept::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => take::<K>(event, &mut listed, &objects, &give, &latch),
                Err(error) => tracing::warn!(%error, kind = K::KIND, "watching; trying again"),
            }
        }
    });
}

fn take<K: Watched>(
    event: Event<Guarded<K>>,
    listed: &mut Kept<K>,
    objects: &Objects,
    give: &watch::Sender<Arc<Catalog>>,
    latch: &Latch,
) {
    let mut known = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = match event {
        Event::Init => {
            *listed = Kept::default();
            false
        }
        Event::InitApply(object) => {
            listed.put(object);
            false
        }
        Event::InitDone => {
            K::kept(&mut known).replace(std::mem::take(listed));
            known.missing.retain(|kind| *kind != K::KIND);
            true
        }
        Event::Apply(object) => K::kept(&mut known).put(object),
        Event::Delete(object) => K::kept(&mut known).remove(&key(&object)),
    };
    if changed && known.missing.is_empty() {
        give.send_replace(Arc::new(catalog(&mut known)));
        latch.release();
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self { good: BTreeMap::new(), bad: BTreeMap::new() }
    }
}

impl<K: Watched> Kept<K> {
    /// Takes in a newer version of an object; whether that changes what people want.
    fn put(&mut self, object: Guarded<K>) -> bool {
        let key = key(&object);
        match object.0 {
            Ok(object) => {
                self.bad.remove(&key);
                let object = Arc::new(object);
                let before = self.good.insert(key, object.clone());
                before.is_none_or(|before| !before.same(&object))
            }
            Err(unreadable) => {
                let told = self.bad.get(&key).is_some_and(|before| before.error == unreadable.error);
                if !told {
                    let error = &unreadable.error;
                    tracing::warn!(kind = K::KIND, namespace = key.0, name = key.1, error, "does not decode");
                }
                self.bad.insert(key, unreadable);
                false
            }
        }
    }

    /// Takes a whole list; what does not decode in it stays in force as it was.
    fn replace(&mut self, mut listed: Self) {
        for key in listed.bad.keys() {
            if let Some(before) = self.good.get(key) {
                listed.good.insert(key.clone(), before.clone());
            }
        }
        *self = listed;
    }

    fn has(&self, key: &Key) -> bool {
        self.good.contains_key(key) || self.bad.contains_key(key)
    }

    fn remove(&mut self, key: &Key) -> bool {
        self.bad.remove(key);
        self.good.remove(key).is_some()
    }
}

impl Known {
    /// Whether there is such an object.
    pub(super) fn has(&self, kind: &str, key: &Key) -> bool {
        match kind {
            AutoTilerPolicy::KIND => self.policies.has(key),
            EdgeDevice::KIND => self.devices.has(key),
            _ => self.profiles.has(key),
        }
    }

    /// Why an object cannot be used; none if it can.
    pub(super) fn trouble<K: Watched>(&self, kept: &Kept<K>, key: &Key) -> Option<Trouble> {
        if let Some(unreadable) = kept.bad.get(key) {
            return Some(Trouble { reason: "InvalidObject", message: unreadable.error.clone() });
        }
        let message = self.rejected.get(&(K::KIND, key.clone()))?.clone();
        Some(Trouble { reason: "InvalidSpec", message })
    }
}

/// Puts together what can be used, and notes what cannot.
fn catalog(known: &mut Known) -> Catalog {
    let mut catalog = Catalog::default();
    let mut rejected = BTreeMap::new();
    let mut note = |kind: &'static str, key: &Key, error: convert::ConvertError| {
        tracing::warn!(kind, namespace = key.0, name = key.1, %error, "cannot be used");
        rejected.insert((kind, key.clone()), error.to_string());
    };
    for (key, object) in &known.policies.good {
        match convert::policy(object) {
            Ok(policy) => catalog.policies.push(Arc::new(policy)),
            Err(error) => note(AutoTilerPolicy::KIND, key, error),
        }
    }
    for (key, object) in &known.devices.good {
        match convert::device(object) {
            Ok((id, entry)) => drop(catalog.devices.insert(id, entry)),
            Err(error) => note(EdgeDevice::KIND, key, error),
        }
    }
    for (key, object) in &known.profiles.good {
        match convert::profile(object) {
            Ok((name, profile)) => drop(catalog.profiles.insert(name, profile)),
            Err(error) => note(PartitionProfile::KIND, key, error),
        }
    }
    known.rejected = rejected;
    catalog
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn device(name: &str, class: serde_json::Value) -> Guarded<EdgeDevice> {
        let object = json!({"metadata": {"name": name, "namespace": "x"}, "spec": {"deviceClass": class}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_last_good_version_stays_in_force_and_the_trouble_names_the_field() {
        let key = ("x".to_owned(), "cam".to_owned());
        let mut known = Known::default();
        assert!(known.devices.put(device("cam", json!("pi"))));
        assert!(!known.devices.put(device("cam", json!(7))), "nothing else is wanted");
        let trouble = |known: &Known| known.trouble(&known.devices, &key);
        let told = trouble(&known).unwrap();
        assert!(told.reason == "InvalidObject" && told.message.starts_with("spec.deviceClass"), "{told:?}");
        let mut listed = Kept::default();
        listed.put(device("cam", json!(7)));
        known.devices.replace(listed);
        assert_eq!(known.devices.good[&key].spec.device_class, "pi");
        known.devices.put(device("cam", json!("nano")));
        assert_eq!(trouble(&known), None);
        known.devices.replace(Kept::default());
        assert!(known.devices.good.is_empty());
    }
}
