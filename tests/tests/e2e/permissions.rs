//! What each service account may do, and nothing else.

use std::{collections::BTreeSet, fs};

use autotiler_tests::{DocumentedRight, Right, listed_rights};

use crate::cluster::{Cluster, in_tree, report};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn accounts_may_do_what_the_readme_says_and_no_more() {
    let cluster = Cluster::open();
    let readme = fs::read_to_string(in_tree("charts/autotiler/README.md")).unwrap();
    // What is given for as long as something else is there is not there now.
    let documented: Vec<_> =
        DocumentedRight::read(&readme).into_iter().filter(|one| !one.why.contains("; only ")).collect();
    assert!(documented.len() >= 8, "{documented:?}");
    let said = cluster.kubectl(&["get", "serviceaccounts", "--output", "name"]);
    let accounts = said.lines().filter_map(|line| line.strip_prefix("serviceaccount/"));
    let accounts: Vec<_> = accounts.filter(|name| name.starts_with(&cluster.release)).collect();
    assert!(accounts.len() >= 6, "{accounts:?}");

    let (mut compared, mut wrong) = (0, Vec::new());
    for account in &accounts {
        let component = account.trim_start_matches(&format!("{}-", cluster.release));
        for namespace in [cluster.namespace.as_str(), "default"] {
            let own = namespace == cluster.namespace;
            let rows = documented
                .iter()
                .filter(|one| one.account == component && (own || one.place == "all namespaces"));
            let expected: BTreeSet<Right> = rows.map(|one| one.right.clone()).collect();
            let everybody = rights(&cluster, "nobody-in-particular", namespace);
            let found: BTreeSet<_> =
                rights(&cluster, account, namespace).difference(&everybody).cloned().collect();
            compared += found.len();
            if found != expected {
                wrong.push(format!("{account} in {namespace}: {found:?} instead of {expected:?}"));
            }
        }
    }
    report(
        &format!("kubectl auth can-i --list of {} service accounts, in two namespaces", accounts.len()),
        "equals the documented table",
        &format!("{compared} rights, {} accounts differ {}", wrong.len(), wrong.join("; ")),
        wrong.is_empty(),
    );
}

fn rights(cluster: &Cluster, account: &str, namespace: &str) -> BTreeSet<Right> {
    let account = format!("system:serviceaccount:{}:{account}", cluster.namespace);
    listed_rights(&cluster.kubectl(&[
        "auth",
        "can-i",
        "--list",
        "--no-headers",
        "--namespace",
        namespace,
        "--as",
        &account,
    ]))
}
