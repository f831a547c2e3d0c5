//! The tiler for any layer of any network, without preparation: a KLT that needs no data of the user's, and one
//! restorer that all maps of all networks share.
//!
//! The KLT is fitted to feature maps of generated pictures. What it loses against one fitted to real pictures is
//! made up on the server by [`Restorer`], a few kilobytes of convolutions that were trained once.

pub(super) mod restorer;

pub use restorer::Restorer;

use super::{
    AutoTiler, Klt, KltFit, TilerError, TilerSpec, from_plane, pointwise, unfold_space, weight, weight_named,
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, Weight},
};

/// Weight with the maps' standard deviations.
pub(super) const DEVIATION: &str = "untiler.deviation";

/// A transform with the shared restorer.
#[derive(Debug, Clone, PartialEq)]
pub struct Omni {
    /// The transform.
    pub klt: Klt,
    /// Standard deviation of each map in plane units, `[maps]`: it tells the restorer what to expect.
    pub deviation: Vec<f32>,
    /// What is shared.
    pub restorer: Restorer,
}

impl Omni {
    /// The tiler of the transform that `fit` holds.
    ///
    /// # Errors
    /// [`TilerError::NoSamples`].
    pub fn from_fit(fit: &KltFit, restorer: Restorer) -> Result<Self, TilerError> {
        let klt = fit.finish(None)?;
        Ok(Self { deviation: fit.deviation(&klt), klt, restorer })
    }

    /// The tiler that [`AutoTiler::weights`] gave; missing weights are refused when a graph is built.
    pub fn from_weights(spec: TilerSpec, weights: Vec<Weight>) -> Self {
        let klt = Klt::from_weights(spec, &weights);
        let deviation = weight_named(&weights, DEVIATION).to_vec();
        Self { klt, deviation, restorer: Restorer::from_weights(&weights) }
    }
}

impl AutoTiler for Omni {
    fn spec(&self) -> &TilerSpec {
        &self.klt.spec
    }

    fn weights(&self) -> Vec<Weight> {
        let mut weights = self.klt.weights();
        weights.push(weight(DEVIATION, &[self.deviation.len()], self.deviation.clone()));
        weights.extend(self.restorer.weights().iter().cloned());
        weights
    }

    fn encoder(&self) -> Result<Graph, GraphError> {
        self.klt.encoder()
    }

    fn decoder(&self) -> Result<Graph, GraphError> {
        let spec = &self.klt.spec;
        let mut builder = GraphBuilder::new();
        let (maps, rate) = from_plane(&mut builder, spec)?;
        let maps = self.restorer.restore(&mut builder, &self.deviation, maps, rate, None)?;
        let weights = (self.klt.inverse.clone(), self.klt.mean.clone());
        let folded = pointwise(&mut builder, "untiler.linear", (spec.maps, spec.folded()), weights, maps)?;
        let feature = unfold_space(&mut builder, spec, folded)?;
        Ok(builder.finish(&[feature]))
    }
}

#[cfg(test)]
mod tests;
