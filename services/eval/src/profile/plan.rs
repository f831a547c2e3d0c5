//! Which points are measured, and with which tiler.

use std::fmt;

use autotiler_core::{CompressionRatio, Digest, LayerIndex, Route, Shape};
use autotiler_model::{Model, TilerKind};

use crate::{
    choice::Choices,
    method::{Method, Setting},
};

/// One way to share the work that is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Where the work is done.
    pub route: Route,
    /// Which member of the family squeezes, its digest, and the feature map that it is given; none where no feature
    /// map is sent.
    pub tiler: Option<(TilerKind, Digest, Shape)>,
}

/// Why there is nothing to measure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A layer without a tiler.
    #[error("--layers {layer}: the model has tilers at layers {there}; name one of those")]
    Layer {
        /// Asked for.
        layer: u16,
        /// Layers that have tilers.
        there: String,
    },
    /// A ratio without a tiler at the wanted layers.
    #[error("--cr {cr}: no tiler of the wanted layers has it; there are {there}")]
    Ratio {
        /// Asked for.
        cr: CompressionRatio,
        /// Ratios that they have.
        there: String,
    },
}

/// Device-only, each layer and ratio that `model` has a tiler for (only `layers` and `ratios` where those are not
/// empty), server-only. `choices` picks a tiler where several fit, else the model's first is taken, as services do.
///
/// # Errors
/// [`PlanError`], which says what there is.
pub fn plan(
    model: &Model,
    choices: Option<&Choices>,
    layers: &[u16],
    ratios: &[CompressionRatio],
) -> Result<Vec<Planned>, PlanError> {
    let mut there: Vec<(LayerIndex, CompressionRatio)> =
        model.tilers.iter().map(|stored| (stored.layer(), stored.spec().cr)).collect();
    there.dedup();
    if let Some(&layer) = layers.iter().find(|&&layer| there.iter().all(|(at, _)| at.0 != layer)) {
        return Err(PlanError::Layer { layer, there: listed(there.iter().map(|(at, _)| at)) });
    }
    there.retain(|(at, _)| layers.is_empty() || layers.contains(&at.0));
    if let Some(&cr) = ratios.iter().find(|&&cr| there.iter().all(|&(_, of)| of != cr)) {
        return Err(PlanError::Ratio { cr, there: listed(there.iter().map(|(_, cr)| cr)) });
    }
    there.retain(|(_, cr)| ratios.is_empty() || ratios.contains(cr));
    let split = |&(layer, cr): &(LayerIndex, CompressionRatio)| {
        let kind = choices.and_then(|choices| chosen(choices, layer, cr));
        // A tiler that was chosen once and is gone is no reason not to measure the point.
        let stored = model.tiler(layer, cr, kind).or_else(|_| model.tiler(layer, cr, None)).ok()?;
        let tiler = Some((stored.kind, stored.digest, stored.spec().feature));
        Some(Planned { route: Route::Split { layer, cr }, tiler })
    };
    let alone = |route| Planned { route, tiler: None };
    let splits = there.iter().filter_map(split);
    Ok([alone(Route::DeviceOnly)].into_iter().chain(splits).chain([alone(Route::ServerOnly)]).collect())
}

/// The kind that was chosen at the most targets of a layer and ratio; of equals, that of fewer bits.
fn chosen(choices: &Choices, layer: LayerIndex, cr: CompressionRatio) -> Option<TilerKind> {
    let here = || choices.choices.iter().filter(|choice| (choice.layer, choice.cr) == (layer, cr));
    let votes = |kind| here().filter(|choice| choice.tiler == kind).count();
    // `max_by_key` keeps the last of equals, so the order is turned.
    here().map(|choice| choice.tiler).rev().max_by_key(|&kind| votes(kind))
}

fn listed<T: fmt::Display + Ord>(values: impl Iterator<Item = T>) -> String {
    let mut values: Vec<T> = values.collect();
    values.sort();
    values.dedup();
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Planned {
    /// The method that measures bits against accuracy; none for device-only, which sends nothing.
    pub fn method(&self, input: Shape) -> Option<Method> {
        match (self.route, &self.tiler) {
            (Route::Split { layer, cr }, Some((kind, ..))) => Some(Method::tiler(layer, cr, *kind)),
            (Route::ServerOnly, _) => Some(Method::Picture { side: u16::try_from(input.w).ok()? }),
            _ => None,
        }
    }

    /// Its settings from fine to coarse; `quick` takes every third.
    pub fn settings(&self, input: Shape, quick: bool) -> Vec<Setting> {
        let all = self.method(input).map(|method| method.ladder()).unwrap_or_default();
        if quick { all.into_iter().step_by(3).collect() } else { all }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.route {
            Route::Split { layer, cr } => write!(f, "layer={layer},cr={cr}"),
            Route::DeviceOnly => f.write_str("device-only"),
            Route::ServerOnly => f.write_str("server-only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;

    fn street() -> Model {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/street");
        Model::load(&dir).unwrap()
    }

    fn names(planned: &[Planned]) -> Vec<String> {
        planned.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_layer_and_ratio_stands_there_once_between_the_two_ends() {
        let model = street();
        let all = plan(&model, None, &[], &[]).unwrap();
        let splits = ["layer=11,cr=1", "layer=11,cr=4", "layer=15,cr=1", "layer=15,cr=4", "layer=36,cr=1"];
        let wanted = [&["device-only"][..], &splits, &["layer=36,cr=4", "server-only"]].concat();
        assert_eq!(names(&all), wanted);
        let some = plan(&model, None, &[36], &["4".parse().unwrap()]).unwrap();
        assert_eq!(names(&some), ["device-only", "layer=36,cr=4", "server-only"]);
        assert_eq!(some[1].tiler.map(|(kind, ..)| kind), Some(TilerKind::Lite));
    }

    #[test]
    fn what_the_model_lacks_is_named_with_what_it_has() {
        let model = street();
        let refusal = plan(&model, None, &[12], &[]).unwrap_err().to_string();
        assert!(refusal.contains("--layers 12") && refusal.contains("11, 15, 36"), "{refusal}");
        let refusal = plan(&model, None, &[11], &["9".parse().unwrap()]).unwrap_err().to_string();
        assert!(refusal.contains("--cr 9") && refusal.contains("1, 4"), "{refusal}");
    }

    #[test]
    fn the_kind_that_was_chosen_most_is_measured() {
        let model = street();
        let (layer, cr) = (LayerIndex(36), CompressionRatio::try_new(4).unwrap());
        let choice = |kbit, tiler| Choice { layer, kbit, tiler, cr, kl: 1.0 };
        let kind_with = |kinds: &[TilerKind]| {
            let choices = (1..).zip(kinds).map(|(kbit, &kind)| choice(f64::from(kbit), kind)).collect();
            let (network, set) = (model.manifest.digest.to_string(), "val".to_owned());
            let choices = Choices { format: 1, network, set, pictures: 1, choices };
            plan(&model, Some(&choices), &[36], &[cr]).unwrap()[1].tiler.map(|(kind, ..)| kind)
        };
        let (lite, klt, omni) = (TilerKind::Lite, TilerKind::Klt, TilerKind::Omni);
        assert_eq!(kind_with(&[lite, klt, klt]), Some(klt));
        assert_eq!(kind_with(&[klt, lite]), Some(klt), "of equals the one of fewer bits");
        assert_eq!(kind_with(&[omni]), Some(lite), "omni is not in the model");
    }
}
