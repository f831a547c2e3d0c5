//! The paper's baseline: an autoencoder without the bottleneck of one map, whose maps are tiled.
//!
//! The coarse one has extra layers on top of the fine one's encoder, and a decoder of its own.

use super::{
    AutoTiler, Grade, TilerError, TilerSpec, chain,
    chain::{End, Layer},
    from_plane, to_plane,
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, Weight},
};

/// Kernel of all layers.
const KERNEL: usize = 5;
/// Maps of the fine one for each of the coarse one.
const COARSER: usize = 4;

/// A simple autoencoder: which layers it has and all its weights by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoencoder {
    /// Dimensions.
    pub spec: TilerSpec,
    /// Whether it has the extra layers.
    pub grade: Grade,
    /// Encoder and decoder weights.
    pub weights: Vec<Weight>,
}

impl Autoencoder {
    /// A fresh one with the dimensions of [`TilerSpec::tiled`]; `random` yields values of unit variance.
    ///
    /// # Errors
    /// [`TilerError::Ratio`] for a coarse ratio that is no four times a ratio.
    pub fn new(spec: TilerSpec, grade: Grade, random: impl FnMut() -> f32) -> Result<Self, TilerError> {
        let cr = spec.cr.get();
        if grade == Grade::Coarse && !usize::from(cr).is_multiple_of(COARSER) {
            let possible = (1..=spec.feature.c)
                .filter(|r| spec.feature.c.is_multiple_of(*r) && r.is_multiple_of(COARSER));
            let possible = possible.filter_map(|r| u16::try_from(r).ok()).collect();
            return Err(TilerError::Ratio { cr, feature: spec.feature, possible });
        }
        let mut fresh = Self { spec, grade, weights: Vec::new() };
        let chain: Vec<_> = fresh.encoder_chain().into_iter().chain(fresh.decoder_chain()).collect();
        fresh.weights = chain::start(&chain, random);
        Ok(fresh)
    }

    /// Fits fresh weights to feature maps of this mean and deviation.
    pub fn fit(&mut self, mean: f32, deviation: f32) {
        let chains = (self.encoder_chain(), self.decoder_chain());
        chain::fit((&chains.0, &chains.1), &mut self.weights, (mean, deviation));
    }

    /// The autoencoder that [`AutoTiler::weights`] gave.
    pub fn from_weights(spec: TilerSpec, weights: Vec<Weight>) -> Self {
        let extra = weights.iter().any(|w| w.name.starts_with("tiler.extra."));
        Self { spec, grade: if extra { Grade::Coarse } else { Grade::Fine }, weights }
    }

    /// Maps between the extra layers and the others.
    fn fine_maps(&self) -> usize {
        match self.grade {
            Grade::Fine => self.spec.maps,
            Grade::Coarse => self.spec.maps * COARSER,
        }
    }

    fn encoder_chain(&self) -> Vec<Layer> {
        let (c, half, fine) = (self.spec.feature.c, self.spec.feature.c.div_ceil(2), self.fine_maps());
        let layer = |name: &str, maps| Layer::new(name.to_owned(), KERNEL, maps);
        let mut chain =
            vec![layer("tiler.core.0", (c, half)), layer("tiler.core.1", (half, fine)).ending(End::Sigmoid)];
        if self.grade == Grade::Coarse {
            chain.push(layer("tiler.extra.0", (fine, fine)).seeing_grey());
            chain.push(layer("tiler.extra.1", (fine, self.spec.maps)).ending(End::Sigmoid));
        }
        chain
    }

    fn decoder_chain(&self) -> Vec<Layer> {
        let (c, half, fine) = (self.spec.feature.c, self.spec.feature.c.div_ceil(2), self.fine_maps());
        let layer = |name: &str, maps| Layer::new(name.to_owned(), KERNEL, maps);
        let mut chain = Vec::new();
        if self.grade == Grade::Coarse {
            chain.push(layer("untiler.extra.0", (self.spec.maps, fine)).seeing_grey());
            chain.push(layer("untiler.extra.1", (fine, fine)).ending(End::Grey));
        }
        chain.push(layer("untiler.core.0", (fine, half)).seeing_grey());
        chain.push(layer("untiler.core.1", (half, c)).ending(End::Linear));
        chain
    }
}

impl AutoTiler for Autoencoder {
    fn spec(&self) -> &TilerSpec {
        &self.spec
    }

    fn weights(&self) -> Vec<Weight> {
        self.weights.clone()
    }

    fn encoder(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let input = builder.input(self.spec.feature);
        let greys = chain::push(&mut builder, &self.encoder_chain(), &self.weights, input)?;
        let samples = chain::from_grey(&mut builder, self.spec.maps, greys)?;
        let plane = to_plane(&mut builder, &self.spec, samples)?;
        Ok(builder.finish(&[plane]))
    }

    fn decoder(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let (samples, _rate) = from_plane(&mut builder, &self.spec)?;
        let greys = chain::to_grey(&mut builder, self.spec.maps, samples)?;
        let feature = chain::push(&mut builder, &self.decoder_chain(), &self.weights, greys)?;
        chain::check(&builder, feature, &self.spec)?;
        Ok(builder.finish(&[feature]))
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::{CompressionRatio, Gain, LayerIndex, Shape};

    use super::*;
    use crate::{engine::Engine as _, reference::Reference, tensor::Tensor, tiler::gain_input};

    fn spec(c: usize, cr: u16) -> TilerSpec {
        let cr = CompressionRatio::try_new(cr).unwrap();
        TilerSpec::tiled(LayerIndex(1), Shape::new(c, 6, 5), cr).unwrap()
    }

    #[test]
    fn both_grades_go_through_the_plane_and_back() {
        for (cr, grade) in [(4, Grade::Fine), (16, Grade::Coarse), (4, Grade::Coarse)] {
            let mut state = 0.0;
            let random = || {
                state += 1.0_f32;
                (state * 12.9898).sin() * 1.4
            };
            let mut tiler = Autoencoder::new(spec(32, cr), grade, random).unwrap();
            tiler.fit(1.0, 3.0);
            let input =
                Tensor::f32(tiler.spec.feature, (0..960).map(|i| (i as f32 * 0.7).sin() * 4.0).collect());
            let mut encoder = Reference.load(&tiler.encoder().unwrap()).unwrap();
            let plane = encoder.run(&[input]).unwrap().remove(0);
            assert_eq!(plane.shape, tiler.spec.plane());
            let mut decoder = Reference.load(&tiler.decoder().unwrap()).unwrap();
            let back = decoder.run(&[plane, gain_input(&[Gain::UNITY])]).unwrap().remove(0);
            assert_eq!(back.shape, tiler.spec.feature);
            assert!(back.as_f32().unwrap().iter().all(|v| v.is_finite()));
            assert_eq!(Autoencoder::from_weights(tiler.spec, tiler.weights()), tiler);
        }
    }

    #[test]
    fn a_coarse_ratio_is_four_times_another() {
        let error = Autoencoder::new(spec(36, 6), Grade::Coarse, || 0.0).unwrap_err();
        assert!(matches!(error, TilerError::Ratio { possible, .. } if possible == [4, 12, 36]));
    }

    #[test]
    fn missing_weights_are_refused() {
        let tiler = Autoencoder::new(spec(8, 2), Grade::Fine, || 0.1).unwrap();
        let broken = Autoencoder::from_weights(tiler.spec, tiler.weights()[1..].to_vec());
        assert!(matches!(broken.encoder(), Err(GraphError::WeightLen { .. })));
    }
}
