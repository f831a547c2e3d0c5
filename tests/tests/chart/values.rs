//! Values: closed, documented, used.

use serde_json::Value;

use crate::helm::{files, helm, in_chart, read, try_render};

/// Values that must be refused, and a word of the reason.
const REFUSED: [(&str, &str); 34] = [
    ("controllers.replicas=1", "controllers"),
    ("controller.replica=1", "replica"),
    ("controller.replicas=two", "/controller/replicas"),
    ("controller.replicas=-1", "/controller/replicas"),
    ("controller.lease=soon", "/controller/lease"),
    ("controller.statusWrites=0", "/controller/statusWrites"),
    ("controller.resources.request.cpu=1", "request"),
    ("controller.resources.requests.cpu=lots", "/controller/resources/requests/cpu"),
    ("controller.affinity.node=x", "node"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("image.registry=x", "registry"),
    ("image.tag=a b", "/image/tag"),
    ("log.format=xml", "/log/format"),
    ("watchNamespace=Not_A_Name", "/watchNamespace"),
    ("runAsUser=0", "/runAsUser"),
    ("crds.keep=perhaps", "/crds/keep"),
    ("gateway.service.type=Internet", "/gateway/service/type"),
    ("gateway.replicas=2", "replicas"),
    ("gateway.silence=5", "/gateway/silence"),
    ("decoder.scoreThreshold=1.5", "/decoder/scoreThreshold"),
    ("decoder.autoscaling.by=Moon", "/decoder/autoscaling/by"),
    ("decoder.gpu.resource=gpu", "/decoder/gpu/resource"),
    ("decoder.extraEnv[0].names=x", "/decoder/extraEnv/0"),
    ("decoder.tolerations[0].effect=Never", "/decoder/tolerations/0/effect"),
    ("nats.url=http://broker", "/nats/url"),
    ("nats.builtin.maxPayload=1", "/nats/builtin/maxPayload"),
    ("nats.builtin.storage.size=much", "/nats/builtin/storage/size"),
    ("nats.tls.issuer.kind=Notary", "/nats/tls/issuer/kind"),
    ("prometheus.url=prometheus:9090", "/prometheus/url"),
    ("prometheus.builtin.interval=1min", "/prometheus/builtin/interval"),
    ("monitoring.rules=true", "/monitoring/rules"),
    ("demo.devices[0]=Cam_0", "/demo/devices/0"),
    ("demo.point=layer=15", "/demo/point"),
    ("networkPolicy.from[0].pods=x", "/networkPolicy/from/0"),
];

#[test]
fn the_chart_passes_lint() {
    for case in crate::helm::CASES {
        let output = helm(&[
            "lint",
            "--strict",
            "charts/autotiler",
            "--values",
            &format!("charts/autotiler/ci/{case}.yaml"),
        ]);
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn unknown_and_wrong_values_are_refused_by_name() {
    for (value, says) in REFUSED {
        let Err(error) = try_render(&["--set", value]) else { panic!("{value} is taken") };
        assert!(error.contains(says), "{value}: {error}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_the_fix() {
    for (values, says) in [
        ("nats.builtin.enabled=false", "nats.url"),
        ("prometheus.builtin.enabled=false", "prometheus.url"),
        ("model.claim=a,model.image=b", "/model"),
    ] {
        let Err(error) = try_render(&["--set", values]) else { panic!("{values} is taken") };
        assert!(error.contains(says), "{values}: {error}");
    }
}

#[test]
fn the_schema_is_closed_wherever_names_are_ours() {
    let schema: Value = serde_json::from_str(&read(in_chart("values.schema.json"))).unwrap();
    let mut open = Vec::new();
    find_open("", &schema, &mut open);
    assert!(open.is_empty(), "objects that take anything and do not say why: {open:?}");
}

/// Objects must take only what they name; those whose names are not ours say so in a description.
fn find_open(at: &str, schema: &Value, open: &mut Vec<String>) {
    let Value::Object(fields) = schema else { return };
    let is_object = schema["type"] == "object";
    let closed = schema["additionalProperties"] == false && schema["properties"].is_object();
    if is_object && !closed && !schema["description"].is_string() {
        open.push(at.to_owned());
    }
    for (name, inner) in fields {
        match inner {
            Value::Object(_) if name != "not" => find_open(&format!("{at}/{name}"), inner, open),
            _ => {}
        }
    }
}

#[test]
fn every_value_is_documented_used_and_in_the_readme() {
    let (text, readme) = (read(in_chart("values.yaml")), read(in_chart("README.md")));
    let templates: String =
        files("templates", "yaml").iter().chain(&files("templates", "tpl")).map(read).collect();
    let notes = templates + &read(in_chart("templates/NOTES.txt"));
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let mut paths = Vec::new();
    leaves("", &values, &mut paths);
    assert!(paths.len() > 100, "{paths:?}");
    for path in &paths {
        let key = path.rsplit('.').next().unwrap();
        assert!(notes.contains(&format!(".{key}")), "{path} is used in no template");
        assert!(
            readme.contains(&format!("| `{path}` |")),
            "{path} is not in README.md: charts/sync writes the table"
        );
    }
    let rows = readme.lines().filter(|line| line.starts_with("| `") && line.contains("` | `")).count();
    assert_eq!(rows, paths.len(), "README.md lists a value that is none");
    assert_eq!(text.matches("# -- ").count(), paths.len(), "each value has a comment that begins with --");
}

/// Values that are no groups of others: whole lists and maps count as one, as a person sets them.
fn leaves(at: &str, values: &Value, paths: &mut Vec<String>) {
    for (name, value) in values.as_object().unwrap() {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        match value {
            Value::Object(inner) if !inner.is_empty() && name != "resources" => leaves(&path, value, paths),
            _ => paths.push(path),
        }
    }
}
