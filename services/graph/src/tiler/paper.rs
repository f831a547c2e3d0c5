//! The paper's auto-tiler: a reconstruction consistent with its Table 1, not the paper's network, whose
//! layers are nowhere given.
//!
//! A core takes the deepest feature maps to one map of greys, the plane, and back. For the coarse ratio,
//! extra layers shrink that plane further. Shallower feature maps go through a compatibility encoder into the
//! core's shape first. A device that changes layer or ratio loads only the part that differs; parts are told
//! by the names of their weights, `tiler.compat.*`, `tiler.core.*`, `tiler.extra.*` and so for `untiler`.

mod form;
mod plan;
mod storage;

pub use form::{Grade, PaperForm};
pub use plan::{PaperError, PaperPlan, PaperPoint};
pub use storage::{StorageRow, StorageTable, storage};

use super::{AutoTiler, GAIN_SHAPE, TilerSpec, chain};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, Weight},
    op::Op,
};

/// The tiler of one point and grade: its chain and all its weights by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Paper {
    /// Dimensions.
    pub spec: TilerSpec,
    /// Its chains of layers.
    pub form: PaperForm,
    /// Encoder and decoder weights.
    pub weights: Vec<Weight>,
}

impl Paper {
    /// A fresh tiler for point `point` (0 is the shallowest) of the plan, or none if there is no such point;
    /// `random` yields values of unit variance. Made for feature maps of unit variance: see
    /// [`fit`](Self::fit).
    pub fn new(plan: &PaperPlan, point: usize, grade: Grade, random: impl FnMut() -> f32) -> Option<Self> {
        let (spec, form) = (plan.points().get(point)?.spec(grade), plan.form(point, grade)?);
        let chain: Vec<_> = form.encoder().into_iter().chain(form.decoder()).collect();
        Some(Self { spec, form, weights: chain::start(&chain, random) })
    }

    /// Fits fresh weights to feature maps of this mean and deviation.
    pub fn fit(&mut self, mean: f32, deviation: f32) {
        chain::fit((&self.form.encoder(), &self.form.decoder()), &mut self.weights, (mean, deviation));
    }

    /// The tiler that [`AutoTiler::weights`] gave: its chain is read off the weights.
    pub fn from_weights(spec: TilerSpec, weights: Vec<Weight>) -> Self {
        Self { spec, form: PaperForm::of_weights(spec.feature, &weights), weights }
    }

    /// Takes over the weights of `other` whose names start with one of `parts`, as `tiler.core.`.
    pub fn take(&mut self, other: &[Weight], parts: &[&str]) {
        for own in &mut self.weights {
            let wanted = parts.iter().any(|part| own.name.starts_with(part));
            if let Some(given) = other.iter().find(|w| wanted && w.name == own.name && w.dims == own.dims) {
                own.values = std::sync::Arc::clone(&given.values);
            }
        }
    }
}

impl AutoTiler for Paper {
    fn spec(&self) -> &TilerSpec {
        &self.spec
    }

    fn weights(&self) -> Vec<Weight> {
        self.weights.clone()
    }

    fn encoder(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let b = &mut builder;
        let input = b.input(self.spec.feature);
        let greys = chain::push(b, &self.form.encoder(), &self.weights, input)?;
        let samples = chain::from_grey(b, 1, greys)?;
        let plane = b.push_shaped(Op::ToPlane, &[samples], self.spec.plane())?;
        Ok(builder.finish(&[plane]))
    }

    fn decoder(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let b = &mut builder;
        let plane = b.input_u8(self.spec.plane());
        let gain = b.input(GAIN_SHAPE);
        let inverse = b.push(Op::Slice { start: 0, len: 1 }, &[gain])?;
        let centred = b.push(Op::FromPlane, &[plane])?;
        let samples = b.push(Op::Mul, &[centred, inverse])?;
        let greys = chain::to_grey(b, 1, samples)?;
        let feature = chain::push(b, &self.form.decoder(), &self.weights, greys)?;
        chain::check(b, feature, &self.spec)?;
        Ok(builder.finish(&[feature]))
    }
}

#[cfg(test)]
mod tests;
