//! What the detector says without compression, remembered so that each picture is looked at once.

use std::sync::Arc;

use autotiler_core::{LayerIndex, Shape};
use autotiler_graph::{
    Graph,
    darknet::Network,
    partition::{self, PartitionError},
};
use autotiler_scene::Picture;
use tch::{Device, Kind, TchError, Tensor};

use super::distillation::HeadFields;
use crate::{
    engine::{channels_last, load_weight},
    executor::{Executor, ExecutorError, Mode},
};

/// A fixed network with its weights: gradients pass it, and change nothing in it.
#[derive(Debug)]
pub struct Fixed {
    executor: Executor,
    weights: Vec<Tensor>,
    device: Device,
}

impl Fixed {
    /// Makes `graph` ready on the CPU.
    ///
    /// # Errors
    /// [`ExecutorError`] or libtorch's.
    pub fn try_new(graph: &Graph) -> Result<Self, LessonError> {
        Self::on(graph, Device::Cpu)
    }

    /// Makes `graph` ready on `device`.
    ///
    /// # Errors
    /// [`ExecutorError`] or libtorch's.
    pub fn on(graph: &Graph, device: Device) -> Result<Self, LessonError> {
        let weights = graph.weights.iter().map(|w| load_weight(w, device, Kind::Float));
        let weights = weights.collect::<Result<_, _>>()?;
        Ok(Self { executor: Executor::try_new(Arc::new(graph.clone()))?, weights, device })
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Runs one batch.
    ///
    /// # Errors
    /// [`ExecutorError`].
    pub fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, ExecutorError> {
        self.executor.run(&self.weights, &[input.shallow_clone()], Mode::default())
    }
}

/// Why a detector could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LessonError {
    /// It did not run.
    #[error("running the detector")]
    Network(#[from] ExecutorError),
    /// libtorch refused.
    #[error("keeping feature maps")]
    Torch(#[from] TchError),
    /// The network cannot be cut there.
    #[error("cutting the detector")]
    Partition(#[from] PartitionError),
}

/// One picture's feature map and raw heads, as 16-bit floats.
#[derive(Debug)]
struct Page {
    feature: Tensor,
    heads: Vec<Tensor>,
}

/// Feature maps and heads of many pictures.
#[derive(Debug, Default)]
pub struct Lessons {
    pages: Vec<Page>,
}

/// Some of them side by side, as 32-bit floats.
#[derive(Debug)]
pub struct LessonBatch {
    /// `[n, c, h, w]`.
    pub feature: Tensor,
    /// Each `[n, anchors * (5 + classes), h, w]`.
    pub heads: Vec<Tensor>,
}

/// The detector in two pieces.
#[derive(Debug)]
pub struct Teacher {
    /// Picture to feature map.
    pub head: Fixed,
    /// Feature map to raw heads.
    pub tail: Fixed,
    /// What the raw heads are made of.
    pub fields: Vec<HeadFields>,
}

impl Teacher {
    /// `network`, cut after `layer`, on `device`.
    ///
    /// # Errors
    /// [`LessonError`].
    pub fn try_new(network: &Network, layer: LayerIndex, device: Device) -> Result<Self, LessonError> {
        let (head, tail) = partition::split(network, layer)?;
        let fields = network.heads.iter();
        let fields = fields.map(|head| HeadFields { anchors: head.mask.len(), classes: head.classes });
        Ok(Self {
            head: Fixed::on(&head, device)?,
            tail: Fixed::on(&tail, device)?,
            fields: fields.collect(),
        })
    }
}

impl LessonBatch {
    /// The same on `device`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn to_device(&self, device: Device) -> Result<Self, TchError> {
        let heads = self.heads.iter().map(|head| head.f_to_device(device)).collect::<Result<_, _>>()?;
        Ok(Self { feature: self.feature.f_to_device(device)?, heads })
    }
}

impl Lessons {
    /// Remembers feature maps (`[n, c, h, w]`) with their raw heads (each `[n, ..]`, of which several lessons
    /// may share one storage): both already rounded to 16 bits, on the CPU.
    ///
    /// # Errors
    /// libtorch's.
    pub fn push(&mut self, feature: &Tensor, heads: &[Tensor]) -> Result<(), TchError> {
        for picture in 0..feature.size().first().copied().unwrap_or(0) {
            let heads = heads.iter().map(|head| head.f_narrow(0, picture, 1)).collect::<Result<_, _>>()?;
            self.pages.push(Page { feature: feature.f_narrow(0, picture, 1)?, heads });
        }
        Ok(())
    }

    /// Pictures remembered.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Asks the teacher about a batch of pictures (`[n, 3, h, w]`, 0 to 1) and remembers the answers.
    ///
    /// # Errors
    /// [`LessonError`].
    pub fn add(&mut self, teacher: &Teacher, pictures: &Tensor) -> Result<(), LessonError> {
        let _no_grad = tch::no_grad_guard();
        let pictures = pictures.f_to_device(teacher.head.device())?;
        let features = teacher.head.run(&channels_last(&pictures)?)?;
        let Some(feature) = features.first() else { return Ok(()) };
        // Heads of the stored feature map, so that rounding it is no error that the tiler could undo.
        let feature = feature.f_to_kind(Kind::Half)?;
        let heads = teacher.tail.run(&channels_last(&feature.f_to_kind(Kind::Float)?)?)?;
        let stored = |x: &Tensor| x.f_to_kind(Kind::Half)?.f_to_device(Device::Cpu)?.f_contiguous();
        let heads = heads.iter().map(stored).collect::<Result<Vec<_>, TchError>>()?;
        Ok(self.push(&stored(&feature)?, &heads)?)
    }

    /// The pictures of these numbers; numbers that are too large are left out.
    ///
    /// # Errors
    /// libtorch's.
    pub fn batch(&self, numbers: &[usize]) -> Result<LessonBatch, TchError> {
        let pages: Vec<&Page> = numbers.iter().filter_map(|&number| self.pages.get(number)).collect();
        let joined = |parts: Vec<&Tensor>| channels_last(&Tensor::f_cat(&parts, 0)?.f_to_kind(Kind::Float)?);
        let heads = pages.first().map_or(0, |page| page.heads.len());
        Ok(LessonBatch {
            feature: joined(pages.iter().map(|page| &page.feature).collect())?,
            heads: (0..heads)
                .map(|head| joined(pages.iter().filter_map(|page| page.heads.get(head)).collect()))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Pictures squashed to the network's input, `[n, 3, h, w]`, 0 to 1.
///
/// # Errors
/// libtorch's.
pub fn picture_batch(pictures: &[Picture], input: Shape) -> Result<Tensor, TchError> {
    let values: Vec<f32> = pictures.iter().flat_map(|picture| picture.to_input(input.w, input.h)).collect();
    let dims = [pictures.len(), 3, input.h, input.w].map(|n| n as i64);
    Tensor::f_from_slice(&values)?.f_reshape(dims)
}
