//! From objects of the API to the catalog: what is checked here is never looked at raw again.

use std::{sync::Arc, time::SystemTime};

use autotiler_core::{DeviceId, decision::Policy, profile::Profile};
use autotiler_crds::{
    AutoTilerPolicy, EdgeDevice, PartitionProfile, PartitionProfileSpec,
    convert::{BadSpec, Pinned},
    policy::{Metrics, Mode as SpecMode, PrometheusSource},
};
use kube::ResourceExt;

use super::full_name;
use crate::{
    catalog::{DeviceEntry, Mode, Pin, PolicyEntry, PolicyName, ProfileEntry},
    observe::PrometheusSettings,
};

/// Why an object cannot be used. The text is for a condition's message: it names the field.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A field of the spec.
    #[error("{0}")]
    Spec(#[from] BadSpec),
    /// A requirement of a selector that is none.
    #[error("spec.selector: {0}")]
    Selector(#[source] kube::core::ParseExpressionError),
    /// A name that no device can have.
    #[error("metadata.name: {0}")]
    Device(#[from] autotiler_core::id::BadDeviceId),
}

/// The policy of `object`.
///
/// # Errors
/// [`ConvertError`].
pub fn policy(object: &AutoTilerPolicy) -> Result<PolicyEntry, ConvertError> {
    let spec = &object.spec;
    let namespace = object.namespace();
    let Metrics {
        prometheus: PrometheusSource { address, interval, timeout, device_label, queries }, ..
    } = spec.metrics.clone();
    Ok(PolicyEntry {
        name: PolicyName(full_name(namespace.as_deref(), &object.name_any())),
        profile: full_name(namespace.as_deref(), &spec.profile_ref.name),
        namespace,
        generation: object.metadata.generation.unwrap_or(1),
        priority: spec.priority,
        created: object.creation_timestamp().map_or(SystemTime::UNIX_EPOCH, |time| time.0.into()),
        suspend: spec.suspend,
        mode: match spec.mode {
            SpecMode::Enforce => Mode::Enforce,
            SpecMode::Advise => Mode::Advise,
        },
        selector: Some(kube::core::Selector::try_from(&spec.selector).map_err(ConvertError::Selector)?),
        policy: Policy::try_from(spec)?,
        prometheus: PrometheusSettings {
            address,
            interval: interval.get(),
            timeout: timeout.get(),
            device_label,
            uplink_bandwidth: queries.uplink_bandwidth,
            rtt: queries.rtt,
            server_queue: queries.server_queue,
        },
    })
}

/// The device of `object`.
///
/// # Errors
/// [`ConvertError`].
pub fn device(object: &EdgeDevice) -> Result<(DeviceId, DeviceEntry), ConvertError> {
    let id = object.name_any().parse::<DeviceId>()?;
    let pin = match &object.spec.pin {
        None => None,
        Some(pin) => {
            let Pinned { route, bits } = pin.try_into()?;
            Some(Pin { route, bits, until: pin.until.as_ref().map(|until| until.0.into()) })
        }
    };
    let entry = DeviceEntry {
        namespace: object.namespace(),
        labels: object.labels().clone(),
        class: Some(object.spec.device_class.clone()),
        pin,
    };
    Ok((id, entry))
}

/// The profile of `object`, under its name.
///
/// # Errors
/// [`ConvertError`].
pub fn profile(object: &PartitionProfile) -> Result<(String, ProfileEntry), ConvertError> {
    let name = full_name(object.namespace().as_deref(), &object.name_any());
    Ok((name, ProfileEntry::try_from(&object.spec)?))
}

impl TryFrom<&PartitionProfileSpec> for ProfileEntry {
    type Error = BadSpec;

    /// # Errors
    /// [`BadSpec`], which names the field or the point, and the fix.
    fn try_from(spec: &PartitionProfileSpec) -> Result<Self, BadSpec> {
        Ok(Self { profile: Arc::new(Profile::try_from(spec)?), digest: spec.digest() })
    }
}
