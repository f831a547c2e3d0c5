//! The weights of a graph in training.
//!
//! All trained weights lie in one flat tensor, so that a step of the optimiser, an average over steps, the
//! gradient's norm and a checkpoint are one operation each, whatever the number of layers.

use std::sync::Arc;

use autotiler_graph::{Graph, Op, Weight, WeightId};
use tch::{Device, Kind, TchError, Tensor};

/// Weights of one graph: trained ones, running statistics, and fixed ones.
#[derive(Debug)]
pub struct Parameters {
    /// All trained values; a leaf that gathers gradients.
    flat: Tensor,
    /// All running statistics of batch norms.
    statistics: Tensor,
    slots: Vec<Slot>,
    /// Lengths of the trained weights in `flat`.
    lengths: Vec<i64>,
}

#[derive(Debug)]
struct Slot {
    dims: Vec<i64>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Piece of `flat`.
    Trained(usize),
    /// First value in `statistics`.
    Statistic(i64),
    Fixed(Tensor),
}

impl Parameters {
    /// Takes the weights of `graph`; those for which `trained` holds get gradients, running statistics of
    /// batch norms never do.
    ///
    /// # Errors
    /// libtorch's, when a weight's dimensions do not fit its values.
    pub fn try_new(
        graph: &Graph,
        device: Device,
        trained: impl Fn(&Weight) -> bool,
    ) -> Result<Self, TchError> {
        let running = running_statistics(graph);
        let (mut values, mut statistics, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let mut slots = Vec::with_capacity(graph.weights.len());
        for (index, weight) in graph.weights.iter().enumerate() {
            let dims: Vec<i64> = weight.dims.iter().map(|&dim| dim as i64).collect();
            let value = Tensor::f_from_slice(&weight.values)?.f_reshape(&dims)?;
            let place = if running.contains(&WeightId(index)) {
                let start: i64 = statistics.iter().map(|t: &Tensor| t.numel() as i64).sum();
                statistics.push(value.f_flatten(0, -1)?);
                Place::Statistic(start)
            } else if trained(weight) {
                lengths.push(value.numel() as i64);
                values.push(pixel_major(&value)?.f_flatten(0, -1)?);
                Place::Trained(lengths.len() - 1)
            } else {
                Place::Fixed(crate::engine::channels_last(&value.f_to_device(device)?)?)
            };
            slots.push(Slot { dims, place });
        }
        let flat = join(&values, device)?.f_set_requires_grad(true)?;
        Ok(Self { flat, statistics: join(&statistics, device)?, slots, lengths })
    }

    /// The trained values; a leaf tensor.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// The running statistics of all batch norms.
    pub fn statistics(&self) -> &Tensor {
        &self.statistics
    }

    /// A number for each trained value, the same within a weight: `of` says it for each weight of `graph`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn per_weight(&self, graph: &Graph, of: impl Fn(&Weight) -> f64) -> Result<Tensor, TchError> {
        let mut pieces = Vec::new();
        for (slot, weight) in self.slots.iter().zip(&graph.weights) {
            if matches!(slot.place, Place::Trained(_)) {
                let len: i64 = slot.dims.iter().product();
                pieces.push(Tensor::f_full([len], of(weight), (Kind::Float, self.flat.device()))?);
            }
        }
        join(&pieces, self.flat.device())
    }

    /// One tensor for each weight of the graph, with gradients flowing to [`Self::flat`].
    ///
    /// # Errors
    /// libtorch's.
    pub fn weights(&self) -> Result<Vec<Tensor>, TchError> {
        self.views(&self.flat, &self.statistics)
    }

    /// Like [`Self::weights`], with other values of the same layout, such as an average.
    ///
    /// # Errors
    /// libtorch's.
    pub fn views(&self, flat: &Tensor, statistics: &Tensor) -> Result<Vec<Tensor>, TchError> {
        let pieces =
            if self.lengths.is_empty() { Vec::new() } else { flat.f_split_with_sizes(&self.lengths, 0)? };
        self.slots
            .iter()
            .map(|slot| match &slot.place {
                Place::Trained(piece) => shaped(&pieces[*piece], &slot.dims),
                Place::Statistic(start) => statistics.f_narrow(0, *start, slot.dims.iter().product()),
                Place::Fixed(value) => Ok(value.shallow_clone()),
            })
            .collect()
    }

    /// A copy of `graph` holding these values.
    ///
    /// # Errors
    /// libtorch's.
    pub fn write_into(&self, graph: &Graph, flat: &Tensor, statistics: &Tensor) -> Result<Graph, TchError> {
        let _no_grad = tch::no_grad_guard();
        let mut written = graph.clone();
        for (weight, value) in written.weights.iter_mut().zip(self.views(flat, statistics)?) {
            let value = value.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
            let mut values = vec![0f32; value.numel()];
            let len = values.len();
            value.f_copy_data(&mut values, len)?;
            weight.values = Arc::new(values);
        }
        Ok(written)
    }
}

fn running_statistics(graph: &Graph) -> std::collections::BTreeSet<WeightId> {
    let of = |op: &Op| match op {
        Op::BatchNorm { mean, variance, .. } => vec![*mean, *variance],
        _ => Vec::new(),
    };
    graph.nodes.iter().flat_map(|node| of(&node.op)).collect()
}

fn join(pieces: &[Tensor], device: Device) -> Result<Tensor, TchError> {
    if pieces.is_empty() {
        return Tensor::f_zeros([0], (Kind::Float, device));
    }
    Tensor::f_cat(pieces, 0)?.f_to_device(device)?.f_detach()
}

/// Kernels lie with their input maps innermost, so that views of them are channels-last.
fn pixel_major(value: &Tensor) -> Result<Tensor, TchError> {
    if value.dim() == 4 { value.f_permute([0, 2, 3, 1])?.f_contiguous() } else { Ok(value.shallow_clone()) }
}

fn shaped(piece: &Tensor, dims: &[i64]) -> Result<Tensor, TchError> {
    match *dims {
        [o, i, h, w] => piece.f_reshape([o, h, w, i])?.f_permute([0, 3, 1, 2]),
        _ => piece.f_reshape(dims),
    }
}
