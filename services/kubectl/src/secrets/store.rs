//! Secrets of one release, all under one prefix.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};

use crate::cluster::{Cluster, FIELD_MANAGER};

/// The Secrets PREFIX-PART in a namespace.
pub(super) struct Store {
    secrets: Api<Secret>,
    prefix: String,
    pub(super) namespace: String,
}

/// What became of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is new, or replaced.
    Made,
    /// It was there and is as it was.
    Kept,
}

impl Store {
    pub(super) fn new(cluster: &Cluster, prefix: &str) -> Self {
        let namespace = cluster.namespace.clone();
        let secrets = Api::namespaced(cluster.client.clone(), &namespace);
        Self { secrets, prefix: prefix.to_owned(), namespace }
    }

    pub(super) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    /// The text under `key` of PREFIX-`part`, if both are there.
    pub(super) async fn get(&self, part: &str, key: &str) -> anyhow::Result<Option<String>> {
        let name = self.name(part);
        let found = self.secrets.get_opt(&name).await.with_context(|| format!("reading Secret {name}"))?;
        let bytes = found.and_then(|secret| secret.data?.remove(key));
        bytes
            .map(|bytes| String::from_utf8(bytes.0))
            .transpose()
            .with_context(|| format!("reading {key} of {name}"))
    }

    /// Writes `text` under `key` of PREFIX-`part`; over what is there only with `force`.
    pub(super) async fn put(
        &self,
        part: &str,
        key: &str,
        text: &str,
        force: bool,
    ) -> anyhow::Result<Written> {
        let name = self.name(part);
        let secret = secret(&name, key, text);
        let written = if force {
            let params = PatchParams::apply(FIELD_MANAGER).force();
            self.secrets.patch(&name, &params, &Patch::Apply(&secret)).await
        } else {
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            self.secrets.create(&params, &secret).await
        };
        match written {
            Ok(_) => Ok(Written::Made),
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(Written::Kept),
            Err(error) => Err(error).with_context(|| format!("writing Secret {name}")),
        }
    }
}

fn secret(name: &str, key: &str, text: &str) -> Secret {
    let labels = [("app.kubernetes.io/name", "autotiler"), ("app.kubernetes.io/managed-by", FIELD_MANAGER)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(key.to_owned(), ByteString(text.as_bytes().to_vec()))])),
        ..Secret::default()
    }
}
