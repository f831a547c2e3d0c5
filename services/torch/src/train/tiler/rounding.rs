//! Weights in training as they would lie on disk.

use autotiler_graph::{Graph, Weight, tiler::is_constant};
use autotiler_model::{Precision, weights};
use tch::{Kind, TchError, Tensor};

use super::TilerTrainingError;
use crate::{engine::load_weight, parameters::Parameters};

/// The values of `parameters`, rounded as `precision` says by the rule of the model directory; gradients pass the
/// rounding unchanged. `all` names the weights.
///
/// # Errors
/// [`TilerTrainingError::Rounding`], also for values that are no numbers.
pub(super) fn as_stored(
    parameters: &Parameters,
    all: &Graph,
    precision: Precision,
) -> Result<Vec<Tensor>, TilerTrainingError> {
    let exact = parameters.weights()?;
    if precision == Precision::F32 {
        return Ok(exact);
    }
    let now = parameters.write_into(all, parameters.flat(), parameters.statistics())?;
    let rounded = weights::rounded(&now.weights, precision)?;
    let device = parameters.flat().device();
    let round = |(exact, weight): (Tensor, &Weight)| {
        // What only changes units is not in the file.
        if is_constant(&weight.name) {
            return Ok(exact);
        }
        let stored = load_weight(weight, device, Kind::Float)?;
        exact.f_add(&stored.f_sub(&exact)?.f_detach()?)
    };
    Ok(exact.into_iter().zip(&rounded).map(round).collect::<Result<_, TchError>>()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tch::Device;

    use super::*;

    #[test]
    fn values_are_those_of_the_file_and_gradients_those_of_the_exact_weights() {
        let kernel = |name: &str| Weight {
            name: name.to_owned(),
            dims: vec![2, 3, 1, 1],
            values: Arc::new(vec![0.31, -0.7, 1e-3, 12.0, 7.7, -3.3]),
        };
        let all =
            Graph { weights: vec![kernel("tiler.mix.weight"), kernel("untiler.unit")], ..Graph::default() };
        let parameters = Parameters::try_new(&all, Device::Cpu, |w| !is_constant(&w.name)).unwrap();
        let values = as_stored(&parameters, &all, Precision::I8).unwrap();
        let disk = weights::rounded(&all.weights, Precision::I8).unwrap();
        let flat = |tensor: &Tensor| Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
        for (ours, stored) in flat(&values[0]).iter().zip(disk[0].values.iter()) {
            assert!((ours - stored).abs() < 1e-6, "{ours} {stored}");
        }
        assert_ne!(flat(&values[0]), *all.weights[0].values);
        assert_eq!(flat(&values[1]), *all.weights[1].values);
        let loss = values[0].sum(Kind::Float);
        let gradient = Tensor::run_backward(&[&loss], &[parameters.flat()], false, false).remove(0);
        assert_eq!(gradient, gradient.ones_like());
    }
}
