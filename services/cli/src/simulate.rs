//! `autotiler simulate`: a policy on recorded links, in virtual time, beside what could be had at best.

mod knob;
mod plot;
mod table;

use std::{
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use autotiler_core::{decision::Policy, profile::Profile};
use autotiler_crds::{AutoTilerPolicy, PartitionProfile, manifest};
use autotiler_simulator::{LinkReport, Settings, Trace, TraceFigures, mean_row, study};
use serde::Serialize;

use self::knob::Knob;

/// Length of the pieces of joined traces, in seconds.
const PIECE_S: f64 = 60.0;

/// Replay recorded links against the decision of a policy, in virtual time.
///
/// Controller, guard and bits are the code that runs on real devices; only camera, device, link and clock are
/// simulated. Beside the policy stand a per-frame oracle (each frame alone, the future known), a clairvoyant (the real
/// queue, the future known), the static point that is best on the link in hindsight, server-only and device-only.
///
/// All times are effective times: a frame's ends when its own result or that of a newer frame is there, and is a
/// second at most. So a dropped frame costs the wait for the next result, and dropping pays nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A PartitionProfile in YAML, as `autotiler profile` writes it.
    #[arg(long, env = "AUTOTILER_PROFILE", value_name = "FILE")]
    profile: PathBuf,
    /// An AutoTilerPolicy in YAML; its selector and its Prometheus are not asked. Without it: the defaults.
    #[arg(long, env = "AUTOTILER_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A link: CSV with the line `time_ms,capacity_bps` and then one line for each 100 ms. May be given again.
    #[arg(long, env = "AUTOTILER_TRACE", required = true, value_delimiter = ',', value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Frames that the camera captures in a second.
    #[arg(long, env = "AUTOTILER_FPS", default_value = "10", value_parser = positive, value_name = "N")]
    fps: f64,
    /// Runs for each link, with other frame sizes and errors of measuring. The same number gives the same figures.
    #[arg(long, env = "AUTOTILER_SEEDS", default_value = "3", value_name = "N")]
    seeds: NonZeroU64,
    /// Capacities times this factor: 0.3 is a link that three cameras share. Several make several links of each.
    #[arg(long, env = "AUTOTILER_SCALE", default_value = "1", value_delimiter = ',', value_parser = positive,
          value_name = "FACTOR")]
    scale: Vec<f64>,
    /// One more link: 60 seconds of each in turn, a network that changes.
    #[arg(long, env = "AUTOTILER_JOIN")]
    join: bool,
    /// Round trip of an empty message.
    #[arg(long, env = "AUTOTILER_RTT", default_value = "60ms", value_parser = humantime::parse_duration,
          value_name = "TIME")]
    rtt: Duration,
    /// Time between two looks of the controller.
    #[arg(long, env = "AUTOTILER_SWEEP", default_value = "1s", value_parser = longer_than_nothing,
          value_name = "TIME")]
    sweep: Duration,
    /// From a decision to the device's having it.
    #[arg(long, env = "AUTOTILER_ORDER_DELAY", default_value = "100ms", value_parser = humantime::parse_duration,
          value_name = "TIME")]
    order_delay: Duration,
    /// Measured capacities are off by up to this share, at random.
    #[arg(long, env = "AUTOTILER_NOISE", default_value = "0.1", value_parser = share, value_name = "SHARE")]
    noise: f64,
    /// Frames miss their target size by up to this share, at random.
    #[arg(long, env = "AUTOTILER_JITTER", default_value = "0.2", value_parser = share, value_name = "SHARE")]
    jitter: f64,
    /// Frames that the device works on at a time: 1 for a device that does one thing at a time, whose slow points
    /// give fewer results; many for one whose time is only delay.
    #[arg(long, env = "AUTOTILER_OVERLAP", default_value = "1", value_parser = at_least_one, value_name = "N")]
    overlap: f64,
    /// Change one knob of the policy, like guard.queueAge=400ms; see the list below. May be given again.
    #[arg(long = "set", env = "AUTOTILER_SET", value_delimiter = ';', value_name = "KNOB=VALUE")]
    knobs: Vec<Knob>,
    /// Write all figures as JSON; `-` for standard output, in place of the table.
    #[arg(long, env = "AUTOTILER_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw FILE (the first link over time, with the operating point) and FILE-links (all strategies on all links),
    /// as PNG and SVG.
    #[arg(long, env = "AUTOTILER_PLOT", value_name = "FILE.png")]
    plot: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Example:
  autotiler simulate --profile services/simulator/profiles/small.yaml \\
    --policy services/simulator/profiles/policy.yaml --trace ../shared/data/traces/att-lte-driving-up.csv \\
    --plot out/simulate.png
  ... --trace a.csv --trace b.csv --scale 1,0.3 --join      links that change, shared by three cameras
  ... --set guard=Off --set bits=Fixed                      what the parts are good for

Knobs of --set:
  degrade.window, recover.window, recover.minDwell, capacityHalfLife, maxAge, maxSwitches.period   times, like 3s
  degrade.minImprovementPercent, recover.minImprovementPercent, maxSwitches.count, warmupSamples   numbers
  bits                 Fixed or OnDevice         maxCutPermille       0 to 1000
  guard                Off                       guard.queueAge, guard.hold   times
  guard.safePoint      Auto or an operating point, like device-only or layer=36,cr=4,bits=12k
  maxLatency           a time                    maxAccuracyDropPermille      0 to 1000

JSON: traces[] with name, regret, regret_calm, late_share, mean_ms, best_static_mean_ms, p50_ms, p95_ms,
best_static_p95_ms, server_only_p95_ms, device_only_p95_ms, switches_per_min, guard_moves_per_min, cut_share. Shares lie
from 0 to 1; a regret of 0.18 is a mean 18 % above the oracle's.";

/// What is written as JSON.
#[derive(Serialize)]
struct Report<'a> {
    traces: Vec<&'a TraceFigures>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let profile = load_profile(&args.profile)?;
    let mut policy = args.policy.as_deref().map_or_else(|| Ok(Policy::default()), load_policy)?;
    args.knobs.iter().for_each(|knob| knob.turn(&mut policy));
    policy.check().context("the policy")?;
    let links = links(args)?;
    let settings = Settings {
        frames_per_second: args.fps,
        rtt: args.rtt,
        sweep: args.sweep,
        order_delay: args.order_delay,
        size_jitter: args.jitter,
        capacity_noise: args.noise,
        overlap: args.overlap,
    };
    let eligible = autotiler_simulator::way::ways(&profile, &policy).into_iter().any(|way| way.eligible);
    anyhow::ensure!(
        eligible,
        "the policy allows no point of {}: widen candidates, or raise maxAccuracyDropPermille",
        args.profile.display()
    );
    let reports: Vec<LinkReport> =
        links.iter().map(|link| study(link, &profile, &policy, settings, args.seeds.get())).collect();

    if let Some(file) = &args.plot {
        plot::draw(file, &links, &reports)?;
    }
    if let Some(file) = &args.json {
        let traces = reports.iter().map(|report| &report.figures).collect();
        let text = serde_json::to_string_pretty(&Report { traces })?;
        if file.as_os_str() == "-" {
            println!("{text}");
            return Ok(());
        }
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    let rows: Vec<TraceFigures> = reports.iter().map(|report| report.figures.clone()).collect();
    table::print(&reports, &mean_row(&rows));
    Ok(())
}

fn load_profile(file: &Path) -> anyhow::Result<Profile> {
    let object: PartitionProfile = manifest::read(file)?;
    Profile::try_from(&object.spec).with_context(|| file.display().to_string())
}

fn load_policy(file: &Path) -> anyhow::Result<Policy> {
    let object: AutoTilerPolicy = manifest::read(file)?;
    Policy::try_from(&object.spec).with_context(|| file.display().to_string())
}

/// Every trace at every scale, and all of them joined.
fn links(args: &Args) -> anyhow::Result<Vec<Trace>> {
    let traces = args.trace.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<Trace>>>()?;
    let mut links: Vec<Trace> =
        args.scale.iter().flat_map(|&factor| traces.iter().map(move |trace| trace.scaled(factor))).collect();
    if args.join {
        links.push(Trace::joined("joined", &links, PIECE_S));
    }
    for link in &links {
        anyhow::ensure!(link.length_s() > 2.0, "{}: shorter than 2 seconds: record more", link.name());
    }
    Ok(links)
}

fn read(file: &Path) -> anyhow::Result<Trace> {
    let text = fs::read_to_string(file).with_context(|| format!("reading the trace {}", file.display()))?;
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    Ok(Trace::parse(name.trim_end_matches("-up"), &file.display().to_string(), &text)?)
}

fn number(text: &str, least: f64, most: f64, what: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(what.to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, 1e-3, 1e4, "write a number above 0, like 0.3 or 10")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 0.0, 0.9, "write a share from 0 to 0.9, like 0.1")
}

fn at_least_one(text: &str) -> Result<f64, String> {
    number(text, 1.0, 1e6, "write a number from 1 on")
}

fn longer_than_nothing(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_millis(10) { Err("write a time from 10ms on".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_and_the_policy_of_the_simulator_are_read() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/profiles"));
        load_profile(&folder.join("small.yaml")).unwrap();
        load_profile(&folder.join("yolov3-like.yaml")).unwrap();
        let policy = load_policy(&folder.join("policy.yaml")).unwrap();
        assert_eq!(policy.behavior.guard.unwrap().queue_age, Duration::from_millis(400));
        assert_eq!(policy.behavior.recover.window, Duration::from_secs(2));
    }
}
