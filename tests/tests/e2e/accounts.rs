//! The account of every frame, as a device's own counters say it.

use std::time::Duration;

use autotiler_tests::{Metrics, wait_for};

use crate::cluster::Cluster;

/// What became of a device's frames since its pod started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Accounts {
    pub(crate) captured: f64,
    pub(crate) sent: f64,
    pub(crate) received: f64,
    pub(crate) dropped: f64,
    pub(crate) lost: f64,
    /// In the device's queues.
    pub(crate) waiting: f64,
    /// Sent and not yet answered.
    pub(crate) in_flight: f64,
}

impl Accounts {
    fn read(metrics: &Metrics) -> Self {
        let sum = |name: &str| metrics.sum(&format!("autotiler_edge_{name}"), &[]);
        Self {
            captured: sum("frames_captured_total"),
            sent: sum("frames_sent_total"),
            received: sum("frames_received_total"),
            dropped: sum("frames_dropped_total"),
            lost: sum("frames_lost_total"),
            waiting: sum("queue_frames"),
            in_flight: sum("in_flight_frames"),
        }
    }

    /// What happened between an earlier look and this one.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            captured: self.captured - earlier.captured,
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
            dropped: self.dropped - earlier.dropped,
            lost: self.lost - earlier.lost,
            ..self
        }
    }
}

/// The accounts of a device at a moment at which they close: every frame that was captured was dropped or sent or
/// is being worked on (a stage holds one each), every frame that was sent was received or lost or is under way.
/// Counters of a running device are not read at one instant, so there may be several looks; an account that does not
/// close stays open at all of them.
pub(crate) fn closed(cluster: &Cluster, device: &str) -> Accounts {
    let in_the_stages = 4.0;
    wait_for(&format!("the accounts of {device} to close"), Duration::from_secs(20), || {
        let accounts = Accounts::read(&cluster.pod_metrics(&cluster.device_pod(device)?, 9101));
        let working = accounts.captured - accounts.sent - accounts.dropped - accounts.waiting;
        let under_way = accounts.sent - accounts.received - accounts.lost;
        let closes =
            (0.0..=in_the_stages).contains(&working) && (under_way - accounts.in_flight).abs() <= 1.0;
        (accounts.captured > 0.0 && closes).then_some(accounts)
    })
    .unwrap()
}
