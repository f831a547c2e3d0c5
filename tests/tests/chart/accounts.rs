//! Rights: what each account may do, asked of a real API server, is the table of README.md and nothing else.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use autotiler_tests::{DocumentedRight, KubeServer, Right, listed_rights};
use serde_json::Value;

use crate::helm::{RELEASE, in_chart, objects, read, render_case};

/// A namespace that the release is not in.
const ELSEWHERE: &str = "elsewhere";

#[test]
fn accounts_may_do_what_the_readme_says_and_no_more() {
    let server = KubeServer::start().unwrap();
    for namespace in [RELEASE, ELSEWHERE] {
        run(server.kubectl().unwrap().args(["create", "namespace", namespace]), "");
    }
    // The token lets the page change something: the widest rights that the chart gives.
    let text = render_case("demo", &["--set", "gateway.tokenSecret=token"]);
    let all = objects(&text);
    let apply = |wanted: &dyn Fn(&str) -> bool| {
        let some: Vec<&Value> =
            all.iter().filter(|object| wanted(object["kind"].as_str().unwrap())).collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": some}).to_string();
        run(server.kubectl().unwrap().args(["apply", "--filename=-"]), &list);
    };
    apply(&|kind| {
        ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"].contains(&kind)
    });
    apply(&|kind| kind == "CustomResourceDefinition");

    let accounts = all.iter().filter(|object| object["kind"] == "ServiceAccount");
    let accounts: Vec<_> = accounts.map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert!(accounts.len() >= 6, "{accounts:?}");
    let documented = DocumentedRight::read(&read(in_chart("README.md")));
    for account in &accounts {
        let component = account.strip_prefix("autotiler-").unwrap();
        for namespace in [RELEASE, ELSEWHERE] {
            let expected: BTreeSet<Right> = documented
                .iter()
                .filter(|one| {
                    one.account == component && (namespace == RELEASE || one.place == "all namespaces")
                })
                .map(|one| one.right.clone())
                .collect();
            let everybody = rights(&server, "nobody-in-particular", namespace);
            let own: BTreeSet<_> =
                rights(&server, account, namespace).difference(&everybody).cloned().collect();
            assert_eq!(own, expected, "{account} in {namespace}");
        }
    }
    let known: BTreeSet<_> = accounts.iter().filter_map(|one| one.strip_prefix("autotiler-")).collect();
    assert!(documented.iter().all(|one| known.contains(one.account.as_str())), "{documented:?}");
    assert!(!documented.is_empty());
}

fn rights(server: &KubeServer, account: &str, namespace: &str) -> BTreeSet<Right> {
    let name = format!("system:serviceaccount:{RELEASE}:{account}");
    let mut kubectl = server.kubectl().unwrap();
    let arguments = ["auth", "can-i", "--list", "--no-headers", "--namespace", namespace, "--as", &name];
    listed_rights(&run(kubectl.args(arguments), ""))
}

/// Runs it with `input`, and gives what it prints.
pub(crate) fn run(command: &mut Command, input: &str) -> String {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {err}");
    format!("{out}{err}")
}
