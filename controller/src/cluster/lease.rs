//! Who leads: one Lease, renewed while we live.
//!
//! As client-go does it (`tools/leaderelection`): a holder's silence is measured on our own clock from when we last saw
//! its Lease change, never from the times that it wrote. Whoever cannot renew for two thirds of the Lease's time ends
//! itself, so that it is gone before another may take over.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

/// Name of the Lease.
const NAME: &str = "autotiler-controller";

/// The Lease, and us.
pub struct Lease {
    api: Api<LeaseObject>,
    identity: String,
    duration: Duration,
}

/// Why we do not lead any more.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else holds it.
    #[error("the lease is held by {0:?} now: ending, so that two do not lead")]
    Taken(String),
    /// It could not be renewed in time.
    #[error("the lease could not be renewed for {0:?}: ending, so that two do not lead")]
    Expired(Duration),
}

/// What one try came to.
enum Tried {
    Held,
    HeldBy(Box<LeaseObject>),
    Failed,
}

impl Lease {
    /// The Lease in `namespace`, for a holder called `identity`.
    pub fn new(client: Client, namespace: &str, identity: String, duration: Duration) -> Self {
        Self { api: Api::namespaced(client, namespace), identity, duration }
    }

    fn retry(&self) -> Duration {
        self.duration / 6
    }

    /// Waits until it is ours; `held_by` hears who has it until then.
    pub async fn acquire(&self, held_by: impl Fn(Option<&str>)) {
        let mut seen: Option<(Option<String>, Instant)> = None;
        loop {
            let expired = |version: &Option<String>| {
                seen.as_ref().is_some_and(|(last, at)| last == version && at.elapsed() >= self.duration)
            };
            match self.attempt(expired).await {
                Tried::Held => return,
                Tried::HeldBy(lease) => {
                    held_by(holder(&lease));
                    let version = lease.metadata.resource_version;
                    if seen.as_ref().is_none_or(|(last, _)| *last != version) {
                        seen = Some((version, Instant::now()));
                    }
                }
                Tried::Failed => {}
            }
            tokio::time::sleep(self.retry()).await;
        }
    }

    /// Renews it; returns only when it is lost.
    pub async fn keep(&self) -> LeaseError {
        let limit = self.duration * 2 / 3;
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.retry()).await;
            // A server that hangs must not keep us from noticing.
            let left = limit.saturating_sub(renewed.elapsed());
            let tried = tokio::time::timeout(left, self.attempt(|_| false)).await;
            match tried {
                Ok(Tried::Held) => renewed = Instant::now(),
                Ok(Tried::HeldBy(lease)) => {
                    return LeaseError::Taken(holder(&lease).unwrap_or_default().to_owned());
                }
                Ok(Tried::Failed) | Err(_) => {}
            }
            if renewed.elapsed() >= limit {
                return LeaseError::Expired(limit);
            }
        }
    }

    /// Gives it back, so that the next one need not wait.
    pub async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else { return };
        if holder(&lease) == Some(&self.identity) {
            lease.spec.get_or_insert_default().holder_identity = None;
            if let Err(error) = self.api.replace(NAME, &PostParams::default(), &lease).await {
                tracing::debug!(%error, "giving the lease back");
            }
        }
    }

    /// Takes or renews it once; `expired` says whether the version of a Lease that another holds may be taken.
    async fn attempt(&self, expired: impl Fn(&Option<String>) -> bool) -> Tried {
        let now = MicroTime(Timestamp::now());
        let found = match self.api.get_opt(NAME).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "reading the lease");
                return Tried::Failed;
            }
        };
        let written = match found {
            None => {
                let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
                let lease = LeaseObject { metadata, spec: Some(self.spec(&now, 0, &now)) };
                self.api.create(&PostParams::default(), &lease).await
            }
            Some(lease) => {
                let ours = holder(&lease) == Some(&self.identity);
                let free = holder(&lease).is_none_or(str::is_empty);
                if !ours && !free && !expired(&lease.metadata.resource_version) {
                    return Tried::HeldBy(Box::new(lease));
                }
                let before = lease.spec.unwrap_or_default();
                let acquired = before.acquire_time.filter(|_| ours).unwrap_or_else(|| now.clone());
                let transitions = before.lease_transitions.unwrap_or(0) + i32::from(!ours);
                // The version goes along: of two that try, the server takes one.
                let lease = LeaseObject {
                    metadata: lease.metadata,
                    spec: Some(self.spec(&acquired, transitions, &now)),
                };
                self.api.replace(NAME, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(_) => Tried::Held,
            Err(error) => {
                tracing::debug!(%error, "writing the lease");
                Tried::Failed
            }
        }
    }

    fn spec(&self, acquired: &MicroTime, transitions: i32, now: &MicroTime) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs().max(1)).unwrap_or(i32::MAX)),
            acquire_time: Some(acquired.clone()),
            renew_time: Some(now.clone()),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn holder(lease: &LeaseObject) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}
