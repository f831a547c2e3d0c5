//! An object as the API server holds it, which may be one that we do not understand.
//!
//! As kube's `DeserializeGuard`, but the error names the field, and the status is kept, so that it can be told there.

use std::borrow::Cow;

use autotiler_crds::manifest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::Value;

/// An object, or what is known of one that does not decode.
#[derive(Debug, Clone)]
pub(super) struct Guarded<K>(pub(super) Result<K, Unreadable>);

/// An object that does not decode.
#[derive(Debug, Clone)]
pub(super) struct Unreadable {
    /// Its name and generation.
    pub(super) metadata: ObjectMeta,
    /// As it is stored.
    pub(super) status: Value,
    /// The field, and what is wrong with it.
    pub(super) error: String,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let error = match manifest::decode(&value) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error.to_string(),
        };
        let [metadata, status] =
            ["metadata", "status"].map(|key| value.get_mut(key).map(Value::take).unwrap_or_default());
        let metadata = serde_json::from_value(metadata).map_err(D::Error::custom)?;
        Ok(Self(Err(Unreadable { metadata, status, error })))
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use autotiler_crds::EdgeDevice;
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_decode_keeps_its_name_and_status_and_names_the_field() {
        let object = json!({
            "apiVersion": "autotiler.dev/v1alpha1", "kind": "EdgeDevice",
            "metadata": {"name": "old", "generation": 4},
            "spec": {"deviceClass": 7}, "status": {"policyName": "north"}
        });
        let guarded: Guarded<EdgeDevice> = serde_json::from_value(object.clone()).unwrap();
        assert_eq!((guarded.name_any().as_str(), guarded.meta().generation), ("old", Some(4)));
        let unreadable = guarded.0.unwrap_err();
        assert!(unreadable.error.starts_with("spec.deviceClass: "), "{}", unreadable.error);
        assert_eq!(unreadable.status["policyName"], "north");

        let mut good = object;
        good["spec"]["deviceClass"] = json!("pi");
        assert!(serde_json::from_value::<Guarded<EdgeDevice>>(good).unwrap().0.is_ok());
    }
}
