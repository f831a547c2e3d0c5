//! The kubectl plugin against a real API server and a real controller.

mod mistakes;
mod secrets;
mod steering;

use std::process::Command;

use autotiler_tests::{KubeServer, binary};

/// What the plugin did.
struct Said {
    ok: bool,
    out: String,
    error: String,
}

/// Runs `kubectl autotiler` with `args` on `kube`.
fn plugin(kube: &KubeServer, args: &[&str]) -> Said {
    let mut command = Command::new(binary("kubectl-autotiler").unwrap());
    let output = command.args(args).arg("--kubeconfig").arg(kube.kubeconfig()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { ok: output.status.success(), out: text(output.stdout), error: text(output.stderr) }
}

/// The same, which must go well; yields what it printed.
fn must(kube: &KubeServer, args: &[&str]) -> String {
    let said = plugin(kube, args);
    assert!(said.ok, "{args:?}: {}", said.error);
    said.out
}
