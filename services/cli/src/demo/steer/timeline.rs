//! What happens, while it happens: a line each two seconds.

use autotiler_core::Route;
use autotiler_simulator::Trace;

use super::{camera::Camera, link::Link, truth::Truth, watch::Watch};

/// Seconds after which a frame's fate is known in any case: the edge gives up answers after two.
const SETTLED_S: f64 = 2.5;
/// Frames whose times are shown.
const LATELY_US: u64 = 2_000_000;

/// Prints lines.
pub(super) struct Timeline {
    trace_s: f64,
    began: bool,
}

impl Timeline {
    pub(super) fn new(trace: &Trace) -> Self {
        Self { trace_s: trace.length_s(), began: false }
    }

    /// One line about the camera that follows its link.
    pub(super) fn say(
        &mut self,
        camera: &Camera,
        link: &Link,
        watch: &Watch,
        truth: &mut Truth,
    ) -> anyhow::Result<()> {
        let (Some(began), Some(zero), Some(word)) =
            (link.began_unix_ms()?, watch.zero_unix_ms(camera.name()), watch.newest(camera.name()))
        else {
            return Ok(());
        };
        if !self.began {
            self.began = true;
            eprintln!(
                "\n  time | link kbit/s | measured | operating point in force  | latency ms | guarded | mAP so far"
            );
        }
        let now_s = (unix_ms() as f64 - began as f64) / 1e3;
        let begin_us = (began as f64 - zero as f64) * 1e3;
        let frames = camera.frames()?;
        let known = frames.iter().filter(|frame| {
            let at_s = (frame.captured_us as f64 - begin_us) / 1e6;
            (0.0..now_s - SETTLED_S).contains(&at_s)
        });
        let found = known.map(|frame| (frame.sequence, frame.detections.as_deref().unwrap_or_default()));
        let map50 = truth.map50(found);
        // The newest frames say what is in force, also while nothing gets through to tell it.
        let newest = frames.iter().max_by_key(|frame| frame.captured_us);
        let Some(point) = newest.map(|frame| frame.point) else { return Ok(()) };
        let guarded = word.guarded_for_ms.is_some()
            || (point.route == Route::DeviceOnly && word.assigned.route != Route::DeviceOnly);
        let since_us = newest.map_or(0, |frame| frame.captured_us.saturating_sub(LATELY_US));
        let mut lately: Vec<f64> = frames
            .iter()
            .filter(|frame| frame.captured_us >= since_us)
            .filter_map(|frame| frame.total_ms)
            .collect();
        lately.sort_by(f64::total_cmp);
        let kbps = |bps: f64| if bps.is_finite() { format!("{:.0}", bps / 1e3) } else { "open".to_owned() };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        eprintln!(
            "{:4.0} s | {:>11} | {:>8} | {:25} | {:>10} | {:7} | {:.3}",
            now_s.min(self.trace_s),
            or_dash(link.rates()?.last().map(|(_, bps)| kbps(*bps))),
            or_dash(word.uplink_bps.map(|bps| kbps(bps as f64))),
            point.to_string(),
            or_dash(lately.get(lately.len() / 2).map(|ms| format!("{ms:.0}"))),
            if guarded { "yes" } else { "" },
            map50
        );
        Ok(())
    }
}

fn unix_ms() -> u64 {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    unix.as_millis() as u64
}
