//! What each service account may do, and nothing else.

use crate::cluster::{Cluster, report};

/// What a service account of the release must not be able to do.
const FORBIDDEN: [(&str, &str, &str); 6] = [
    ("controller", "list", "secrets"),
    ("controller", "create", "pods"),
    ("controller", "delete", "edgedevices.autotiler.dev"),
    ("gateway", "list", "secrets"),
    ("decoder", "get", "edgedevices.autotiler.dev"),
    ("device", "get", "edgedevices.autotiler.dev"),
];

/// What the controller lives by.
const ALLOWED: [(&str, &str, &str); 3] = [
    ("controller", "watch", "edgedevices.autotiler.dev"),
    ("controller", "patch", "edgedevices.autotiler.dev/status"),
    ("controller", "update", "leases.coordination.k8s.io"),
];

#[test]
#[ignore = "needs a cluster: make e2e"]
fn service_accounts_may_do_what_they_need_and_no_more() {
    let cluster = Cluster::open();
    let may = |(account, verb, resource): (&str, &str, &str)| {
        let account = format!("system:serviceaccount:{}:{}-{account}", cluster.namespace, cluster.release);
        cluster.try_kubectl(&["auth", "can-i", verb, resource, "--as", &account]).is_ok()
    };
    for rule in ALLOWED {
        assert!(may(rule), "{rule:?} is needed");
    }
    for rule in FORBIDDEN {
        assert!(!may(rule), "{rule:?} is forbidden");
    }
    report(
        "kubectl auth can-i",
        &format!("{} allowed, {} refused", ALLOWED.len(), FORBIDDEN.len()),
        "as documented",
    );
}
