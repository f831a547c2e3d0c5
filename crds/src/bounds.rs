//! The bounds of a schema, checked without an API server: numbers, lengths, patterns, words.

use std::fmt::Display;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;

/// A value that the schema does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} must {must}")]
pub struct OutOfBounds {
    /// The field, like `spec.behavior.maxConcurrentPercent`.
    pub field: String,
    /// The value.
    pub value: String,
    /// What must hold of it.
    pub must: String,
}

/// Checks `value`, which stands at `path`.
pub(crate) fn check(path: &str, schema: &JSONSchemaProps, value: &Value) -> Result<(), OutOfBounds> {
    let refuse = |must: String| Err(OutOfBounds { field: path.to_owned(), value: value.to_string(), must });
    if let Some(words) = &schema.enum_
        && !words.iter().any(|word| word.0 == *value)
    {
        return refuse(format!("be one of {}", list(words.iter().map(|word| &word.0))));
    }
    let bounded = match value {
        Value::Number(number) => {
            let outside = limit(number.as_f64().unwrap_or(0.0), schema.minimum, schema.maximum);
            outside.map_or(Ok(()), |limit| Err(format!("be {limit}")))
        }
        Value::String(text) => check_text(schema, text),
        Value::Array(items) => size("items", items.len(), schema.min_items, schema.max_items),
        Value::Object(map) => size("entries", map.len(), schema.min_properties, schema.max_properties),
        Value::Bool(_) | Value::Null => Ok(()),
    };
    bounded.or_else(refuse)?;
    check_below(path, schema, value)
}

fn check_below(path: &str, schema: &JSONSchemaProps, value: &Value) -> Result<(), OutOfBounds> {
    match (value, &schema.items) {
        (Value::Array(items), Some(JSONSchemaPropsOrArray::Schema(below))) => {
            items.iter().enumerate().try_for_each(|(at, item)| check(&format!("{path}[{at}]"), below, item))
        }
        (Value::Object(map), _) => map.iter().try_for_each(|(name, item)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let known = schema.properties.as_ref().and_then(|properties| properties.get(name));
            match (known, &schema.additional_properties) {
                (Some(below), _) => check(&path, below, item),
                (None, Some(JSONSchemaPropsOrBool::Schema(below))) => check(&path, below, item),
                _ => Ok(()),
            }
        }),
        _ => Ok(()),
    }
}

fn check_text(schema: &JSONSchemaProps, text: &str) -> Result<(), String> {
    size("characters", text.chars().count(), schema.min_length, schema.max_length)?;
    match &schema.pattern {
        Some(pattern) if !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text)) => {
            Err(format!("match {pattern}"))
        }
        _ => Ok(()),
    }
}

fn size(what: &str, size: usize, least: Option<i64>, most: Option<i64>) -> Result<(), String> {
    let outside = limit(i64::try_from(size).unwrap_or(i64::MAX), least, most);
    outside.map_or(Ok(()), |limit| Err(format!("have {limit} {what}")))
}

/// The limit that `value` is beyond.
fn limit<T: PartialOrd + Display>(value: T, least: Option<T>, most: Option<T>) -> Option<String> {
    match (least, most) {
        (Some(least), _) if value < least => Some(format!("at least {least}")),
        (_, Some(most)) if value > most => Some(format!("at most {most}")),
        _ => None,
    }
}

fn list<T: Display>(words: impl Iterator<Item = T>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(schema: Value, value: Value) -> String {
        let schema: JSONSchemaProps = serde_json::from_value(schema).unwrap();
        check("spec", &schema, &value).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn bounds_are_said_as_they_are() {
        let number = json!({"type": "integer", "minimum": 1, "maximum": 100});
        assert_eq!(said(number.clone(), json!(100)), "fine");
        assert_eq!(said(number.clone(), json!(0)), "spec: 0 must be at least 1");
        assert_eq!(said(number, json!(101)), "spec: 101 must be at most 100");
        let text = json!({"type": "string", "maxLength": 3, "pattern": "^a+$"});
        assert_eq!(said(text.clone(), json!("aaaa")), "spec: \"aaaa\" must have at most 3 characters");
        assert_eq!(said(text, json!("ab")), "spec: \"ab\" must match ^a+$");
    }

    #[test]
    fn what_is_below_is_named_by_its_path() {
        let schema = json!({"type": "object", "properties": {
            "list": {"type": "array", "maxItems": 2, "items": {"type": "integer", "maximum": 7}},
            "map": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}},
        }});
        assert_eq!(said(schema.clone(), json!({"list": [1, 8]})), "spec.list[1]: 8 must be at most 7");
        assert_eq!(
            said(schema.clone(), json!({"list": [1, 2, 3]})),
            "spec.list: [1,2,3] must have at most 2 items"
        );
        assert_eq!(
            said(schema, json!({"map": {"a": "bb"}})),
            "spec.map.a: \"bb\" must have at most 1 characters"
        );
    }
}
