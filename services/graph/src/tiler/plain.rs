//! The baseline of the literature: maps side by side, normalised by one range for the whole layer.
//!
//! Choi and Bajic (ICIP 2018; the paper's "Tiling") normalise by minimum and maximum; the range here is
//! global to the fit, so that it costs no bits and no pass.

use super::{AutoTiler, TilerError, TilerSpec, from_plane, to_plane, weight, weight_named};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, NodeId, Weight},
    op::Op,
};

/// Maps as they are, shifted and scaled to bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plain {
    /// Dimensions; the ratio is 1.
    pub spec: TilerSpec,
    /// Value that becomes byte 128.
    pub middle: f32,
    /// Bytes per unit.
    pub scale: f32,
}

/// Finds the range of a layer.
#[derive(Debug, Clone)]
pub struct PlainFit {
    spec: TilerSpec,
    range: Option<(f32, f32)>,
}

impl PlainFit {
    /// An empty fit.
    pub fn new(spec: TilerSpec) -> Self {
        Self { spec, range: None }
    }

    /// Adds one feature map.
    ///
    /// # Errors
    /// [`TilerError::SampleLen`] or [`TilerError::NotFinite`].
    pub fn add(&mut self, feature: &[f32]) -> Result<(), TilerError> {
        if feature.len() != self.spec.feature.len() {
            return Err(TilerError::SampleLen { expected: self.spec.feature.len(), got: feature.len() });
        }
        if feature.iter().any(|v| !v.is_finite()) {
            return Err(TilerError::NotFinite);
        }
        let (low, high) = self.range.unwrap_or((f32::INFINITY, f32::NEG_INFINITY));
        self.range = Some(feature.iter().fold((low, high), |(low, high), &v| (low.min(v), high.max(v))));
        Ok(())
    }

    /// The tiler.
    ///
    /// # Errors
    /// [`TilerError::NoSamples`] when nothing was added; [`TilerError::Ratio`] for a ratio other than 1.
    pub fn finish(&self) -> Result<Plain, TilerError> {
        let (low, high) = self.range.ok_or(TilerError::NoSamples)?;
        if self.spec.maps != self.spec.feature.c {
            let feature = self.spec.feature;
            return Err(TilerError::Ratio { cr: self.spec.cr.get(), feature, possible: vec![1] });
        }
        let scale = 255.0 / (high - low).max(1e-6);
        Ok(Plain { spec: self.spec, middle: low + 128.0 / scale, scale })
    }
}

impl Plain {
    /// `scale * x + shift` on every map.
    fn affine(
        &self,
        builder: &mut GraphBuilder,
        name: &str,
        (scale, shift): (f32, f32),
        input: NodeId,
    ) -> Result<NodeId, GraphError> {
        let maps = self.spec.maps;
        let weight = builder.weight(format!("{name}.weight"), vec![maps, 1, 1, 1], vec![scale; maps])?;
        let bias = Some(builder.weight(format!("{name}.bias"), vec![maps], vec![shift; maps])?);
        let conv =
            Op::Conv { weight, bias, out: maps, size: 1, stride: 1, pad: 0, dilation: 1, groups: maps };
        builder.push(conv, &[input])
    }
}

impl Plain {
    /// The tiler that [`AutoTiler::weights`] gave, if its range is there.
    pub fn from_weights(spec: TilerSpec, weights: &[Weight]) -> Option<Self> {
        match weight_named(weights, "tiler.range").as_slice() {
            &[middle, scale] => Some(Self { spec, middle, scale }),
            _ => None,
        }
    }
}

impl AutoTiler for Plain {
    fn spec(&self) -> &TilerSpec {
        &self.spec
    }

    fn weights(&self) -> Vec<Weight> {
        vec![weight("tiler.range", &[2], vec![self.middle, self.scale])]
    }

    fn encoder(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let input = builder.input(self.spec.feature);
        let scaling = (self.scale, -self.middle * self.scale);
        let maps = self.affine(&mut builder, "tiler.range", scaling, input)?;
        let plane = to_plane(&mut builder, &self.spec, maps)?;
        Ok(builder.finish(&[plane]))
    }

    fn decoder(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let (maps, _rate) = from_plane(&mut builder, &self.spec)?;
        let feature = self.affine(&mut builder, "untiler.range", (self.scale.recip(), self.middle), maps)?;
        Ok(builder.finish(&[feature]))
    }
}
