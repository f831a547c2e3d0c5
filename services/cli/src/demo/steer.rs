//! The second part of the demo: a device that follows its link, and the same camera at fixed points, all at once on
//! links of their own with the same capacity over time.

mod camera;
mod figures;
mod ground;
mod interrupt;
mod link;
mod plot;
mod setting;
mod stand;
mod summary;
mod timeline;
mod truth;
mod watch;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use autotiler_core::OperatingPoint;
use autotiler_model::{Model, files};

use super::processes::Programs;
use camera::Camera;
use figures::Figures;
use ground::Ground;
use interrupt::Interrupt;
use link::Link;
use stand::Stand;
use timeline::Timeline;
use truth::Truth;
use watch::Watch;

pub(crate) use setting::{Setting, SteerArgs};
pub(crate) use summary::Steering;

/// How long all cameras may take to their first results, and the controller to its first order.
const READY: Duration = Duration::from_secs(60);
/// How often something is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Between lines of the timeline.
const LINE: Duration = Duration::from_secs(2);
/// The camera that follows its link.
const FOLLOWS: &str = "adaptive";

/// Runs all cameras over the trace, and says what each got out of it.
pub(crate) fn run(
    setting: &Setting,
    programs: &Programs,
    model_dir: &Path,
    model: &Model,
    out: &Path,
) -> anyhow::Result<Steering> {
    let stop = Interrupt::listen()?;
    let folder = out.join("steer");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let profile = setting.profile(model_dir)?;
    let cameras: Vec<(String, Option<OperatingPoint>)> = std::iter::once((FOLLOWS.to_owned(), None))
        .chain(setting.fixed.iter().map(|point| (camera::name(point), Some(*point))))
        .collect();

    // Dropped in the opposite order, also after an error or Ctrl-C: cameras, shapers, servers, namespaces.
    let ground = Ground::choose(setting.shape, cameras.len())?;
    let stand = Stand::start(programs, &ground, model_dir, &profile, FOLLOWS, &folder)?;
    let watch = Watch::start(stand.nats())?;
    let first = setting.trace.bins().first().copied().unwrap_or(0.0);
    let links = cameras
        .iter()
        .enumerate()
        .map(|(number, (name, _))| Link::start(programs, &ground, number, stand.nats(), name, first, &folder))
        .collect::<anyhow::Result<Vec<Link>>>()?;
    let mut running = Vec::new();
    for ((name, point), link) in cameras.iter().zip(&links) {
        running.push(Camera::start(programs, setting, model_dir, name, *point, link, &folder)?);
    }
    eprintln!(
        "\n{} cameras at {} pictures a second, networks {} times slower than this machine runs them, links by {}\n\
         live page, while it lasts: {}",
        running.len(),
        setting.fps,
        setting.slowdown,
        ground.what(),
        stand.page()
    );
    wait_ready(&mut running, &watch, &stop)?;

    links.iter().try_for_each(|link| link.play(&setting.trace))?;
    let mut truth = Truth::new(model);
    let mut timeline = Timeline::new(&setting.trace);
    let start = Instant::now();
    let mut line = Instant::now();
    while start.elapsed().as_secs_f64() < setting.trace.length_s() {
        stop.check()?;
        running.iter_mut().try_for_each(Camera::check)?;
        if line.elapsed() >= LINE
            && let (Some(follows), Some(link)) = (running.first(), links.first())
        {
            line = Instant::now();
            timeline.say(follows, link, &watch, &mut truth)?;
        }
        std::thread::sleep(LOOK);
    }
    // What is still under way comes home, so that the accounts can close.
    links.iter().try_for_each(Link::open)?;
    let ended: Vec<_> = running.into_iter().map(Camera::stop).collect::<anyhow::Result<_>>()?;

    let mut figures = Vec::new();
    for (camera, link) in ended.iter().zip(&links) {
        figures.push(Figures::of(camera, link, &watch, setting.trace.length_s(), &mut truth)?);
    }
    let steering = Steering::new(setting, ground.what(), &profile, figures);
    let picture = plot::draw(&setting.trace, &steering)?;
    files::write(&out.join("steer.png"), &picture)?;
    Ok(steering)
}

/// Until every camera has results and the one that follows has an order.
fn wait_ready(cameras: &mut [Camera], watch: &Watch, stop: &Interrupt) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY;
    loop {
        stop.check()?;
        cameras.iter_mut().try_for_each(Camera::check)?;
        let waiting = cameras.iter().find(|camera| {
            let word = watch.newest(camera.name());
            !word.is_some_and(|word| word.received > 0 && (word.epoch.0 > 0 || camera.name() != FOLLOWS))
        });
        let Some(waiting) = waiting else { return Ok(()) };
        anyhow::ensure!(
            Instant::now() < deadline,
            "{} has no {} after {READY:?}; logs are in the folder steer",
            waiting.name(),
            if waiting.name() == FOLLOWS { "order or no result" } else { "result" }
        );
        std::thread::sleep(LOOK);
    }
}
