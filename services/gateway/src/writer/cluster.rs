//! The objects of the cluster that a person changes: `EdgeDevice.spec.pin` and `AutoTilerPolicy.spec.suspend`.

use autotiler_core::{DeviceId, OperatingPoint, Route};
use autotiler_crds::{AutoTilerPolicy, EdgeDevice, PlacementRoute, device::Pin};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// Our name in an object's managed fields.
const FIELD_MANAGER: &str = "autotiler-gateway";

/// The API server, as far as it is written to.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Where devices are looked for; none: everywhere.
    namespace: Option<String>,
}

/// A request for a pin that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum BadPin {
    /// A time that is none.
    #[error("until {0:?} must be a time like 2026-01-31T12:00:00Z")]
    Until(String),
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// There is no such object.
    #[error("no EdgeDevice is called {0}: create one for it first")]
    NoDevice(DeviceId),
    /// There is no such object.
    #[error("no AutoTilerPolicy is called {namespace}/{name}")]
    NoPolicy {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// It is not clear which is meant.
    #[error("EdgeDevices called {device} are in the namespaces {}: start the gateway with --namespace", namespaces.join(", "))]
    Several {
        /// The name.
        device: DeviceId,
        /// Where they are.
        namespaces: Vec<String>,
    },
    /// The API server said no, or nothing.
    #[error("asking the API server")]
    Refused(#[source] kube::Error),
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster of `client`, with devices in `namespace` or anywhere.
    pub fn new(client: Client, namespace: Option<String>) -> Self {
        Self { client, namespace }
    }

    /// A pin at `point`, until a time.
    ///
    /// # Errors
    /// [`BadPin`].
    pub fn pin_at(point: OperatingPoint, until: Option<&str>) -> Result<Pin, BadPin> {
        let (route, layer, ratio) = match point.route {
            Route::Split { layer, cr } => (PlacementRoute::Split, Some(layer.0), Some(cr.get())),
            Route::DeviceOnly => (PlacementRoute::DeviceOnly, None, None),
            Route::ServerOnly => (PlacementRoute::ServerOnly, None, None),
        };
        let time =
            |text: &str| serde_json::from_value(json!(text)).map_err(|_| BadPin::Until(text.to_owned()));
        Ok(Pin {
            route,
            partition_layer: layer,
            compression_ratio: ratio,
            target_bits: point.bits().map(|bits| bits.get()),
            until: until.map(time).transpose()?,
        })
    }

    /// Holds `device` by `pin`; none takes its pin away.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub async fn pin(&self, device: &DeviceId, pin: Option<&Pin>) -> Result<(), NotWritten> {
        let namespace = self.namespace_of(device).await?;
        let devices: Api<EdgeDevice> = Api::namespaced(self.client.clone(), &namespace);
        let patch = json!({"spec": {"pin": pin.map_or(Value::Null, whole)}});
        let written = devices.patch(device.as_str(), &by_us(), &Patch::Merge(patch)).await;
        written.map(|_| ()).map_err(|error| missing(error, || NotWritten::NoDevice(device.clone())))
    }

    /// Suspends a policy, or lets it decide again.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub async fn suspend(&self, namespace: &str, name: &str, suspend: bool) -> Result<(), NotWritten> {
        let none = || NotWritten::NoPolicy { namespace: namespace.to_owned(), name: name.to_owned() };
        // They become part of a path.
        if ![namespace, name].into_iter().all(is_object_name) {
            return Err(none());
        }
        let policies: Api<AutoTilerPolicy> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({"spec": {"suspend": suspend}});
        let written = policies.patch(name, &by_us(), &Patch::Merge(patch)).await;
        written.map(|_| ()).map_err(|error| missing(error, none))
    }

    async fn namespace_of(&self, device: &DeviceId) -> Result<String, NotWritten> {
        if let Some(namespace) = &self.namespace {
            return Ok(namespace.clone());
        }
        let named = ListParams::default().fields(&format!("metadata.name={device}"));
        let found = Api::<EdgeDevice>::all(self.client.clone()).list_metadata(&named).await;
        let found = found.map_err(NotWritten::Refused)?;
        let mut namespaces: Vec<String> = found.items.iter().filter_map(ResourceExt::namespace).collect();
        match (namespaces.pop(), namespaces.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                namespaces.push(last);
                Err(NotWritten::Several { device: device.clone(), namespaces })
            }
            (None, _) => Err(NotWritten::NoDevice(device.clone())),
        }
    }
}

/// The pin with every field, absent ones as null: a merge would keep those of the pin before.
fn whole(pin: &Pin) -> Value {
    json!({
        "route": pin.route,
        "partitionLayer": pin.partition_layer,
        "compressionRatio": pin.compression_ratio,
        "targetBits": pin.target_bits,
        "until": pin.until,
    })
}

fn by_us() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn missing(error: kube::Error, none: impl FnOnce() -> NotWritten) -> NotWritten {
    match error {
        kube::Error::Api(status) if status.code == 404 => none(),
        other => NotWritten::Refused(other),
    }
}

fn is_object_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(plain)
}
