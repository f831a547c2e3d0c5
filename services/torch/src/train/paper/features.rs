//! Feature maps of all points of a recipe, from one pass over the pictures.

use autotiler_core::{LayerIndex, Shape};
use autotiler_graph::{
    darknet::Network,
    partition::{self, PartitionError},
};
use autotiler_scene::Picture;
use tch::{Device, Kind, TchError, Tensor};

use crate::{
    engine::channels_last,
    executor::ExecutorError,
    train::{
        tiler::{
            lesson::{Fixed, LessonError},
            picture_batch,
        },
        tilers,
    },
};

/// Pictures that the detector looks at together.
const LOOK_AT: usize = 8;
/// Bytes of a remembered value.
const VALUE_BYTES: u64 = 2;
/// Pictures that the variance is measured on where feature maps are not remembered.
const MEASURED: usize = 256;

/// Pictures by number, of which some cannot be read.
pub trait Pictures {
    /// How many numbers there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The picture of this number; none when it cannot be read.
    fn load(&self, index: usize) -> Option<Picture>;
}

impl Pictures for tilers::Pictures {
    fn len(&self) -> usize {
        tilers::Pictures::len(self)
    }

    fn load(&self, index: usize) -> Option<Picture> {
        // Whoever wants to know why opens the picture again.
        tilers::Pictures::load(self, index)?.ok()
    }
}

/// Why there are no feature maps.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// The network cannot be cut there.
    #[error("cutting the detector")]
    Partition(#[from] PartitionError),
    /// The detector could not be made ready.
    #[error("making the detector ready")]
    Lesson(#[from] LessonError),
    /// The detector did not run.
    #[error("running the detector")]
    Network(#[from] ExecutorError),
    /// libtorch refused.
    #[error("keeping feature maps")]
    Torch(#[from] TchError),
    /// No picture could be read.
    #[error("no pictures to {0}")]
    NoPictures(&'static str),
}

/// Feature maps of some layers for the same pictures.
pub struct Features<'a> {
    input: Shape,
    device: Device,
    /// From pictures to the feature maps of all layers.
    all: Fixed,
    kept: Kept<'a>,
    /// What the values are like, by point.
    pub spread: Vec<Spread>,
}

/// What the values of a point are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Of all values.
    pub mean: f64,
    /// Standard deviation of all values.
    pub deviation: f64,
    /// Mean square of a value about its channel's mean.
    pub variance: f64,
}

enum Kept<'a> {
    /// `[1, c, h, w]`, 16 bits, by point and picture.
    Remembered(Vec<Vec<Tensor>>),
    /// One head for each point.
    Live { pictures: &'a dyn Pictures, len: usize, heads: Vec<Fixed> },
}

impl<'a> Features<'a> {
    /// Looks at the first `limit` of `pictures`. `seen` is told of every picture.
    ///
    /// # Errors
    /// [`FeatureError`], also when no picture can be read; `purpose` says what for.
    pub fn gather(
        network: &Network,
        layers: &[LayerIndex],
        pictures: &'a dyn Pictures,
        limit: Option<usize>,
        (device, memory_mib): (Device, u64),
        (purpose, seen): (&'static str, &mut dyn FnMut(usize, usize)),
    ) -> Result<Self, FeatureError> {
        let all = head_of(network, layers)?;
        let len = limit.map_or(pictures.len(), |limit| limit.min(pictures.len()));
        let values: u64 = layers
            .iter()
            .filter_map(|&layer| network.layer(layer))
            .map(|layer| layer.shape.len() as u64)
            .sum();
        let remember = values * VALUE_BYTES * len as u64 <= memory_mib << 20;
        let mut features = Self {
            input: network.input,
            device,
            all: Fixed::on(&all, device)?,
            kept: Kept::Remembered(Vec::new()),
            spread: Vec::new(),
        };
        let looked_at = if remember { len } else { len.min(MEASURED) };
        let mut moments = vec![Moments::default(); layers.len()];
        let mut kept: Vec<Vec<Tensor>> = (0..layers.len()).map(|_| Vec::new()).collect();
        for first in (0..looked_at).step_by(LOOK_AT) {
            let numbers = first..(first + LOOK_AT).min(looked_at);
            let waiting: Vec<Picture> = numbers.clone().filter_map(|i| pictures.load(i)).collect();
            if !waiting.is_empty() {
                let maps = features.look(&features.all, &waiting)?;
                for ((maps, moments), kept) in maps.iter().zip(&mut moments).zip(&mut kept) {
                    let maps = maps.f_to_kind(Kind::Half)?.f_to_device(Device::Cpu)?.f_contiguous()?;
                    moments.add(&maps)?;
                    if remember {
                        let own = |i| maps.f_narrow(0, i, 1)?.f_detach_copy();
                        kept.extend((0..waiting.len() as i64).map(own).collect::<Result<Vec<_>, _>>()?);
                    }
                }
            }
            seen(numbers.end, looked_at);
        }
        if moments.iter().any(|moments| moments.count == 0.0) {
            return Err(FeatureError::NoPictures(purpose));
        }
        features.spread = moments.iter().map(Moments::spread).collect::<Result<_, _>>()?;
        features.kept = if remember {
            Kept::Remembered(kept)
        } else {
            let heads = layers.iter().map(|&layer| Ok(Fixed::on(&head_of(network, &[layer])?, device)?));
            Kept::Live { pictures, len, heads: heads.collect::<Result<_, FeatureError>>()? }
        };
        Ok(features)
    }

    /// Pictures.
    pub fn len(&self) -> usize {
        match &self.kept {
            Kept::Remembered(points) => points.first().map_or(0, Vec::len),
            Kept::Live { len, .. } => *len,
        }
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Feature maps of one point, `[n, c, h, w]`; pictures that cannot be read are left out, and there is none
    /// when all are.
    ///
    /// # Errors
    /// [`FeatureError`].
    pub fn batch(&self, point: usize, numbers: &[usize]) -> Result<Option<Tensor>, FeatureError> {
        let _no_grad = tch::no_grad_guard();
        let maps = match &self.kept {
            Kept::Remembered(points) => {
                let kept = points.get(point).map_or(&[][..], Vec::as_slice);
                let own: Vec<&Tensor> = numbers.iter().filter_map(|&number| kept.get(number)).collect();
                if own.is_empty() {
                    return Ok(None);
                }
                Tensor::f_cat(&own, 0)?
            }
            Kept::Live { pictures, heads, .. } => {
                let waiting: Vec<Picture> = numbers.iter().filter_map(|&i| pictures.load(i)).collect();
                let Some(head) = heads.get(point).filter(|_| !waiting.is_empty()) else { return Ok(None) };
                // Rounded as the remembered ones are, so that memory changes nothing.
                self.look(head, &waiting)?.swap_remove(0).f_to_kind(Kind::Half)?
            }
        };
        Ok(Some(channels_last(&maps.f_to_device(self.device)?.f_to_kind(Kind::Float)?)?))
    }

    fn look(&self, head: &Fixed, pictures: &[Picture]) -> Result<Vec<Tensor>, FeatureError> {
        let _no_grad = tch::no_grad_guard();
        let pictures = picture_batch(pictures, self.input)?.f_to_device(self.device)?;
        Ok(head.run(&channels_last(&pictures)?)?)
    }
}

/// The graph from the picture to these layers.
fn head_of(network: &Network, layers: &[LayerIndex]) -> Result<autotiler_graph::Graph, PartitionError> {
    let nodes = layers.iter().map(|&layer| network.layer(layer).ok_or(PartitionError::NoLayer(layer)));
    let nodes = nodes.map(|layer| layer.map(|layer| layer.node)).collect::<Result<Vec<_>, _>>()?;
    partition::extract(&network.graph, &network.graph.inputs, &nodes)
}

/// Sums over maps, per channel.
#[derive(Debug, Default)]
struct Moments {
    count: f64,
    sums: Option<(Tensor, Tensor)>,
}

impl Clone for Moments {
    fn clone(&self) -> Self {
        let sums = self.sums.as_ref().map(|(a, b)| (a.copy(), b.copy()));
        Self { count: self.count, sums }
    }
}

impl Moments {
    fn add(&mut self, maps: &Tensor) -> Result<(), TchError> {
        let (n, _, h, w) = maps.size4()?;
        let maps = maps.f_to_kind(Kind::Double)?;
        let over = |x: &Tensor| x.f_sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Double);
        let (sum, squares) = (over(&maps)?, over(&maps.f_square()?)?);
        self.sums = Some(match self.sums.take() {
            None => (sum, squares),
            Some((a, b)) => (a.f_add(&sum)?, b.f_add(&squares)?),
        });
        self.count += (n * h * w) as f64;
        Ok(())
    }

    fn spread(&self) -> Result<Spread, TchError> {
        let none = Spread { mean: 0.0, deviation: 0.0, variance: 0.0 };
        let Some((sum, squares)) = &self.sums else { return Ok(none) };
        let number = |x: Tensor| x.f_mean(Kind::Double)?.f_double_value(&[]);
        let means = sum.f_div_scalar(self.count)?;
        let variance = number(squares.f_div_scalar(self.count)?.f_sub(&means.f_square()?)?)?;
        let (mean, square) = (number(means)?, number(squares.f_div_scalar(self.count)?)?);
        Ok(Spread { mean, deviation: (square - mean * mean).max(0.0).sqrt(), variance: variance.max(0.0) })
    }
}
