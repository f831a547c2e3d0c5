//! The definitions of the three kinds, as the API server wants them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{AutoTilerPolicy, Condition, EdgeDevice, PartitionProfile};

/// Formats that the API server knows; it warns of others.
const KNOWN_FORMATS: [&str; 3] = ["int32", "int64", "date-time"];

/// What stands above generated YAML.
const YAML_HEAD: &str =
    "# Written by `cargo run -p autotiler-crds` from the types in crds/src: change those.\n";

/// The definitions of all kinds.
pub fn definitions() -> [CustomResourceDefinition; 3] {
    [AutoTilerPolicy::crd(), EdgeDevice::crd(), PartitionProfile::crd()].map(|mut definition| {
        for version in &mut definition.spec.versions {
            let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
            schema.into_iter().for_each(tidy);
        }
        definition
    })
}

/// The file of a definition and what stands in it.
///
/// # Errors
/// None in practice: a definition is plain data.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<(String, String), serde_yaml::Error> {
    let yaml = serde_yaml::to_string(definition)?;
    Ok((format!("{}.yaml", definition.spec.names.plural), format!("{YAML_HEAD}{yaml}")))
}

/// The schema of a digest: the type itself knows nothing of schemas.
pub(crate) fn digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64, "pattern": "^[0-9a-f]{64}$" })
}

/// The schema of conditions: a map by type for server-side apply, bounded.
pub(crate) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("maxItems".to_owned(), 16.into());
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), vec!["type"].into());
    schema
}

/// Puts what schemars writes into words that the API server knows: formats of Rust's integers become bounds, and an
/// optional field is left out rather than null (the server then drops a null, so that no rule sees one).
fn tidy(schema: &mut JSONSchemaProps) {
    let format = schema.format.take_if(|format| !KNOWN_FORMATS.contains(&format.as_str()));
    if format.as_deref() == Some("uint32") {
        schema.maximum = schema.maximum.or(Some(u32::MAX.into()));
    }
    schema.nullable = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(tidy);
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(items)) => tidy(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// All properties below `schema` with their paths.
    fn walk<'a>(path: &str, schema: &'a JSONSchemaProps, found: &mut Vec<(String, &'a JSONSchemaProps)>) {
        for (name, property) in schema.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            walk(&path, property, found);
            found.push((path, property));
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            walk(&format!("{path}[]"), items, found);
        }
    }

    /// All properties of all kinds below `spec` and `status`.
    fn all_properties(visit: impl Fn(&str, &JSONSchemaProps)) {
        for definition in definitions() {
            for version in &definition.spec.versions {
                let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
                let mut found = Vec::new();
                walk(&definition.spec.names.kind, schema, &mut found);
                assert!(found.len() > 10);
                found.iter().for_each(|(path, property)| visit(path, property));
            }
        }
    }

    #[test]
    fn the_yaml_in_the_tree_is_what_the_types_say() {
        for definition in definitions() {
            let (name, text) = to_yaml(&definition).unwrap();
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let there = fs::read_to_string(&path).unwrap_or_default();
            assert!(there == text, "{} is stale: cargo run -p autotiler-crds", path.display());
        }
    }

    #[test]
    fn every_field_has_a_description() {
        all_properties(|path, property| {
            assert!(
                property.description.as_ref().is_some_and(|text| !text.is_empty())
                    || !path.contains(".spec."),
                "{path} has no description"
            );
        });
    }

    #[test]
    fn there_are_no_floats_and_every_list_is_bounded() {
        all_properties(|path, property| {
            assert_ne!(property.type_.as_deref(), Some("number"), "{path} is a float");
            if property.type_.as_deref() == Some("array") {
                assert!(property.max_items.is_some(), "{path} is not bounded");
            }
            if property.additional_properties.is_some() {
                assert!(property.max_properties.is_some(), "{path} is not bounded");
            }
        });
    }

    #[test]
    fn no_kind_shows_more_than_six_columns_at_first() {
        for definition in definitions() {
            for version in &definition.spec.versions {
                let columns = version.additional_printer_columns.iter().flatten();
                let first = columns.filter(|column| column.priority.unwrap_or(0) == 0).count();
                assert!((3..=6).contains(&first), "{} shows {first}", definition.spec.names.kind);
            }
        }
    }
}
