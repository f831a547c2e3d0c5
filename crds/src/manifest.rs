//! Objects from files: YAML as one gives it to `kubectl apply`, with the same rules, for runs without Kubernetes.

use std::{fs, io, path::Path, path::PathBuf};

use kube::{Resource, core::CustomResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::bounds::{self, OutOfBounds};

/// Why a file holds no object.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<ManifestError>,
    },
    /// It is no YAML.
    #[error("parsing the YAML")]
    Yaml(#[from] serde_yaml::Error),
    /// It is of another kind or version.
    #[error("it is a {found}, where a {expected} is needed: set apiVersion and kind")]
    Kind {
        /// What is needed, as `apiVersion kind`.
        expected: String,
        /// What it says, as `apiVersion kind`.
        found: String,
    },
    /// A field is wrong.
    #[error("{field}: {source}")]
    Field {
        /// The field, like `spec.behavior.degrade.minImprovementPercent`.
        field: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A field that the kind does not have.
    #[error("{0} is no field of it: correct its name or remove it")]
    Unknown(String),
    /// A value is out of its bounds.
    #[error(transparent)]
    Bound(#[from] OutOfBounds),
    /// A rule of the kind is broken.
    #[error("{field}: {message}")]
    Rule {
        /// The field that the rule is about.
        field: String,
        /// What the rule says.
        message: String,
    },
}

/// Reads the object in the file at `path`.
///
/// # Errors
/// [`ManifestError`], with the path, the field and the fix.
pub fn read<K>(path: &Path) -> Result<K, ManifestError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + CustomResourceExt,
{
    let text =
        fs::read_to_string(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|source| ManifestError::In { path: path.to_owned(), source: Box::new(source) })
}

/// Reads the object in `text`.
///
/// # Errors
/// [`ManifestError`], with the field and the fix.
pub fn parse<K>(text: &str) -> Result<K, ManifestError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + CustomResourceExt,
{
    // By way of JSON, whose errors say what is wrong without a place in the text: the field is the place.
    let mut value: Value = serde_yaml::from_str(text)?;
    check_kind::<K>(&value)?;
    // The type says these two itself and has no fields for them.
    if let Some(object) = value.as_object_mut() {
        object.retain(|field, _| field != "apiVersion" && field != "kind");
    }
    let mut unknown = None;
    let mut note = |path: serde_ignored::Path<'_>| {
        unknown.get_or_insert_with(|| path.to_string());
    };
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = K::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    let object = read.map_err(|source| ManifestError::Field { field: track.path().to_string(), source })?;
    match unknown {
        Some(field) => Err(ManifestError::Unknown(field)),
        None => {
            check_bounds(&object)?;
            check_rules(&object).map(|()| object)
        }
    }
}

/// Reads an object as the API server holds it, which has checked bounds and rules; what is not known is passed over.
///
/// # Errors
/// [`ManifestError::Field`].
pub fn decode<K: DeserializeOwned>(value: &Value) -> Result<K, ManifestError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let field = error.path().to_string();
        ManifestError::Field { field, source: error.into_inner() }
    })
}

fn check_kind<K: Resource<DynamicType = ()>>(value: &Value) -> Result<(), ManifestError> {
    let said = |field| value.get(field).and_then(Value::as_str).unwrap_or("?");
    let found = format!("{} {}", said("apiVersion"), said("kind"));
    let expected = format!("{} {}", K::api_version(&()), K::kind(&()));
    if found == expected { Ok(()) } else { Err(ManifestError::Kind { expected, found }) }
}

/// The bounds that the API server would check.
fn check_bounds<K: Serialize + CustomResourceExt>(object: &K) -> Result<(), ManifestError> {
    let value = serde_json::to_value(object).expect("what was read from JSON can be written");
    for version in K::crd().spec.versions {
        let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
        schema.map_or(Ok(()), |schema| bounds::check("", &schema, &value))?;
    }
    Ok(())
}

/// The rules that the API server would check.
fn check_rules<K: Serialize + CustomResourceExt>(object: &K) -> Result<(), ManifestError> {
    kube::core::cel::validate_cel(object).map_err(|errors| {
        let first = errors.into_vec().into_iter().next();
        let (field, message) = first.map(|error| (error.field_path, error.message)).unwrap_or_default();
        ManifestError::Rule { field, message }
    })
}

#[cfg(test)]
mod tests {
    use std::{error::Error, iter};

    use super::*;
    use crate::{AutoTilerPolicy, EdgeDevice, HumanDuration, PartitionProfile};

    const POLICY: &str = "
        apiVersion: autotiler.dev/v1alpha1
        kind: AutoTilerPolicy
        metadata: {name: north}
        spec:
          selector: {matchLabels: {site: north}}
          profileRef: {name: yolov3-416}
          metrics: {prometheus: {address: 'http://127.0.0.1:9090'}}
          behavior: {degrade: {minImprovementPercent: 5}}
    ";

    fn policy(from: &str, to: &str) -> Result<AutoTilerPolicy, String> {
        assert!(POLICY.contains(from), "{from}");
        parse(&POLICY.replace(from, to)).map_err(|error: ManifestError| {
            let chain = iter::successors(Some(&error as &dyn Error), |&error| error.source());
            chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })
    }

    #[test]
    fn what_is_left_out_has_the_measured_defaults() {
        let spec = policy("north", "north").unwrap().spec;
        assert_eq!(spec.objective.constraints.max_accuracy_drop_permille, 20);
        assert_eq!(spec.behavior, crate::policy::Behavior::default());
        assert_eq!(spec.behavior.guard.queue_age, HumanDuration::from_millis(300));
        assert_eq!(spec.metrics.max_age, HumanDuration::from_secs(10));
        assert_eq!(spec.fallback.hold_limit, HumanDuration::from_secs(600));
    }

    #[test]
    fn errors_name_the_field_and_the_fix() {
        for (from, to, said) in [
            (
                "minImprovementPercent: 5",
                "minImprovementPercent: five",
                "spec.behavior.degrade.minImprovementPercent",
            ),
            (
                "minImprovementPercent: 5",
                "minImprovementPermille: 5",
                "spec.behavior.degrade.minImprovementPermille is no field",
            ),
            (
                "minImprovementPercent: 5",
                "minImprovementPercent: 101",
                "spec.behavior.degrade.minImprovementPercent: 101",
            ),
            (
                "minImprovementPercent: 5",
                "minImprovementPercent: 50",
                "must not be below degrade.minImprovementPercent",
            ),
            ("minImprovementPercent: 5", "stabilizationWindow: 3 s", "like 300ms, 3s, 10m or 1h30m"),
            ("profileRef: {name: yolov3-416}", "suspend: false", "profileRef"),
            ("{site: north}", "{}", "spec.selector: selector must not be empty"),
            ("http:", "ftp:", "spec.metrics.prometheus.address"),
            ("AutoTilerPolicy", "EdgeDevice", "a autotiler.dev/v1alpha1 AutoTilerPolicy is needed"),
        ] {
            let error = policy(from, to).unwrap_err();
            assert!(error.contains(said), "{error} says nothing of {said}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read::<EdgeDevice>(Path::new("nonesuch.yaml")).unwrap_err().to_string();
        assert!(error.contains("nonesuch.yaml"), "{error}");
    }

    #[test]
    fn any_text_is_read_or_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(text) = str::from_utf8(bytes) {
                let _ = parse::<PartitionProfile>(text);
            }
        });
    }
}
