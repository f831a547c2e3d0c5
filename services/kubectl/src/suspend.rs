//! Suspension: a policy decides nothing, and its devices keep what they have.

use anyhow::{Context as _, bail};
use autotiler_crds::AutoTilerPolicy;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::cluster::{self, FIELD_MANAGER, is_absent};

/// Which policy.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The AutoTilerPolicy.
    policy: String,
}

/// Suspends the policy or lets it go on.
pub(crate) async fn set(args: &Args, suspend: bool, cluster: &cluster::Options) -> anyhow::Result<()> {
    let (cluster, policy) = (cluster.connect().await?, &args.policy);
    let policies: Api<AutoTilerPolicy> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    match policies.patch(policy, &params, &patch).await {
        Ok(_) if suspend => println!("{policy} is suspended: its devices keep what they have"),
        Ok(_) => println!("{policy} decides again"),
        Err(error) if is_absent(&error) => {
            let known = policies.list(&ListParams::default().limit(20)).await?.items;
            let known: Vec<_> = known.iter().map(|policy| policy.name_any()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            bail!("no AutoTilerPolicy {policy} in namespace {} (-n); there are: {known}", cluster.namespace)
        }
        Err(error) => return Err(error).with_context(|| format!("changing the AutoTilerPolicy {policy}")),
    }
    Ok(())
}
