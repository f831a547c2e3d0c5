//! What the figures look at: the paper's five points of a network, and each method measured once.

use std::{cell::RefCell, collections::HashMap, path::PathBuf, rc::Rc};

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Route};
use autotiler_graph::{
    partition,
    tiler::{Grade, PaperError, PaperPlan, PaperPoint, TilerSpec},
};
use autotiler_model::{Model, TilerKind};
use autotiler_pipeline::{DeviceOutput, DeviceStage};

use super::{
    FigureError,
    accuracy::Accuracy,
    derived::{Line, Step},
};
use crate::{
    error::EvalError,
    method::{Coding, Method, Setting},
    pictures::Sample,
    workbench::{Trial, Watcher, Workbench},
};

/// Gains of a tiled plane, beside lossless.
const GAINS: [u8; 10] = [8, 20, 32, 44, 56, 68, 80, 92, 104, 120];
/// Gains of frames per channel: each map is a picture, which takes its time.
const FRAME_GAINS: [u8; 5] = [20, 48, 72, 96, 120];
/// The same in a quick look.
const QUICK_GAINS: [u8; 3] = [36, 76, 116];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All settings.
    Full,
    /// Few settings, few pictures: the shape of things.
    Quick,
}

/// See the module. One thread's own.
pub struct Study<'a> {
    bench: &'a Workbench<'a>,
    watcher: &'a dyn Watcher,
    plan: Result<PaperPlan, PaperError>,
    extent: Extent,
    kept: Option<PathBuf>,
    uncut: Accuracy,
    lines: RefCell<HashMap<(Method, usize), Rc<Line>>>,
}

/// The lines of one point that most figures compare.
pub(super) struct PointLines {
    pub(super) layer: LayerIndex,
    pub(super) frames: Rc<Line>,
    pub(super) tiling: Rc<Line>,
    pub(super) fine: Rc<Line>,
    pub(super) coarse: Rc<Line>,
    /// One of each other kind that the model has, at its finest ratio: its name and line.
    pub(super) beside: Vec<(TilerKind, Rc<Line>)>,
}

impl<'a> Study<'a> {
    /// A study of the bench's model and pictures; times that are no method's are kept in `kept`.
    pub fn new(
        bench: &'a Workbench<'a>,
        watcher: &'a dyn Watcher,
        extent: Extent,
        kept: Option<PathBuf>,
    ) -> Self {
        Self {
            plan: plan(bench.workshop().model),
            uncut: Accuracy::of(bench.uncut(), bench.classes().len()),
            bench,
            watcher,
            extent,
            kept,
            lines: RefCell::default(),
        }
    }

    /// The network without any cut.
    pub fn uncut(&self) -> Accuracy {
        self.uncut
    }

    /// Pictures, model and codec.
    pub fn bench(&self) -> &'a Workbench<'a> {
        self.bench
    }

    /// How much is measured.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    pub(super) fn kept(&self) -> Option<&std::path::Path> {
        self.kept.as_deref()
    }

    /// Tells whoever watches.
    pub(super) fn say(&self, what: &str) {
        self.watcher.say(what);
    }

    pub(super) fn model(&self) -> &'a Model {
        self.bench.workshop().model
    }

    /// One line for plots: network, set, pictures.
    pub(super) fn subtitle(&self) -> String {
        format!("{}, {}: {} images", self.model().manifest.name, self.bench.set(), self.bench.len())
    }

    pub(super) fn plan(&self) -> Result<&PaperPlan, FigureError> {
        self.plan.as_ref().map_err(|error| error.clone().into())
    }

    /// The paper's 36th layer.
    pub(super) fn deepest(&self) -> Result<PaperPoint, FigureError> {
        self.plan()?.points().last().copied().ok_or_else(|| PaperError::NoChoice.into())
    }

    /// The tiler as a method.
    ///
    /// # Errors
    /// [`FigureError::NoTiler`] says how it is made.
    pub(super) fn tiler(
        &self,
        layer: LayerIndex,
        cr: CompressionRatio,
        kind: TilerKind,
    ) -> Result<Method, FigureError> {
        match self.model().tiler(layer, cr, Some(kind)) {
            Ok(_) => Ok(Method::tiler(layer, cr, kind)),
            Err(_) => Err(FigureError::NoTiler { kind, layer, cr }),
        }
    }

    /// The paper's auto-tiler of a point, variable or independent.
    pub(super) fn auto_tiler(
        &self,
        point: &PaperPoint,
        grade: Grade,
        kind: TilerKind,
    ) -> Result<Method, FigureError> {
        self.tiler(point.layer, point.spec(grade).cr, kind)
    }

    /// Tiling, or with the same planes frame per channel.
    pub(super) fn tiling(&self, layer: LayerIndex, coding: Coding) -> Result<Method, FigureError> {
        let (cr, kind) = (CompressionRatio::ONE, TilerKind::Plain);
        self.tiler(layer, cr, kind)?;
        Ok(Method::Tiler { layer, cr, kind, coding })
    }

    /// All tilers of a kind at a layer, the finest first.
    pub(super) fn stored(&self, layer: LayerIndex, kind: TilerKind) -> Vec<Method> {
        let there = self.model().tilers.iter().filter(|t| t.layer() == layer && t.kind == kind);
        let mut ratios: Vec<CompressionRatio> = there.map(|tiler| tiler.spec().cr).collect();
        ratios.sort_unstable();
        ratios.into_iter().map(|cr| Method::tiler(layer, cr, kind)).collect()
    }

    /// Of each kind that is not the paper's, the finest at a layer.
    pub(super) fn beside(&self, layer: LayerIndex) -> Vec<(TilerKind, Method)> {
        let finest = |kind| Some((kind, self.stored(layer, kind).first().copied()?));
        [TilerKind::Lite, TilerKind::Omni, TilerKind::Klt].into_iter().filter_map(finest).collect()
    }

    /// A method at all its settings.
    pub(super) fn line(&self, method: Method) -> Result<Rc<Line>, FigureError> {
        self.line_at(method, &self.settings(method))
    }

    /// A method without loss of the codec.
    pub(super) fn lossless(&self, method: Method) -> Result<Rc<Line>, FigureError> {
        self.line_at(method, &[Setting::Lossless])
    }

    fn line_at(&self, method: Method, settings: &[Setting]) -> Result<Rc<Line>, FigureError> {
        let key = (method, settings.len());
        if let Some(line) = self.lines.borrow().get(&key) {
            return Ok(Rc::clone(line));
        }
        let measured = self.bench.measure(method, settings, self.watcher)?;
        let steps = measured.trials.iter().map(|trial| self.step(trial)).collect();
        let line = Rc::new(Line::new(label(method), method, self.raw_kbit(method), steps));
        self.lines.borrow_mut().insert(key, Rc::clone(&line));
        Ok(line)
    }

    /// Takes a line as measured at all settings, and without loss of the codec.
    #[cfg(test)]
    pub(super) fn preset(&self, method: Method, points: &[(f64, f64)]) {
        let made = super::derived::tests::line(self.raw_kbit(method), points);
        let line = Rc::new(Line::new(label(method), method, self.raw_kbit(method), made.steps().to_vec()));
        for settings in [self.settings(method).len(), 1] {
            self.lines.borrow_mut().insert((method, settings), Rc::clone(&line));
        }
    }

    /// The lines of point `point`.
    pub(super) fn point_lines(&self, point: &PaperPoint) -> Result<PointLines, FigureError> {
        let layer = point.layer;
        let variable = |grade| self.line(self.auto_tiler(point, grade, TilerKind::Paper)?);
        let beside = self.beside(layer).into_iter();
        Ok(PointLines {
            layer,
            tiling: self.line(self.tiling(layer, Coding::Plane)?)?,
            fine: variable(Grade::Fine)?,
            coarse: variable(Grade::Coarse)?,
            frames: self.line(self.tiling(layer, Coding::FramePerChannel)?)?,
            beside: beside
                .map(|(kind, method)| Ok((kind, self.line(method)?)))
                .collect::<Result<_, FigureError>>()?,
        })
    }

    /// The lines of all five points, the shallowest first.
    pub(super) fn all_lines(&self) -> Result<Vec<PointLines>, FigureError> {
        let points = self.plan()?.points();
        // What is missing is told before anything is measured.
        for point in points {
            self.tiling(point.layer, Coding::Plane)?;
            for grade in [Grade::Fine, Grade::Coarse] {
                self.auto_tiler(point, grade, TilerKind::Paper)?;
            }
        }
        points.iter().map(|point| self.point_lines(point)).collect()
    }

    /// Planes of the first `count` pictures, before any codec.
    pub(super) fn planes(&self, method: Method, count: usize) -> Result<Vec<Plane>, FigureError> {
        let Method::Tiler { layer, cr, kind, .. } = method else { return Ok(Vec::new()) };
        let workshop = self.bench.workshop();
        let spec = *workshop.model.tiler(layer, cr, Some(kind))?.spec();
        let route = Route::Split { layer, cr };
        let mut stage = DeviceStage::new(workshop.engine, workshop.model, route, Some(kind))?;
        let plane = |sample: &Sample| match stage.run(&sample.picture)? {
            DeviceOutput::Frame(samples) => Ok(Plane { spec, samples }),
            DeviceOutput::Heads(_) => Err(EvalError::Output("no plane").into()),
        };
        self.bench.samples().take(count).map(plane).collect()
    }

    fn step(&self, trial: &Trial) -> Step {
        let count = trial.outcomes.len().max(1) as f64;
        let matched = trial.outcomes.iter().map(|outcome| &outcome.matched);
        let ssim: Option<Vec<f64>> = trial.outcomes.iter().map(|outcome| outcome.ssim).collect();
        Step {
            setting: trial.setting,
            kbit: trial.outcomes.iter().map(|outcome| f64::from(outcome.bits) / 1e3).sum::<f64>() / count,
            accuracy: Accuracy::of(matched, self.bench.classes().len()),
            kl: trial.outcomes.iter().map(|outcome| outcome.kl).sum::<f64>() / count,
            ssim: ssim.map(|values| values.iter().sum::<f64>() / count),
        }
    }

    fn settings(&self, method: Method) -> Vec<Setting> {
        let frames = matches!(method, Method::Tiler { coding: Coding::FramePerChannel, .. });
        let gains: &[u8] = match (self.extent, frames) {
            (Extent::Quick, _) => &QUICK_GAINS,
            (Extent::Full, true) => &FRAME_GAINS,
            (Extent::Full, false) => &GAINS,
        };
        let gains = gains.iter().map(|&gain| Setting::Gain(Gain(gain)));
        std::iter::once(Setting::Lossless).chain(gains).collect()
    }

    fn raw_kbit(&self, method: Method) -> f64 {
        let model = self.model();
        let feature = match method {
            Method::Tiler { layer, cr, kind, .. } => {
                model.tiler(layer, cr, Some(kind)).ok().map(|tiler| tiler.spec().feature)
            }
            Method::Picture { .. } | Method::Jpeg => None,
        };
        feature.unwrap_or(model.network.input).len() as f64 * 8.0 / 1e3
    }
}

/// A tiled plane with where its maps lie.
pub(super) struct Plane {
    pub(super) spec: TilerSpec,
    pub(super) samples: Vec<u8>,
}

impl Plane {
    /// Width and height.
    pub(super) fn size(&self) -> (usize, usize) {
        let shape = self.spec.plane();
        (shape.w, shape.h)
    }

    /// Each map by itself.
    pub(super) fn maps(&self) -> impl Iterator<Item = Vec<u8>> {
        let (shape, columns) = (self.spec.maps_shape(), self.spec.grid.cols.max(1));
        (0..self.spec.maps).map(move |number| {
            let (left, top) = (number % columns * shape.w, number / columns * shape.h);
            let row = |y: usize| {
                let start = (top + y) * columns * shape.w + left;
                self.samples.get(start..start + shape.w)
            };
            (0..shape.h).filter_map(row).flatten().copied().collect()
        })
    }
}

/// The five points that the model's own auto-tilers serve, or else those that they would.
fn plan(model: &Model) -> Result<PaperPlan, PaperError> {
    let all: Vec<_> = partition::points(&model.network).iter().map(|p| (p.layer, p.shape)).collect();
    let served = |layer: LayerIndex| {
        model.tilers.iter().any(|tiler| tiler.kind == TilerKind::Paper && tiler.layer() == layer)
    };
    let own: Vec<_> = all.iter().copied().filter(|(layer, _)| served(*layer)).collect();
    PaperPlan::new(&own).or_else(|_| PaperPlan::choose(&all))
}

/// What a method is called in plots, without its layer. The first word gives the colour.
fn label(method: Method) -> String {
    match method {
        Method::Tiler { coding: Coding::FramePerChannel, .. } => "FPC".to_owned(),
        Method::Tiler { kind: TilerKind::Plain, .. } => "Tiling".to_owned(),
        Method::Tiler { kind: TilerKind::Paper, cr, .. } => format!("Auto-tiler CR{cr}"),
        Method::Tiler { kind: TilerKind::PaperSolo, cr, .. } => format!("Independent CR{cr}"),
        Method::Tiler { kind: TilerKind::Ae, cr, .. } => format!("Autoencoder CR{cr}"),
        Method::Tiler { kind: TilerKind::Klt, cr, .. } => format!("KLT CR{cr}"),
        Method::Tiler { kind, cr, .. } => format!("{kind} CR{cr}"),
        Method::Picture { .. } | Method::Jpeg => method.name(),
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::Shape;

    use super::*;

    #[test]
    fn maps_are_cut_out_of_a_plane() {
        let feature = Shape::new(4, 1, 2);
        let spec = TilerSpec::new(LayerIndex(1), feature, CompressionRatio::ONE).unwrap();
        let shape = spec.plane();
        let plane = Plane { spec, samples: (0..shape.len() as u8).collect() };
        let maps: Vec<_> = plane.maps().collect();
        assert_eq!(maps.len(), 4);
        let mut all = maps.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8, "{maps:?}");
        assert!(maps.iter().all(|map| map[1] == map[0] + 1));
    }
}
