//! A device under control, and the order that the store holds for it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use autotiler_core::{DeviceId, Epoch, Route, order::Order, profile::Profile};
use autotiler_transport::OrderBook;

use super::case::Case;
use crate::{
    catalog::{PolicyEntry, PolicyName},
    control::{Assigned, Desired, DeviceControl},
};

/// One device.
pub(super) struct Controlled {
    pub(super) control: DeviceControl,
    pub(super) policy: PolicyName,
    pub(super) stored: Stored,
    /// Where it was last advised to go.
    pub(super) advised: Option<Desired>,
    /// What was known when the newest order was written, if we wrote it.
    pub(super) assigned: Option<Arc<Assigned>>,
    /// Routes that the device refused since its start, under this generation of the policy.
    refused: BTreeSet<Route>,
    generation: i64,
    uptime_ms: u64,
}

/// The newest order of a device.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) revision: u64,
    pub(super) order: Option<Order>,
}

impl Controlled {
    /// A device that `policy` takes over with what the store holds for it.
    pub(super) fn new(policy: &PolicyEntry, stored: Stored, now: Duration) -> Self {
        Self {
            control: DeviceControl::new(policy, stored.order.as_ref(), now),
            policy: policy.name.clone(),
            stored,
            advised: None,
            assigned: None,
            refused: BTreeSet::new(),
            generation: policy.generation,
            uptime_ms: 0,
        }
    }

    /// Takes note of restarts, refusals and new generations, and leaves refused routes out of the case's profile.
    pub(super) fn follow(&mut self, case: &mut Case, policy: &PolicyEntry, now: Duration) {
        let telemetry = case.report.telemetry.clone();
        if telemetry.uptime_ms < self.uptime_ms || self.generation != policy.generation {
            self.refused.clear();
        }
        (self.uptime_ms, self.generation) = (telemetry.uptime_ms, policy.generation);
        if let (Some(refusal), Some(order)) = (&telemetry.refused, &self.stored.order)
            && refusal.epoch == order.epoch
            && self.refused.insert(order.point.route)
        {
            tracing::warn!(device = %case.device, point = %order.point, reason = refusal.reason.label(),
                detail = %refusal.detail, "order refused");
            self.control.overruled(now, telemetry.assigned);
        }
        if !self.refused.is_empty() {
            let left = case.profile.points().iter().filter(|point| !self.refused.contains(&point.route));
            let (network, class) = (case.profile.network(), case.profile.device_class().to_owned());
            if let Ok(profile) = Profile::try_new(network, class, left.cloned().collect()) {
                case.profile = Arc::new(profile);
            }
        }
    }

    /// Whoever was quicker is right: what the store holds now is what the device obeys.
    pub(super) fn overruled(&mut self, stored: Stored, now: Duration) {
        if let Some(order) = &stored.order {
            self.control.overruled(now, order.point);
        }
        self.stored = stored;
    }
}

impl Stored {
    /// Epoch of the order; 0 where there is none.
    pub(super) fn epoch(&self) -> Epoch {
        self.order.as_ref().map_or(Epoch(0), |order| order.epoch)
    }

    /// What `orders` holds for `device`; none when it could not be read.
    pub(super) async fn read(orders: &OrderBook, device: &DeviceId) -> Option<Self> {
        match orders.get(device).await {
            Ok(posted) => {
                let order = posted.order.transpose();
                if let Err(error) = &order {
                    tracing::warn!(%error, %device, "the stored order cannot be read and will be replaced");
                }
                Some(Self { revision: posted.revision, order: order.ok().flatten() })
            }
            Err(error) => {
                tracing::warn!(%error, %device, "order not read");
                None
            }
        }
    }
}
