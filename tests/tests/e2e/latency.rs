//! How long frames take, from capture to detections, as devices say it themselves.

use std::time::{Duration, Instant};

use autotiler_tests::wait_for;

use crate::cluster::{Cluster, DEVICES, SOON};

/// What the demo's policy allows.
const ALLOWED: Duration = Duration::from_millis(400);
/// Latency is back when it has been for so long.
const CALM: Duration = Duration::from_secs(8);

/// How long after `began` the 95th percentiles of all devices were within the policy's again, for good; zero where they
/// never left. Waits until they are, and `over` too; [`SOON`] where they are not by then.
pub(crate) fn calm_after(cluster: &Cluster, began: Instant, mut over: impl FnMut() -> bool) -> Duration {
    let mut unquiet = began;
    let calm = wait_for("latency as the policy wants it", SOON, || {
        let looked = Instant::now();
        if !DEVICES.iter().all(|device| p95(cluster, device).is_some_and(|p95| p95 <= ALLOWED)) {
            unquiet = looked;
        }
        (looked - unquiet >= CALM && over()).then_some(unquiet - began)
    });
    // How long it took is told either way, and judged with the rest.
    calm.unwrap_or(SOON)
}

/// What a device says of its last frames; nothing while it is silent or gets no answers.
fn p95(cluster: &Cluster, device: &str) -> Option<Duration> {
    let fleet = cluster.fleet();
    let labels = [("device", device), ("quantile", "0.95")];
    let sample = fleet.samples("autotiler_device_total_seconds", &labels).next()?;
    Duration::try_from_secs_f64(sample.value).ok()
}
