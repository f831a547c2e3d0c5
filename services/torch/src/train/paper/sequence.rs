//! The order in which parts are trained, and which of them are frozen when.

use autotiler_graph::{
    Weight,
    tiler::{AutoTiler, Autoencoder, Grade, Paper, PaperPlan, TilerSpec},
};
use autotiler_model::{TilerKind, sha256};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::{
    CoreTurns, PaperCurve, PaperProgress, PaperTiler, PaperTrainingError, Store, Variant,
    run::{self, Plan, Setting},
};
use crate::train::learner;

/// Parts of a tiler, by the start of their weights' names.
const CORE: &str = "tiler.core.";
const EXTRA: &str = "tiler.extra.";
const COMPAT: &str = "tiler.compat.";
const CORE_BACK: &str = "untiler.core.";
const EXTRA_BACK: &str = "untiler.extra.";
const COMPAT_BACK: &str = "untiler.compat.";
const ALL: [&str; 6] = [CORE, EXTRA, COMPAT, CORE_BACK, EXTRA_BACK, COMPAT_BACK];
/// Points of a plan that have compatibility networks.
const SHALLOW_POINTS: usize = 2;
/// Both ratios.
const GRADES: [Grade; 2] = [Grade::Fine, Grade::Coarse];

/// A training from part to part.
pub(super) struct Sequence<'a, 's> {
    setting: &'a Setting<'a>,
    plan: &'a PaperPlan,
    store: &'a mut Store<'s>,
    report: &'a mut dyn FnMut(&PaperProgress),
    curves: Vec<PaperCurve>,
    runs: usize,
}

impl<'a, 's> Sequence<'a, 's> {
    pub(super) fn new(
        setting: &'a Setting<'a>,
        plan: &'a PaperPlan,
        store: &'a mut Store<'s>,
        report: &'a mut dyn FnMut(&PaperProgress),
    ) -> Self {
        let core = turns(plan, setting.recipe.core_turns).len();
        let of = |variant: &Variant| match variant {
            Variant::Variable => 2 * core + 2 * SHALLOW_POINTS,
            Variant::Independent => 2 * plan.points().len(),
            Variant::Autoencoder => 2,
        };
        let runs = setting.recipe.variants.iter().map(of).sum();
        Self { setting, plan, store, report, curves: Vec::new(), runs }
    }

    pub(super) fn run(mut self) -> Result<Vec<PaperCurve>, PaperTrainingError> {
        for variant in &self.setting.recipe.variants {
            match variant {
                Variant::Variable => self.variable()?,
                Variant::Independent => self.independent()?,
                Variant::Autoencoder => self.autoencoder()?,
            }
        }
        Ok(self.curves)
    }

    /// The variable auto-tiler: the core's fine half, its coarse half on the frozen fine encoder, then the
    /// compatibility networks on the frozen core, coarse first.
    fn variable(&mut self) -> Result<(), PaperTrainingError> {
        let rates = self.setting.recipe.learning_rates;
        let first = self.plan.core_points().start;
        let mut fine = self.fresh("variable", first, Grade::Fine)?;
        self.core("fine", &mut fine, &[CORE, CORE_BACK])?;
        let mut coarse = self.fresh("variable", first, Grade::Coarse)?;
        coarse.take(&fine.weights, &[CORE]);
        if self.setting.recipe.warm_start {
            coarse.take(&fine.weights, &[CORE_BACK]);
        }
        self.core("coarse", &mut coarse, &[EXTRA, EXTRA_BACK, CORE_BACK])?;
        for (point, rate) in [(0, rates.shallow), (1, rates.middle)] {
            let mut outer = self.fresh("variable", point, Grade::Coarse)?;
            self.meet_core(&mut outer);
            outer.take(&coarse.weights, &[CORE, EXTRA, CORE_BACK, EXTRA_BACK]);
            let name =
                |grade: &str| format!("variable-compat-{grade}-layer{}", outer_layer(self.plan, point));
            let error = self.learn(name("coarse"), &mut outer, &[point], &[COMPAT, COMPAT_BACK], rate)?;
            let mut inner = self.fresh("variable", point, Grade::Fine)?;
            self.meet_core(&mut inner);
            inner.take(&fine.weights, &[CORE, CORE_BACK]);
            inner.take(&outer.weights, &[COMPAT]);
            if self.setting.recipe.warm_start {
                inner.take(&outer.weights, &[COMPAT_BACK]);
            }
            self.hand_over(TilerKind::Paper, &outer, error)?;
            let error = self.learn(name("fine"), &mut inner, &[point], &[COMPAT_BACK], rate)?;
            self.hand_over(TilerKind::Paper, &inner, error)?;
        }
        Ok(())
    }

    /// One half of the core on its points in turn; then it is handed over for each of them.
    fn core(&mut self, grade: &str, tiler: &mut Paper, parts: &[&str]) -> Result<(), PaperTrainingError> {
        let rate = self.setting.recipe.learning_rates.core;
        for points in turns(self.plan, self.setting.recipe.core_turns) {
            let layers = points.iter().map(|&point| format!("-layer{}", outer_layer(self.plan, point)));
            let name = format!("variable-core-{grade}{}", layers.collect::<String>());
            self.learn(name, tiler, &points, parts, rate)?;
        }
        for point in self.plan.core_points() {
            let Some(place) = self.plan.points().get(point) else { continue };
            tiler.spec = place.spec(tiler.form.grade);
            let (encoder, decoder) = (tiler.encoder()?, tiler.decoder()?);
            let (name, points) = (String::new(), vec![point]);
            let plan = Plan { name, encoder, decoder, learns: &|_| false, points, rate };
            let error = run::measure(self.setting, &plan)?;
            self.hand_over(TilerKind::Paper, tiler, error)?;
        }
        Ok(())
    }

    /// A model of its own for each point and ratio.
    fn independent(&mut self) -> Result<(), PaperTrainingError> {
        let rate = self.setting.recipe.learning_rates.core;
        for point in 0..self.plan.points().len() {
            for grade in GRADES {
                let name =
                    format!("independent-{}-layer{}", grade_name(grade), outer_layer(self.plan, point));
                let mut tiler = self.fresh(&name, point, grade)?;
                let error = self.learn(name, &mut tiler, &[point], &ALL, rate)?;
                self.hand_over(TilerKind::PaperSolo, &tiler, error)?;
            }
        }
        Ok(())
    }

    /// The simple autoencoder of the deepest point, coarse on the frozen fine encoder.
    fn autoencoder(&mut self) -> Result<(), PaperTrainingError> {
        let rates = self.setting.recipe.learning_rates;
        let point = self.plan.core_points().end - 1;
        let mut fine: Option<Autoencoder> = None;
        for (grade, rate) in GRADES.into_iter().zip([rates.autoencoder_fine, rates.autoencoder_coarse]) {
            let name = format!("autoencoder-{}", grade_name(grade));
            let Some(place) = self.plan.points().get(point) else { continue };
            let (layer, cr) = (place.layer, place.spec(grade).cr);
            let bad = |source| PaperTrainingError::Tiler { layer, cr, source };
            let spec = TilerSpec::tiled(layer, place.feature(), cr).map_err(bad)?;
            let mut tiler =
                Autoencoder::new(spec, grade, normal(self.setting.recipe.seed, &name)).map_err(bad)?;
            let (mean, deviation) = self.spread(point);
            tiler.fit(mean, deviation);
            let frozen = fine.as_ref().map_or(&[][..], |fine| &fine.weights);
            replace(&mut tiler.weights, frozen, &[CORE]);
            if self.setting.recipe.warm_start {
                replace(&mut tiler.weights, frozen, &[CORE_BACK]);
            }
            let parts = if fine.is_some() { &ALL[1..] } else { &ALL[..] };
            let (weights, error) = self.learn_weights(name, &tiler, &[point], parts, rate)?;
            tiler.weights = weights;
            self.hand_over(TilerKind::Ae, &tiler, error)?;
            fine = Some(tiler);
        }
        Ok(())
    }

    /// A fresh tiler, fitted to the values of its point.
    fn fresh(&self, purpose: &str, point: usize, grade: Grade) -> Result<Paper, PaperTrainingError> {
        let name = format!("{purpose} {point} {}", grade_name(grade));
        let random = normal(self.setting.recipe.seed, &name);
        let found = Paper::new(self.plan, point, grade, random);
        let none = || PaperTrainingError::NoLayer(outer_layer(self.plan, point));
        let mut tiler = found.ok_or_else(none)?;
        let (mean, deviation) = self.spread(point);
        tiler.fit(mean, deviation);
        Ok(tiler)
    }

    /// Mean and deviation of a point's values.
    fn spread(&self, point: usize) -> (f32, f32) {
        let spread = self.setting.training.spread.get(point);
        spread.map_or((0.0, 1.0), |spread| (spread.mean as f32, spread.deviation as f32))
    }

    /// Scales a fresh compatibility network to the values that the core is used to.
    fn meet_core(&self, tiler: &mut Paper) {
        let (mean, deviation) = self.spread(self.plan.core_points().start);
        let last = format!("{COMPAT}{}.", tiler.form.compat_steps.saturating_sub(1));
        let first = format!("{COMPAT_BACK}0.weight");
        for weight in &mut tiler.weights {
            let (scale, shift) = match &weight.name {
                name if *name == format!("{last}weight") => (deviation, 0.0),
                name if *name == format!("{last}bias") => (1.0, mean),
                name if *name == first => (deviation.max(f32::MIN_POSITIVE).recip(), 0.0),
                _ => continue,
            };
            weight.values = std::sync::Arc::new(weight.values.iter().map(|v| v * scale + shift).collect());
        }
    }

    /// Trains the `parts` of `tiler` at `points`, which are of one shape; yields the validation error.
    fn learn(
        &mut self,
        name: String,
        tiler: &mut Paper,
        points: &[usize],
        parts: &[&str],
        rate: f64,
    ) -> Result<f64, PaperTrainingError> {
        let place = points.first().and_then(|&point| self.plan.points().get(point));
        tiler.spec = place.map_or(tiler.spec, |place| place.spec(tiler.form.grade));
        let (weights, error) = self.learn_weights(name, tiler, points, parts, rate)?;
        tiler.weights = weights;
        Ok(error)
    }

    /// All weights of `tiler` after its `parts` are trained, and the validation error.
    fn learn_weights(
        &mut self,
        name: String,
        tiler: &dyn AutoTiler,
        points: &[usize],
        parts: &[&str],
        rate: f64,
    ) -> Result<(Vec<Weight>, f64), PaperTrainingError> {
        let (number, of) = (self.curves.len() + 1, self.runs);
        (self.report)(&PaperProgress::Run { run: name.clone(), number, of });
        let learns = |weight: &str| parts.iter().any(|part| weight.starts_with(part));
        let plan = Plan {
            name: name.clone(),
            encoder: tiler.encoder()?,
            decoder: tiler.decoder()?,
            learns: &learns,
            points: points.to_vec(),
            rate,
        };
        let (learned, scores) = run::run(self.setting, &plan, self.report)?;
        let mut weights = tiler.weights();
        replace(&mut weights, &learned, parts);
        let error = run::least(&scores);
        self.curves.push(PaperCurve { run: name, scores });
        Ok((weights, error))
    }

    fn hand_over(
        &mut self,
        kind: TilerKind,
        tiler: &dyn AutoTiler,
        error: f64,
    ) -> Result<(), PaperTrainingError> {
        (self.store)(PaperTiler { kind, tiler, error }).map_err(PaperTrainingError::Store)
    }
}

/// The points of each run of a half of the core.
fn turns(plan: &PaperPlan, turns: CoreTurns) -> Vec<Vec<usize>> {
    match turns {
        CoreTurns::Batch => vec![plan.core_points().collect()],
        CoreTurns::Point => plan.core_points().map(|point| vec![point]).collect(),
    }
}

fn outer_layer(plan: &PaperPlan, point: usize) -> autotiler_core::LayerIndex {
    plan.points().get(point).map_or(autotiler_core::LayerIndex(0), |place| place.layer)
}

fn grade_name(grade: Grade) -> &'static str {
    match grade {
        Grade::Fine => "fine",
        Grade::Coarse => "coarse",
    }
}

/// Takes the values of `given` whose names start with one of `parts`.
fn replace(weights: &mut [Weight], given: &[Weight], parts: &[&str]) {
    for own in weights {
        let wanted = parts.iter().any(|part| own.name.starts_with(part));
        if let Some(new) = given.iter().find(|w| wanted && w.name == own.name && w.dims == own.dims) {
            own.values = std::sync::Arc::clone(&new.values);
        }
    }
}

/// Numbers of mean 0 and variance 1 that depend on seed and name alone.
fn normal(seed: u64, name: &str) -> impl FnMut() -> f32 {
    let digest = sha256(&[&seed.to_le_bytes(), name.as_bytes()]);
    learner::normal(ChaCha8Rng::from_seed(digest.0))
}
