//! Rights: what each account may do, asked of a real API server, is the table of README.md and nothing else.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use autotiler_tests::KubeServer;
use serde_json::Value;

use crate::helm::{RELEASE, in_chart, objects, read, render_case};

/// A namespace that the release is not in.
const ELSEWHERE: &str = "elsewhere";

/// `resource`, `names`, `verbs`, as `kubectl auth can-i --list` shows them.
type Right = (String, String, String);

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
    let documented = documented();
    for account in &accounts {
        let component = account.strip_prefix("autotiler-").unwrap();
        for namespace in [RELEASE, ELSEWHERE] {
            let expected: BTreeSet<Right> = documented
                .iter()
                .filter(|(who, place, _)| {
                    who == component && (namespace == RELEASE || place == "all namespaces")
                })
                .map(|(_, _, right)| right.clone())
                .collect();
            let everybody = rights(&server, "nobody-in-particular", namespace);
            let own: BTreeSet<_> =
                rights(&server, account, namespace).difference(&everybody).cloned().collect();
            assert_eq!(own, expected, "{account} in {namespace}");
        }
    }
    let known: BTreeSet<_> = accounts.iter().filter_map(|one| one.strip_prefix("autotiler-")).collect();
    assert!(documented.iter().all(|(who, ..)| known.contains(who.as_str())), "{documented:?}");
}

/// Rows of README.md's table of rights: account, place, right.
fn documented() -> Vec<(String, String, Right)> {
    let readme = read(in_chart("README.md"));
    let (_, table) = readme.split_once("| account | where | resource | names | verbs | why |\n").unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>());
    cells
        .map(|cell| {
            let right = (cell[3].clone(), cell[4].clone(), sorted(&cell[5].replace(',', "")));
            (cell[1].clone(), cell[2].clone(), right)
        })
        .collect()
}

fn rights(server: &KubeServer, account: &str, namespace: &str) -> BTreeSet<Right> {
    let name = format!("system:serviceaccount:{RELEASE}:{account}");
    let mut kubectl = server.kubectl().unwrap();
    let arguments = ["auth", "can-i", "--list", "--no-headers", "--namespace", namespace, "--as", &name];
    let listed = run(kubectl.args(arguments), "");
    listed.lines().map(right).collect()
}

/// Reads `RESOURCE [URLS] [NAMES] [VERBS]`.
fn right(line: &str) -> Right {
    let (resource, rest) = line.split_once('[').unwrap();
    let parts: Vec<_> = rest.split(['[', ']']).map(str::trim).filter(|part| !part.is_empty()).collect();
    let lists: Vec<_> =
        line.match_indices('[').map(|(at, _)| line[at + 1..].split(']').next().unwrap()).collect();
    assert_eq!(lists.len(), 3, "{line}: {parts:?}");
    let resource = if lists[0].is_empty() { resource.trim() } else { lists[0] };
    (resource.to_owned(), lists[1].to_owned(), sorted(lists[2]))
}

fn sorted(words: &str) -> String {
    words.split_whitespace().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
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
