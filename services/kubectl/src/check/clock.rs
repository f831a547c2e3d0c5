//! Clocks: a sample's age and a pin's end are reckoned across machines.

use http::{Request, header::DATE};
use k8s_openapi::{
    api::coordination::v1::Lease,
    jiff::{Timestamp, fmt::rfc2822::DateTimeParser},
};
use kube::{Api, api::ListParams, client::Body};

use super::finding::Finding;
use crate::cluster::Cluster;

/// More than this is not the network's doing.
const MOST_SECONDS: i64 = 5;
/// The controller's Lease.
const LEASE: &str = "metadata.name=autotiler-controller";

/// Compares our clock and the leading controller's with the API server's.
pub(super) async fn check(cluster: &Cluster, found: &mut Vec<Finding>) {
    let Some(server) = server_time(cluster).await else {
        let fix = "is the API server reached through something that removes the header Date?";
        found.push(Finding::warn("clocks", "the API server does not say the time", fix));
        return;
    };
    let ours = Timestamp::now().as_second() - server.as_second();
    found.push(judged("clock of this machine", ours));
    let leases: Api<Lease> = Api::all(cluster.client.clone());
    // Whoever may not see Leases is not told of them.
    let leases = leases.list(&ListParams::default().fields(LEASE)).await.map(|list| list.items);
    for spec in leases.unwrap_or_default().into_iter().filter_map(|lease| lease.spec) {
        let Some(renewed) = spec.renew_time else { continue };
        let who = format!("clock of {}", spec.holder_identity.as_deref().unwrap_or("the controller"));
        let behind = server.as_second() - renewed.0.as_second();
        let lasts = i64::from(spec.lease_duration_seconds.unwrap_or(15));
        found.push(if behind > lasts {
            let says = format!(
                "its Lease was renewed {behind} s ago and lasts {lasts} s: it is gone, or far behind"
            );
            Finding::fail(who, says, "does the controller run? Then set its node's clock (NTP)")
        } else {
            // A Lease is renewed every few seconds: only the future tells.
            judged(&who, (-behind).max(0))
        });
    }
}

fn judged(whose: &str, off: i64) -> Finding {
    if off.abs() > MOST_SECONDS {
        Finding::fail(whose, format!("{off} s off the API server's"), "set it by NTP")
    } else {
        Finding::ok(whose, format!("within {MOST_SECONDS} s of the API server's"))
    }
}

async fn server_time(cluster: &Cluster) -> Option<Timestamp> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let answer = cluster.client.send(request).await.ok()?;
    // As RFC 9110 writes it: Sun, 06 Nov 1994 08:49:37 GMT.
    DateTimeParser::new().parse_timestamp(answer.headers().get(DATE)?.as_bytes()).ok()
}
