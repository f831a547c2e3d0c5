//! What the controller itself says.

use serde_json::Value;

use super::finding::Finding;
use crate::controller::Controller;

const LEADER: &str = "autotiler_controller_leader";

/// Whether it answers, leads, and can measure.
pub(super) async fn check(controller: &Controller, found: &mut Vec<Finding>) {
    let metrics = match controller.text("/metrics").await {
        Ok(metrics) => metrics,
        Err(error) => {
            let fix = "kubectl get pods -l app.kubernetes.io/component=controller, and its logs";
            found.push(Finding::fail("controller", format!("{error:#}"), fix));
            return;
        }
    };
    let policies = controller.ask("/v1/policies").await;
    let leads = value(&metrics, LEADER);
    found.push(match leads {
        Some(leads) if leads >= 1.0 => Finding::ok("controller", "answers and leads"),
        Some(_) if policies.is_ok() => {
            Finding::ok("controller", "a replica that stands by answers, and one that leads")
        }
        Some(_) => Finding::fail(
            "controller",
            "answers and does not lead, and no other does",
            "its logs say who holds the Lease autotiler-controller",
        ),
        None => Finding::fail(
            "controller",
            format!("what answers has no {LEADER}"),
            "is --controller, or the Service's port admin, the controller's admin port?",
        ),
    });
    match policies {
        Ok(policies) => measuring(&policies, found),
        // It has been said that nobody leads.
        Err(_) if leads.is_some_and(|leads| leads < 1.0) => {}
        Err(error) => {
            found.push(Finding::fail("controller", format!("{error:#}"), "see the controller's logs"));
        }
    }
}

/// Signals that a policy could not ask for.
fn measuring(policies: &Value, found: &mut Vec<Finding>) {
    for policy in policies.as_array().map(Vec::as_slice).unwrap_or_default() {
        let what = format!("metrics of {}", policy["name"].as_str().unwrap_or("-"));
        let errors = policy["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        for error in errors {
            let text = |at: usize| error[at].as_str().unwrap_or("-");
            let fix =
                "mend spec.metrics.prometheus: its address as the controller's pod sees it, and its queries";
            found.push(Finding::fail(&*what, format!("{}: {}", text(0), text(1)), fix));
        }
        if errors.is_empty() {
            found.push(Finding::ok(what, "every query is answered"));
        }
    }
}

/// The value of a series without labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::finding::Grade;

    #[test]
    fn each_signal_that_cannot_be_asked_for_is_a_line() {
        let mut found = Vec::new();
        let policies = json!([
            {"name": "edge/north", "errors": [["rtt", "asking http://127.0.0.1:1: connection refused"]]},
            {"name": "edge/south", "errors": []},
        ]);
        measuring(&policies, &mut found);
        assert_eq!(found.iter().map(|one| one.grade).collect::<Vec<_>>(), [Grade::Fail, Grade::Ok]);
        assert!(found[0].to_string().contains("rtt: asking http://127.0.0.1:1"), "{}", found[0]);
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let metrics = "# TYPE autotiler_controller_leader gauge\nautotiler_controller_leader_x 3\nautotiler_controller_leader 1\n";
        assert_eq!(value(metrics, LEADER), Some(1.0));
        assert_eq!(value("", LEADER), None);
    }
}
