//! Watches the three kinds and puts together what people want whenever it changes.
//!
//! An object that does not decode (an old one in the store, a field that a newer version wrote) never stops a watch:
//! it is left out, counted and told, and the last good version stays in force.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use autotiler_crds::{AutoTilerPolicy, EdgeDevice, PartitionProfile};
use autotiler_runtime::Latch;
use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Objects, convert};
use crate::catalog::Catalog;

/// Namespace and name.
pub(crate) type Key = (String, String);

/// Everything that the watches have seen.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Policies.
    pub(crate) policies: BTreeMap<Key, Arc<AutoTilerPolicy>>,
    /// Devices.
    pub(crate) devices: BTreeMap<Key, Arc<EdgeDevice>>,
    /// Profiles.
    pub(crate) profiles: BTreeMap<Key, Arc<PartitionProfile>>,
    /// Objects whose newest version does not decode, and why, by kind.
    undecodable: BTreeMap<(&'static str, Key), String>,
    /// Objects that decode and cannot be used, and why, by kind.
    rejected: BTreeMap<(&'static str, Key), String>,
    /// Kinds whose first list has not come yet.
    missing: Vec<&'static str>,
}

/// A kind that is watched: where its objects are kept.
trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    const KIND: &'static str;
    fn kept(known: &mut Known) -> &mut BTreeMap<Key, Arc<Self>>;
    /// Whether two versions mean the same to a decision: our own writes of status must wake nobody.
    fn same(&self, other: &Self) -> bool {
        self.meta().generation == other.meta().generation && self.meta().labels == other.meta().labels
    }
}

impl Watched for AutoTilerPolicy {
    const KIND: &'static str = "AutoTilerPolicy";
    fn kept(known: &mut Known) -> &mut BTreeMap<Key, Arc<Self>> {
        &mut known.policies
    }
}

impl Watched for EdgeDevice {
    const KIND: &'static str = "EdgeDevice";
    fn kept(known: &mut Known) -> &mut BTreeMap<Key, Arc<Self>> {
        &mut known.devices
    }
}

impl Watched for PartitionProfile {
    const KIND: &'static str = "PartitionProfile";
    fn kept(known: &mut Known) -> &mut BTreeMap<Key, Arc<Self>> {
        &mut known.profiles
    }
}

/// Starts the watches, which end with the process. `latch` is released when all kinds have been listed once.
pub(crate) fn start(
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
    let api: Api<DeserializeGuard<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (objects, give, latch) = (objects.clone(), give.clone(), latch.clone());
    tokio::spawn(async move {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => take::<K>(event, &mut listed, &objects, &give, &latch),
                Err(error) => tracing::warn!(%error, kind = K::KIND, "watching; trying again"),
            }
        }
    });
}

fn take<K: Watched>(
    event: Event<DeserializeGuard<K>>,
    listed: &mut BTreeMap<Key, Arc<K>>,
    objects: &Objects,
    give: &watch::Sender<Arc<Catalog>>,
    latch: &Latch,
) {
    let mut known = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = match event {
        Event::Init => {
            listed.clear();
            false
        }
        Event::InitApply(object) => {
            if let Some((key, object)) = decoded(object, &mut known) {
                listed.insert(key, object);
            }
            false
        }
        Event::InitDone => {
            *K::kept(&mut known) = std::mem::take(listed);
            known.missing.retain(|kind| *kind != K::KIND);
            true
        }
        Event::Apply(object) => match decoded(object, &mut known) {
            None => true,
            Some((key, object)) => {
                let before = K::kept(&mut known).insert(key, object.clone());
                before.is_none_or(|before| !before.same(&object))
            }
        },
        Event::Delete(object) => {
            let key = key(&object);
            known.undecodable.remove(&(K::KIND, key.clone()));
            K::kept(&mut known).remove(&key).is_some()
        }
    };
    if changed && known.missing.is_empty() {
        give.send_replace(Arc::new(catalog(&mut known)));
        latch.release();
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The object, or what stays in force of it if it does not decode.
fn decoded<K: Watched>(object: DeserializeGuard<K>, known: &mut Known) -> Option<(Key, Arc<K>)> {
    match object.0 {
        Ok(object) => {
            let key = key(&object);
            known.undecodable.remove(&(K::KIND, key.clone()));
            Some((key, Arc::new(object)))
        }
        Err(error) => {
            let key = (
                error.metadata.namespace.clone().unwrap_or_default(),
                error.metadata.name.clone().unwrap_or_default(),
            );
            tracing::warn!(
                kind = K::KIND,
                name = key.1,
                error = error.error,
                "does not decode; left as it was"
            );
            known.undecodable.insert((K::KIND, key.clone()), error.error);
            let before = K::kept(known).get(&key).cloned();
            before.map(|before| (key, before))
        }
    }
}

impl Known {
    /// Why the object cannot be used; none if it can.
    pub(crate) fn trouble(&self, kind: &'static str, key: &Key) -> Option<&str> {
        let at = (kind, key.clone());
        self.undecodable.get(&at).or_else(|| self.rejected.get(&at)).map(String::as_str)
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
    for (key, object) in &known.policies {
        match convert::policy(object) {
            Ok(policy) => catalog.policies.push(Arc::new(policy)),
            Err(error) => note(AutoTilerPolicy::KIND, key, error),
        }
    }
    for (key, object) in &known.devices {
        match convert::device(object) {
            Ok((id, entry)) => drop(catalog.devices.insert(id, entry)),
            Err(error) => note(EdgeDevice::KIND, key, error),
        }
    }
    for (key, object) in &known.profiles {
        match convert::profile(object) {
            Ok((name, profile)) => drop(catalog.profiles.insert(name, profile)),
            Err(error) => note(PartitionProfile::KIND, key, error),
        }
    }
    known.rejected = rejected;
    catalog
}
