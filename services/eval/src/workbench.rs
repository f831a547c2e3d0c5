//! A data set, looked at without compression once, and methods carried over it by several workers.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use autotiler_core::average_precision::{Matched, match_picture};
use autotiler_graph::Tensor;
use autotiler_model::sha256;
use autotiler_pipeline::{BoxFinder, BoxOptions, RawHeads, input_tensor};
use serde::{Deserialize, Serialize};

use crate::{
    cache,
    carry::{Carried, Stages, Workshop, carrier},
    divergence::{HeadFields, divergence},
    error::EvalError,
    method::{Method, Setting},
    pictures::{PictureSet, Sample},
};

/// Pictures that stages are timed on, one after another.
const TIMED_PICTURES: usize = 12;

/// What became of one picture at one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Bits that travel.
    pub bits: u32,
    /// Divergence of the raw heads from those without compression, nats.
    pub kl: f64,
    /// Structural similarity of the decoded plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssim: Option<f64>,
    /// Detections held against the truth.
    pub matched: Matched,
}

/// All pictures at one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// How coarse.
    pub setting: Setting,
    /// By picture, in the set's order.
    pub outcomes: Vec<Outcome>,
}

/// All that was measured of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its ladder.
    pub trials: Vec<Trial>,
    /// Median time of each stage, nothing else running, at the middle setting.
    pub ms: StageMs,
}

/// Milliseconds of each stage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StageMs {
    /// Head and tiler.
    pub device: f64,
    /// Coding.
    pub encode: f64,
    /// Decoding.
    pub decode: f64,
    /// The tiler's inverse and the tail.
    pub server: f64,
}

/// Told how far a method is.
pub trait Watcher: Sync {
    /// `method` will carry so many pictures.
    fn begin(&self, method: &Method, pictures: usize);
    /// One picture more.
    fn step(&self);
    /// The method is done; `cached` where nothing had to be run.
    fn end(&self, cached: bool);
    /// Something else goes on that takes its time.
    fn say(&self, what: &str) {
        let _ = what;
    }
}

/// See the module.
pub struct Workbench<'a> {
    workshop: Workshop<'a>,
    set: String,
    samples: Vec<Prepared>,
    uncut: Vec<Matched>,
    finder: BoxFinder,
    fields: Vec<HeadFields>,
    workers: usize,
    cache: Option<PathBuf>,
}

/// A picture and what the uncut network says of it.
struct Prepared {
    sample: Sample,
    heads: RawHeads,
}

impl<'a> Workbench<'a> {
    /// Reads the pictures of `set` and runs the uncut network over them. Results are kept in `cache`.
    ///
    /// # Errors
    /// [`EvalError::NoPictures`], [`EvalError::NoObjects`], or the engine's.
    pub fn new(
        workshop: Workshop<'a>,
        set: &PictureSet,
        workers: usize,
        cache: Option<PathBuf>,
        mut step: impl FnMut(),
    ) -> Result<Self, EvalError> {
        let network = &workshop.model.network;
        let mut whole = workshop.engine.load(&network.graph)?;
        let mut samples = Vec::new();
        for index in 0..set.len() {
            step();
            let Some(sample) = set.load(index) else { continue };
            let heads = heads_of(&whole.run(&[input_tensor(&sample.picture, network.input)])?)?;
            samples.push(Prepared { sample, heads });
        }
        if samples.is_empty() {
            return Err(EvalError::NoPictures(set.name().to_owned()));
        }
        if samples.iter().all(|prepared| prepared.sample.truth.is_empty()) {
            return Err(EvalError::NoObjects(set.name().to_owned()));
        }
        let finder = BoxFinder::new(network, BoxOptions::default());
        let matched =
            |p: &Prepared| Ok::<_, EvalError>(match_picture(&finder.find(&p.heads)?, &p.sample.truth));
        let uncut = samples.iter().map(matched).collect::<Result<_, _>>()?;
        let fields = network.heads.iter();
        let fields =
            fields.map(|head| HeadFields { anchors: head.mask.len(), classes: head.classes }).collect();
        let set = set.name().to_owned();
        Ok(Self { workshop, set, samples, uncut, finder, fields, workers: workers.max(1), cache })
    }

    /// Network, tilers, engine and codec.
    pub fn workshop(&self) -> Workshop<'a> {
        self.workshop
    }

    /// Name of the set.
    pub fn set(&self) -> &str {
        &self.set
    }

    /// Pictures that could be read.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The pictures.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().map(|prepared| &prepared.sample)
    }

    /// What the uncut network finds, by picture.
    pub fn uncut(&self) -> &[Matched] {
        &self.uncut
    }

    /// Classes of the network.
    pub fn classes(&self) -> &[String] {
        &self.workshop.model.manifest.classes
    }

    /// Carries all pictures by `method` at each of `settings`, or reads what an earlier run kept.
    ///
    /// # Errors
    /// [`EvalError::Carry`] names the picture.
    pub fn measure(
        &self,
        method: Method,
        settings: &[Setting],
        watcher: &dyn Watcher,
    ) -> Result<Measured, EvalError> {
        watcher.begin(&method, self.samples.len());
        let file = match &self.cache {
            Some(folder) => Some(folder.join(self.file_name(method, settings)?)),
            None => None,
        };
        if let Some(kept) = file.as_deref().map(cache::read).transpose()?.flatten() {
            watcher.end(true);
            return Ok(kept);
        }
        let by_picture = self.carry_all(method, settings, watcher)?;
        let trials = settings.iter().enumerate().map(|(at, &setting)| {
            let outcomes = by_picture.iter().filter_map(|outcomes| outcomes.get(at).cloned()).collect();
            Trial { setting, outcomes }
        });
        let measured = Measured { trials: trials.collect(), ms: self.time(method, settings)? };
        if let Some(file) = &file {
            cache::write(file, &measured)?;
        }
        watcher.end(false);
        Ok(measured)
    }

    /// Each worker carries a run of neighbours, so that what a session remembers of earlier frames (which rung
    /// of the encoder is open) depends on the number of workers alone, not on who is faster.
    fn carry_all(
        &self,
        method: Method,
        settings: &[Setting],
        watcher: &dyn Watcher,
    ) -> Result<Vec<Vec<Outcome>>, EvalError> {
        let share = self.samples.len().div_ceil(self.workers);
        let failed = AtomicUsize::new(0);
        let first_error = Mutex::new(None);
        let carry_some = |some: &[Prepared]| -> Result<Vec<Vec<Outcome>>, EvalError> {
            let mut carrier = carrier(self.workshop, method)?;
            let mut all = Vec::with_capacity(some.len());
            for prepared in some {
                if failed.load(Ordering::Relaxed) > 0 {
                    break;
                }
                let carried = carrier.carry(&prepared.sample.picture, settings);
                let outcomes = carried.and_then(|carried| self.judge(prepared, carried));
                all.push(outcomes.map_err(|source| EvalError::Carry {
                    picture: prepared.sample.name.clone(),
                    method: method.to_string(),
                    source: Box::new(source),
                })?);
                watcher.step();
            }
            Ok(all)
        };
        let parts: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = self
                .samples
                .chunks(share)
                .map(|some| {
                    scope.spawn(|| {
                        carry_some(some).unwrap_or_else(|error| {
                            failed.fetch_add(1, Ordering::Relaxed);
                            if let Ok(mut first) = first_error.lock() {
                                first.get_or_insert(error);
                            }
                            Vec::new()
                        })
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().map_err(|_| EvalError::Worker)).collect()
        });
        if let Some(error) = first_error.into_inner().ok().flatten() {
            return Err(error);
        }
        Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn judge(&self, prepared: &Prepared, carried: Vec<Carried>) -> Result<Vec<Outcome>, EvalError> {
        carried
            .into_iter()
            .map(|carried| {
                let found = self.finder.find(&carried.heads)?;
                Ok(Outcome {
                    bits: carried.bits,
                    kl: divergence(&carried.heads.0, &prepared.heads.0, &self.fields)?,
                    ssim: carried.ssim,
                    matched: match_picture(&found, &prepared.sample.truth),
                })
            })
            .collect()
    }

    /// Median time of the stages with nothing beside them; the first picture warms up.
    fn time(&self, method: Method, settings: &[Setting]) -> Result<StageMs, EvalError> {
        let middle = settings.get(settings.len() / 2).copied();
        let mut carrier = carrier(self.workshop, method)?;
        let mut spent: Vec<Stages> = Vec::new();
        for prepared in self.samples.iter().take(TIMED_PICTURES + 1) {
            spent.extend(carrier.carry(&prepared.sample.picture, middle.as_slice())?.iter().map(|c| c.spent));
        }
        let warm = spent.get(1..).filter(|warm| !warm.is_empty()).unwrap_or(&spent);
        let median = |of: fn(&Stages) -> std::time::Duration| {
            let mut times: Vec<f64> = warm.iter().map(|stages| of(stages).as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(0.0)
        };
        Ok(StageMs {
            device: median(|s| s.device),
            encode: median(|s| s.encode),
            decode: median(|s| s.decode),
            server: median(|s| s.server),
        })
    }

    /// Name of the kept result: a digest over all that it hangs on.
    fn file_name(&self, method: Method, settings: &[Setting]) -> Result<String, EvalError> {
        let Workshop { model, encoder, .. } = self.workshop;
        let tiler = match method {
            Method::Tiler { layer, cr, kind, .. } => model.tiler(layer, cr, Some(kind))?.digest.to_string(),
            _ => String::new(),
        };
        let pictures: Vec<&str> = self.samples().map(|sample| sample.name.as_str()).collect();
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let digest = sha256(&[
            env!("CARGO_PKG_VERSION").as_bytes(),
            &model.manifest.digest.0,
            method.to_string().as_bytes(),
            tiler.as_bytes(),
            settings.join(",").as_bytes(),
            format!("{:?} {} {}", encoder.preset, encoder.base_qp, self.workers).as_bytes(),
            self.set.as_bytes(),
            pictures.join("\n").as_bytes(),
        ]);
        let slug = method.to_string().replace(' ', "-");
        Ok(format!("{slug}-{}.json", &digest.to_string()[..16]))
    }
}

/// Raw heads out of a session's outputs for one picture.
pub(crate) fn heads_of(outputs: &[Tensor]) -> Result<RawHeads, EvalError> {
    let floats = |output: &Tensor| output.as_f32().map(<[f32]>::to_vec);
    let heads = outputs.iter().map(floats).collect::<Option<Vec<_>>>();
    heads.map(RawHeads).ok_or(EvalError::Output("something else than floats from a head"))
}
