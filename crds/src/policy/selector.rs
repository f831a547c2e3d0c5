//! Which devices a policy decides for.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels that a device must have; like Kubernetes' own selector, but bounded and never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || \
     (has(self.matchExpressions) && size(self.matchExpressions) > 0)"
).message("selector must not be empty: name at least one label in matchLabels or matchExpressions"))]
pub struct Selector {
    /// Labels and their values; all must match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelectorRequirement {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: SelectorOperator,
    /// The values of In and NotIn; empty for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub values: Vec<String>,
}

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl From<&Selector> for LabelSelector {
    fn from(selector: &Selector) -> Self {
        let expressions = selector.match_expressions.iter().map(|requirement| LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: format!("{:?}", requirement.operator),
            values: (!requirement.values.is_empty()).then(|| requirement.values.clone()),
        });
        Self {
            match_labels: Some(selector.match_labels.clone()),
            match_expressions: Some(expressions.collect()),
        }
    }
}

impl TryFrom<&Selector> for kube::core::Selector {
    type Error = kube::core::ParseExpressionError;

    /// # Errors
    /// An operator without the values that it needs.
    fn try_from(selector: &Selector) -> Result<Self, Self::Error> {
        LabelSelector::from(selector).try_into()
    }
}

#[cfg(test)]
mod tests {
    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn selects_by_labels_and_by_requirements() {
        let requirement = SelectorRequirement {
            key: "role".to_owned(),
            operator: SelectorOperator::NotIn,
            values: vec!["spare".to_owned()],
        };
        let selector = Selector {
            match_labels: BTreeMap::from([("site".to_owned(), "north".to_owned())]),
            match_expressions: vec![requirement],
        };
        let selector = kube::core::Selector::try_from(&selector).unwrap();
        let labels = |labels: &[(&str, &str)]| {
            labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert!(selector.matches(&labels(&[("site", "north")])));
        assert!(!selector.matches(&labels(&[("site", "north"), ("role", "spare")])));
        assert!(!selector.matches(&labels(&[("site", "south")])));
    }
}
