//! The restorer that all `omni` tilers share, as it is shipped.

use autotiler_graph::tiler::Restorer;

use crate::weights::{self, WeightsError};

/// `models/omni.safetensors`, which `autotiler train tilers --preset omni` wrote.
const SHIPPED: &[u8] = include_bytes!("../../../models/omni.safetensors");

/// The shipped restorer. Each stored tiler holds a copy, so later ones change no model.
///
/// # Errors
/// [`WeightsError`], which only a broken build can have.
pub fn shipped() -> Result<Restorer, WeightsError> {
    Ok(Restorer::from_weights(&weights::decode(SHIPPED)?))
}

#[cfg(test)]
mod tests {
    use autotiler_core::{CompressionRatio, LayerIndex, Shape};
    use autotiler_graph::tiler::{AutoTiler as _, KltFit, Omni, TilerSpec};

    use super::*;

    #[test]
    fn the_shipped_restorer_makes_a_graph_for_any_map_and_is_a_few_kilobytes() {
        let shape = Shape::new(3, 5, 4);
        let spec = TilerSpec::new(LayerIndex(0), shape, CompressionRatio::ONE).unwrap();
        let mut fit = KltFit::new(spec);
        fit.add(&(0..shape.len()).map(|i| (i as f32).sin()).collect::<Vec<_>>()).unwrap();
        let omni = Omni::from_fit(&fit, shipped().unwrap()).unwrap();
        assert!(omni.decoder().is_ok());
        assert!(SHIPPED.len() < 32 * 1024, "{} bytes", SHIPPED.len());
    }
}
