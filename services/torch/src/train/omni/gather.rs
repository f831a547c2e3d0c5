//! Subjects from a recipe: models off the disk, their lessons, and transforms that need no data.

use std::{rc::Rc, sync::atomic::AtomicBool};

use autotiler_core::LayerIndex;
use autotiler_graph::tiler::{KltFit, Omni, Restorer, TilerSpec};
use autotiler_model::{Model, TilerKind};
use autotiler_scene::{Picture, World, WorldOptions, world};
use tch::{Device, Tensor};

use super::{OmniTraining, Subject, TeacherRecipe};
use crate::{
    engine::channels_last,
    train::{
        recipe::Point,
        street::CAMERA_SIDE,
        tiler::{
            TilerTrainingError,
            lesson::{LessonError, Teacher},
            picture_batch,
        },
        tilers::{
            JobError, Listener, Pictures,
            school::{Looked, Witness},
        },
        yolo::floats,
    },
};

/// Pictures that a transform is fitted to, and out of how many: those of `autotiler fit --kind omni`.
const FITTED: (u32, u32) = (96, 300);
/// Pictures that the detector looks at together.
const LOOK_AT: usize = 8;

/// Makes all subjects of some teachers ready.
///
/// # Errors
/// [`JobError`].
pub fn gather(
    teachers: &[TeacherRecipe],
    training: &OmniTraining,
    device: Device,
    stop: &AtomicBool,
    hear: &mut Listener<'_>,
) -> Result<Vec<Subject>, JobError> {
    let mut subjects = Vec::new();
    for recipe in teachers {
        let model = Model::load(&recipe.model)?;
        let layers: Vec<LayerIndex> = recipe.layers.iter().map(|&layer| LayerIndex(layer)).collect();
        let witness = Witness::try_new(&model.network, &layers, device)?;
        let mut attend = |set: &str, limit: Option<usize>| -> Result<Looked, JobError> {
            let opened = Pictures::open(&recipe.data, set, &model.manifest.classes);
            let pictures = opened.map_err(|source| JobError::Set { set: set.to_owned(), source })?;
            let count = limit.map_or(pictures.len(), |limit| limit.min(pictures.len()));
            witness.attend((set, &pictures), count, false, stop, hear)
        };
        let drawn = drawn(&model)?;
        let learned = attend("train", training.pictures)?.lessons;
        let tried = attend("val", training.validation_pictures)?.lessons;
        for ((layer, learned), tried) in layers.into_iter().zip(learned).zip(tried) {
            let (learned, tried) = (Rc::new(learned), Rc::new(tried));
            for &cr in &recipe.ratios {
                let teacher = Teacher::try_new(&model.network, layer, device)?;
                let spec = model.tiler_spec_of(TilerKind::Omni, layer, cr)?;
                let omni = fitted(&drawn, &teacher, spec);
                subjects.push(Subject {
                    name: format!("{} layer {layer} cr {cr}", model.manifest.name),
                    omni: omni.map_err(|source| JobError::Training { point: Point { layer, cr }, source })?,
                    teacher,
                    training: Rc::clone(&learned),
                    validation: Rc::clone(&tried),
                });
            }
        }
    }
    Ok(subjects)
}

/// The generated pictures that transforms are fitted to, as the model takes them.
fn drawn(model: &Model) -> Result<Vec<Tensor>, LessonError> {
    let (width, height) = (CAMERA_SIDE, CAMERA_SIDE);
    let world = World::new(WorldOptions { seed: world::TRAINING_SEED, width, height });
    let (count, of) = FITTED;
    let numbers: Vec<u32> = (0..count).map(|i| i * of / count).collect();
    let batches = numbers.chunks(LOOK_AT).map(|numbers| {
        let pictures: Vec<Picture> = numbers.iter().map(|&number| world.scene(number).picture).collect();
        picture_batch(&pictures, model.network.input)
    });
    Ok(batches.collect::<Result<_, _>>()?)
}

/// The tiler of a point as `autotiler fit --kind omni` makes it, from generated pictures alone. Its restorer does
/// nothing.
///
/// # Errors
/// [`TilerTrainingError`].
pub fn without_data(model: &Model, teacher: &Teacher, spec: TilerSpec) -> Result<Omni, TilerTrainingError> {
    fitted(&drawn(model)?, teacher, spec)
}

fn fitted(drawn: &[Tensor], teacher: &Teacher, spec: TilerSpec) -> Result<Omni, TilerTrainingError> {
    let mut fit = KltFit::new(spec);
    let _no_grad = tch::no_grad_guard();
    for pictures in drawn {
        let pictures = pictures.f_to_device(teacher.head.device())?;
        let maps = teacher.head.run(&channels_last(&pictures)?)?;
        let values = maps.first().map(floats).transpose()?.unwrap_or_default();
        values.chunks_exact(spec.feature.len().max(1)).try_for_each(|feature| fit.add(feature))?;
    }
    Ok(Omni::from_fit(&fit, Restorer::untrained(1, || 0.0))?)
}
