//! Measurements as a PartitionProfile.

use std::{collections::BTreeMap, thread, time::SystemTime};

use anyhow::Context as _;
use autotiler_core::{Route, profile::Profile};
use autotiler_crds::{
    PartitionProfile, PartitionProfileSpec,
    profile::{DeviceTime, MeasuredPoint, MeasuredRate, MeasuredRoute, ServerTime},
};
use autotiler_eval::profile::{MeasuredPoint as Measurement, Planned};
use autotiler_model::Model;

/// Longest name that Kubernetes takes for an object of ours: a DNS label.
const LONGEST_NAME: usize = 63;

/// Where measurements come from and what they are called.
pub(super) struct Origin {
    /// Of the object; from network and class if none.
    pub(super) name: Option<String>,
    pub(super) device_class: String,
    /// Pictures of the accuracy.
    pub(super) set: String,
    /// What device times are multiplied by.
    pub(super) scale_device: f64,
    /// By what runs of the network were slowed on the device.
    pub(super) slowdown: u32,
}

/// The object, checked as the controller will check it.
pub(super) fn document(
    model: &Model,
    origin: &Origin,
    measured: &[(Planned, Measurement)],
) -> anyhow::Result<PartitionProfile> {
    let points = measured.iter().map(|(planned, measured)| point(planned, measured, origin.scale_device));
    let spec = PartitionProfileSpec {
        network: model.manifest.digest,
        device_class: origin.device_class.clone(),
        uncut_map50_permille: measured.first().map(|(_, measured)| measured.uncut_map50_permille),
        points: points.collect(),
    };
    Profile::try_from(&spec)
        .context("what was measured is no profile; measure more pictures (--limit, without --quick)")?;
    let name = origin.name.clone();
    let name = name.unwrap_or_else(|| label(&format!("{}-{}", model.manifest.name, spec.device_class)));
    let mut profile = PartitionProfile::new(&name, spec);
    profile.metadata.annotations = Some(annotations(origin, measured));
    Ok(profile)
}

fn annotations(origin: &Origin, measured: &[(Planned, Measurement)]) -> BTreeMap<String, String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut all = BTreeMap::new();
    let mut say = |key: &str, value: String| all.insert(format!("autotiler.dev/{key}"), value);
    say("measured-on", format!("{cores} {} cores", std::env::consts::ARCH.replace('_', "-")));
    say("measured-at", today.get(..10).unwrap_or(&today).to_owned());
    // The name of the set alone: where it lies on this machine is nobody's business.
    let set = origin.set.rsplit(['/', '\\']).next().unwrap_or_default();
    say("accuracy-on", set.to_owned());
    say("pictures", measured.first().map_or(0, |(_, measured)| measured.pictures).to_string());
    if origin.scale_device != 1.0 {
        say("device-times-scaled-by", origin.scale_device.to_string());
    }
    if origin.slowdown != 1 {
        say("network-slowed-by", origin.slowdown.to_string());
    }
    all
}

fn point(planned: &Planned, measured: &Measurement, scale: f64) -> MeasuredPoint {
    let (route, split) = match planned.route {
        Route::Split { layer, cr } => (MeasuredRoute::Split, Some((layer.0, cr.get()))),
        Route::DeviceOnly => (MeasuredRoute::DeviceOnly, None),
        Route::ServerOnly => (MeasuredRoute::ServerOnly, None),
    };
    // Saturates, as `as` does.
    let scaled = |us: u32| (f64::from(us) * scale).round() as u32;
    let spread = measured.times.device;
    let server = measured.times.server.iter();
    let rates = measured.rates.iter();
    MeasuredPoint {
        route,
        layer: split.map(|(layer, _)| layer),
        cr: split.map(|(_, cr)| cr),
        tiler: planned.tiler.map(|(_, digest, _)| digest),
        feature_shape: planned.tiler.map(|(_, _, shape)| format!("{}x{}x{}", shape.h, shape.w, shape.c)),
        memory_kib: measured.memory_kib,
        device: DeviceTime { p50_us: scaled(spread.p50_us), p95_us: scaled(spread.p95_us) },
        server: server
            .map(|run| ServerTime { batch: run.batch, decode_us: run.decode_us, tail_us: run.tail_us })
            .collect(),
        rates: rates
            .map(|rate| MeasuredRate { bits: rate.bits, accuracy_drop_permille: rate.accuracy_drop_permille })
            .collect(),
    }
}

/// `text` as a DNS label: lower case, with `-` for whatever else cannot stand there.
fn label(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(letter).take(LONGEST_NAME).collect();
    label.trim_matches('-').to_owned()
}

/// A name that the object's schema takes as deviceClass.
pub(super) fn device_class(text: &str) -> Result<String, String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = edge(text.chars().next()) && edge(text.chars().last());
    if text.len() <= LONGEST_NAME && ends && text.chars().all(inner) {
        Ok(text.to_owned())
    } else {
        Err("a device class is 1 to 63 letters, digits, '-', '_' or '.', a letter or digit at both ends"
            .to_owned())
    }
}

/// A name that Kubernetes takes.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    if !text.is_empty() && label(text) == text {
        Ok(text.to_owned())
    } else {
        Err("the name must be 1 to 63 lower-case letters, digits or '-', a letter or digit at both ends"
            .to_owned())
    }
}

/// A factor of device times.
pub(super) fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.001..=1000.0).contains(&scale) => Ok(scale),
        _ => {
            Err("the factor must be a number from 0.001 to 1000; 10 is a device ten times slower".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use autotiler_eval::profile::{self, Rate as MeasuredAs, Run, Times};

    use super::*;

    fn street() -> Model {
        Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/street")).unwrap()
    }

    fn measured(planned: &Planned) -> Measurement {
        let alone = planned.route == Route::DeviceOnly;
        let server = [Run { batch: 1, decode_us: 2_000, tail_us: 3_000 }];
        let rates = [(2_000, 90), (9_000, 0)];
        let rates = rates.map(|(bits, accuracy_drop_permille)| MeasuredAs { bits, accuracy_drop_permille });
        Measurement {
            times: Times {
                device: profile::Spread { p50_us: 10_001, p95_us: 12_000 },
                server: if alone { Vec::new() } else { server.to_vec() },
            },
            rates: if alone { Vec::new() } else { rates.to_vec() },
            memory_kib: 7,
            uncut_map50_permille: 912,
            pictures: 60,
        }
    }

    fn written(scale_device: f64) -> PartitionProfile {
        let model = street();
        let planned = profile::plan(&model, None, &[36], &[]).unwrap();
        let all: Vec<_> = planned.into_iter().map(|planned| (planned.clone(), measured(&planned))).collect();
        let set = "/home/someone/VOCdevkit:val".to_owned();
        let origin =
            Origin { name: None, device_class: "Orin_NX.8".to_owned(), set, scale_device, slowdown: 1 };
        document(&model, &origin, &all).unwrap()
    }

    #[test]
    fn the_yaml_is_an_object_that_comes_back() {
        let profile = written(1.0);
        let text = serde_yaml::to_string(&profile).unwrap();
        let back: PartitionProfile = autotiler_crds::manifest::parse(&text).unwrap();
        assert_eq!(back.spec, profile.spec);
        assert_eq!(back.metadata.name.as_deref(), Some("street-orin-nx-8"));
        let annotations = back.metadata.annotations.unwrap();
        assert_eq!(annotations["autotiler.dev/accuracy-on"], "VOCdevkit:val");
        assert!(!annotations.contains_key("autotiler.dev/device-times-scaled-by"));
        let split = &back.spec.points[1];
        assert_eq!((split.layer, split.cr), (Some(36), Some(1)));
        assert_eq!(split.feature_shape.as_deref(), Some("32x32x32"));
        assert!(split.tiler.is_some());
    }

    #[test]
    fn a_slower_device_is_slower_and_says_so() {
        let profile = written(10.0);
        let times = |profile: &PartitionProfile| {
            profile.spec.points.iter().map(|point| (point.device, point.server.clone())).collect::<Vec<_>>()
        };
        for ((slow, server), (here, same)) in times(&profile).into_iter().zip(times(&written(1.0))) {
            assert_eq!((slow.p50_us, slow.p95_us), (10 * here.p50_us, 10 * here.p95_us));
            assert_eq!(server, same);
        }
        let annotations = profile.metadata.annotations.unwrap();
        assert_eq!(annotations["autotiler.dev/device-times-scaled-by"], "10");
    }

    #[test]
    fn names_are_what_kubernetes_takes() {
        assert_eq!(label("Street Orin_NX."), "street-orin-nx");
        assert!(device_class("a").is_ok() && device_class("jetson-orin_2.1").is_ok());
        for bad in ["", "-a", "a.", "a b", &"x".repeat(64)] {
            assert!(device_class(bad).is_err(), "{bad:?}");
        }
        assert!(object_name("street-2").is_ok() && object_name("Street").is_err());
        assert!(scale("10").is_ok() && scale("0").is_err() && scale("nan").is_err());
    }
}
