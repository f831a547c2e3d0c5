//! What the detector says without compression, remembered so that each picture is looked at once.

use std::sync::Arc;

use autotiler_core::Shape;
use autotiler_graph::Graph;
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
}

impl Fixed {
    /// Makes `graph` ready.
    ///
    /// # Errors
    /// [`ExecutorError`] or libtorch's.
    pub fn try_new(graph: &Graph) -> Result<Self, LessonError> {
        let weights = graph.weights.iter().map(|w| load_weight(w, Device::Cpu, Kind::Float));
        let weights = weights.collect::<Result<_, _>>()?;
        Ok(Self { executor: Executor::try_new(Arc::new(graph.clone()))?, weights })
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

impl Lessons {
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
        let features = teacher.head.run(&channels_last(pictures)?)?;
        let Some(feature) = features.first() else { return Ok(()) };
        // Heads of the stored feature map, so that rounding it is no error that the tiler could undo.
        let feature = feature.f_to_kind(Kind::Half)?;
        let heads = teacher.tail.run(&channels_last(&feature.f_to_kind(Kind::Float)?)?)?;
        let heads = heads.iter().map(|head| head.f_to_kind(Kind::Half)?.f_contiguous());
        let heads = heads.collect::<Result<Vec<_>, TchError>>()?;
        for picture in 0..pictures.size().first().copied().unwrap_or(0) {
            let own = |x: &Tensor| x.f_narrow(0, picture, 1)?.f_detach_copy();
            let heads = heads.iter().map(own).collect::<Result<_, _>>()?;
            self.pages.push(Page { feature: own(&feature)?, heads });
        }
        Ok(())
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
