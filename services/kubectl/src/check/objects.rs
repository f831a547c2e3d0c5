//! What people wrote: policies, profiles, devices, and what the controller says of them in their status.

use std::fmt;

use autotiler_crds::{AutoTilerPolicy, Condition, EdgeDevice, PartitionProfile};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde::de::DeserializeOwned;

use super::finding::Finding;
use crate::cluster::{Cluster, is_absent};

/// Everything of the namespace.
pub(super) struct Objects {
    policies: Vec<AutoTilerPolicy>,
    profiles: Vec<PartitionProfile>,
    devices: Vec<EdgeDevice>,
}

impl Objects {
    /// Reads them; what cannot be read is `found`.
    pub(super) async fn read(cluster: &Cluster, found: &mut Vec<Finding>) -> Option<Self> {
        let read = async {
            Ok::<_, kube::Error>(Self {
                policies: list(cluster).await?,
                profiles: list(cluster).await?,
                devices: list(cluster).await?,
            })
        };
        match read.await {
            Ok(objects) => {
                found.push(Finding::ok("definitions", "the API server knows policies, profiles and devices"));
                Some(objects)
            }
            Err(error) if is_absent(&error) => {
                let fix = "helm install with crds.enabled, or: kubectl apply -f crds/";
                found.push(Finding::fail("definitions", "the API server does not know autotiler.dev", fix));
                None
            }
            Err(error) => {
                let fix = "is the API server there, and may you list atp, prof and edev?";
                found.push(Finding::fail("API server", error.to_string(), fix));
                None
            }
        }
    }

    /// Looks at each.
    pub(super) fn check(&self, found: &mut Vec<Finding>) {
        if self.policies.is_empty() {
            let fix = "apply an AutoTilerPolicy (crds/examples/policy.yaml), or name its namespace with -n";
            found.push(Finding::fail("policies", "there is none", fix));
        }
        for policy in &self.policies {
            self.policy(policy, found);
        }
        if self.devices.is_empty() {
            let fix = "apply an EdgeDevice for each device (crds/examples/device.yaml)";
            found.push(Finding::fail("devices", "there is none", fix));
        }
        for device in &self.devices {
            found.push(check_device(device));
        }
    }

    fn policy(&self, policy: &AutoTilerPolicy, found: &mut Vec<Finding>) {
        let what = format!("policy {}", policy.name_any());
        let before = found.len();
        let profile = &policy.spec.profile_ref.name;
        if !self.profiles.iter().any(|known| known.name_any() == *profile) {
            let fix =
                "autotiler profile --model MODEL --out FILE on such a device, then kubectl apply -f FILE";
            found.push(Finding::fail(&*what, format!("no PartitionProfile {profile}"), fix));
        }
        let status = policy.status.clone().unwrap_or_default();
        if let Some(conflicted) = condition(&status.conditions, "Conflicted", "True") {
            let fix = "narrow spec.selector of one of them, or set spec.priority";
            found.push(Finding::warn(&*what, said(conflicted), fix));
        }
        if let Some(stale) = condition(&status.conditions, "MetricsFresh", "False") {
            let address = &policy.spec.metrics.prometheus.address;
            let fix = format!(
                "spec.metrics.prometheus.address is {address}: can the controller reach it, and does it scrape \
                 autotiler-gateway?"
            );
            found.push(Finding::fail(&*what, said(stale), fix));
        }
        if let Some(limited) = condition(&status.conditions, "Limited", "True") {
            let fix = "loosen the constraint or the budget that it names";
            found.push(Finding::warn(&*what, said(limited), fix));
        }
        if policy.spec.suspend {
            let fix = format!("kubectl autotiler resume {}", policy.name_any());
            found.push(Finding::warn(&*what, "is suspended", fix));
        }
        if status.observed_generation.is_none() {
            let fix = "does the controller run, lead, and watch this namespace?";
            found.push(Finding::fail(&*what, "no controller has looked at it", fix));
        }
        if found.len() == before {
            let devices = status.devices;
            let says = format!("{} devices, {} synced", devices.matched, devices.synced);
            found.push(if devices.matched == 0 {
                let fix = "do the labels of the EdgeDevices match spec.selector, and do the devices run?";
                Finding::warn(what, says, fix)
            } else {
                Finding::ok(what, says)
            });
        }
    }
}

fn check_device(device: &EdgeDevice) -> Finding {
    let what = format!("device {}", device.name_any());
    let status = device.status.clone().unwrap_or_default();
    let conditions = &status.conditions;
    if let Some(trouble) = condition(conditions, "Ready", "False") {
        let fix = match trouble.reason.as_str() {
            "InvalidSpec" => "mend the field that it names",
            "Refused" => {
                "give the device what the order needs, or leave that point out of the policy's candidates"
            }
            _ => {
                "does it run with --follow-orders and this name, are its credentials good, and does a policy \
                  select its labels?"
            }
        };
        return Finding::fail(what, said(trouble), fix);
    }
    if let Some(stale) = condition(conditions, "MetricsFresh", "False") {
        let fix = "does Prometheus scrape autotiler-gateway, and do the policy's queries name its series?";
        return Finding::fail(what, said(stale), fix);
    }
    if condition(conditions, "Ready", "True").is_none() {
        return Finding::warn(what, "no controller has looked at it", "does the controller run and lead?");
    }
    let point = status.assignment.map_or("nowhere yet".to_owned(), |assignment| assignment.point);
    match condition(conditions, "Synced", "False") {
        Some(pending) => Finding::warn(what, said(pending), "kubectl autotiler explain says more"),
        None => Finding::ok(what, format!("at {point}")),
    }
}

async fn list<K>(cluster: &Cluster) -> Result<Vec<K>, kube::Error>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    Ok(api.list(&ListParams::default()).await?.items)
}

fn condition<'c>(conditions: &'c [Condition], kind: &str, status: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.type_ == kind && condition.status == status)
}

fn said(condition: &Condition) -> String {
    if condition.message.is_empty() { condition.reason.clone() } else { condition.message.clone() }
}
