//! Lessons of several partition points from one look at the pictures.
//!
//! Kept in memory as 16-bit floats: the feature maps of all points of a pass, and the raw heads once. Points
//! are shared out over passes so that one pass keeps within [`MEMORY`]; a single point that needs more gets a
//! pass of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use autotiler_core::{LayerIndex, Shape};
use autotiler_graph::{
    darknet::Network,
    partition::{self, PartitionError},
};
use autotiler_scene::Picture;
use tch::{Device, Kind, TchError, Tensor};

use super::{Event, JobError, Listener, Pictures};
use crate::{
    engine::channels_last,
    train::tiler::{
        lesson::{Fixed, LessonError, Lessons},
        picture_batch,
    },
};

/// Bytes of lessons that are kept at a time.
pub const MEMORY: u64 = 4 << 30;
/// Pictures that the detector looks at together.
const LOOK_AT: usize = 8;

/// What came of one set.
#[derive(Debug, Default)]
pub struct Looked {
    /// Lessons of each layer, in the order asked for.
    pub lessons: Vec<Lessons>,
    /// Pictures that could not be read.
    pub skipped: usize,
}

/// Shares `layers` out so that the lessons of each pass, of `pictures` pictures, keep within [`MEMORY`].
pub fn passes(network: &Network, layers: &[LayerIndex], pictures: usize) -> Vec<Vec<LayerIndex>> {
    let bytes = |shape: Shape| (shape.len() * 2 * pictures) as u64;
    let heads: u64 =
        network.graph.outputs.iter().filter_map(|&id| network.graph.node(id)).map(|n| bytes(n.shape)).sum();
    let mut passes: Vec<Vec<LayerIndex>> = Vec::new();
    let mut held = u64::MAX;
    for &layer in layers {
        let own = network.layer(layer).map_or(0, |layer| bytes(layer.shape));
        match passes.last_mut() {
            Some(pass) if held.saturating_add(own) <= MEMORY => {
                pass.push(layer);
                held += own;
            }
            _ => {
                passes.push(vec![layer]);
                held = heads + own;
            }
        }
    }
    passes
}

/// The detector up to several layers and to its heads, at once.
#[derive(Debug)]
pub struct Witness {
    whole: Fixed,
    layers: usize,
    input: Shape,
}

impl Witness {
    /// Makes the detector ready to tell of `layers`.
    ///
    /// # Errors
    /// [`LessonError`].
    pub fn try_new(network: &Network, layers: &[LayerIndex], device: Device) -> Result<Self, LessonError> {
        let node =
            |&layer: &LayerIndex| network.layer(layer).map(|l| l.node).ok_or(PartitionError::NoLayer(layer));
        let mut told = layers.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        told.extend(&network.graph.outputs);
        let graph = partition::extract(&network.graph, &network.graph.inputs, &told)?;
        Ok(Self { whole: Fixed::on(&graph, device)?, layers: layers.len(), input: network.input })
    }

    /// Looks at some pictures and adds to `lessons`, one for each layer.
    fn look(&self, pictures: &[Picture], lessons: &mut [Lessons]) -> Result<(), LessonError> {
        let _no_grad = tch::no_grad_guard();
        let batch = picture_batch(pictures, self.input)?.f_to_device(self.whole.device())?;
        let told = self.whole.run(&channels_last(&batch)?)?;
        let stored = |x: &Tensor| x.f_to_kind(Kind::Half)?.f_to_device(Device::Cpu)?.f_contiguous();
        let told = told.iter().map(stored).collect::<Result<Vec<_>, TchError>>()?;
        let (features, heads) = told.split_at(self.layers.min(told.len()));
        for (lessons, feature) in lessons.iter_mut().zip(features) {
            lessons.push(feature, heads)?;
        }
        Ok(())
    }

    /// Looks at the first `count` pictures of a set, mirrored ones as well where asked for.
    ///
    /// # Errors
    /// [`JobError`], also when no picture can be read or `stop` is set.
    pub fn attend(
        &self,
        (name, set): (&str, &Pictures),
        count: usize,
        mirrored: bool,
        stop: &AtomicBool,
        hear: &mut Listener<'_>,
    ) -> Result<Looked, JobError> {
        let mut lessons = Vec::new();
        lessons.resize_with(self.layers, Lessons::default);
        let mut looked = Looked { lessons, skipped: 0 };
        let (mut waiting, mut first): (Vec<Picture>, Option<String>) = (Vec::new(), None);
        for index in 0..count {
            if stop.load(Ordering::Relaxed) {
                return Err(JobError::Stopped);
            }
            match set.load(index) {
                Some(Ok(picture)) => {
                    if mirrored {
                        waiting.push(picture.flipped());
                    }
                    waiting.push(picture);
                }
                Some(Err(error)) => {
                    let reason = with_causes(&error);
                    looked.skipped += 1;
                    hear(&Event::Skipped { reason: reason.clone() });
                    first.get_or_insert(reason);
                }
                None => break,
            }
            if waiting.len() >= LOOK_AT || index + 1 == count && !waiting.is_empty() {
                self.look(&waiting, &mut looked.lessons)?;
                waiting.clear();
            }
            hear(&Event::Pictures { set: name.to_owned(), seen: index + 1, of: count });
        }
        if looked.skipped == count {
            return Err(JobError::NoPictures { set: name.to_owned(), of: count, first });
        }
        Ok(looked)
    }
}

/// An error and all its causes in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}
