//! Pins: a person holds a device at one place.

use std::time::Duration;

use anyhow::{Context as _, bail};
use autotiler_core::{CompressionRatio, LayerIndex, OperatingPoint, Route, TargetBits};
use autotiler_crds::{EdgeDevice, PlacementRoute, Time, device::Pin};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, FIELD_MANAGER, is_absent};

/// Hold a device at one operating point, whatever its policy finds. Its own guard may still leave a dead link.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PinArgs {
    /// The EdgeDevice.
    device: String,
    /// The whole point: layer=36,cr=4,bits=12k, server-only,bits=60k or device-only.
    #[arg(long, value_name = "POINT", required_unless_present = "layer", conflicts_with_all = ["layer", "cr", "bits"])]
    point: Option<OperatingPoint>,
    /// Cut the network after this layer.
    #[arg(long, value_name = "N", requires = "cr")]
    layer: Option<u16>,
    /// Nominal compression ratio.
    #[arg(long, value_name = "N", requires = "layer")]
    cr: Option<CompressionRatio>,
    /// Mean bits per frame; without it, those that the controller finds best.
    #[arg(long, value_name = "N", requires = "layer")]
    bits: Option<TargetBits>,
    /// How long; without it, until unpinned.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  kubectl autotiler pin cam-0 --layer 36 --cr 4 --for 10m
  kubectl autotiler pin cam-0 --point server-only,bits=60k
  kubectl autotiler unpin cam-0";

/// Let a device follow its policy again.
#[derive(Debug, clap::Args)]
pub(crate) struct UnpinArgs {
    /// The EdgeDevice.
    device: String,
}

/// Writes the pin.
pub(crate) async fn pin(args: &PinArgs, cluster: &cluster::Options) -> anyhow::Result<()> {
    let pin = args.pin(Timestamp::now())?;
    let until =
        pin.until.as_ref().map_or("until it is unpinned".to_owned(), |until| format!("until {}", until.0));
    write(&cluster.connect().await?, &args.device, patch(Some(&pin))?).await?;
    println!("{} is held at {} {until}", args.device, shown(&pin));
    Ok(())
}

/// Removes the pin.
pub(crate) async fn unpin(args: &UnpinArgs, cluster: &cluster::Options) -> anyhow::Result<()> {
    write(&cluster.connect().await?, &args.device, patch(None)?).await?;
    println!("{} follows its policy", args.device);
    Ok(())
}

impl PinArgs {
    fn pin(&self, now: Timestamp) -> anyhow::Result<Pin> {
        let until = self.duration.map(|held| now.checked_add(held).map(Time)).transpose();
        let until = until.context("--for: that is beyond the calendar")?;
        let (route, bits) = match (self.point, self.layer, self.cr) {
            (Some(point), ..) => (point.route, point.bits()),
            (None, Some(layer), Some(cr)) => (Route::Split { layer: LayerIndex(layer), cr }, self.bits),
            _ => bail!("name a --point, or --layer and --cr"),
        };
        let (route, partition_layer, compression_ratio) = match route {
            Route::Split { layer, cr } => (PlacementRoute::Split, Some(layer.0), Some(cr.get())),
            Route::DeviceOnly => (PlacementRoute::DeviceOnly, None, None),
            Route::ServerOnly => (PlacementRoute::ServerOnly, None, None),
        };
        let target_bits = bits.map(TargetBits::get);
        Ok(Pin { route, partition_layer, compression_ratio, target_bits, until })
    }
}

fn shown(pin: &Pin) -> String {
    let number =
        |name: &str, value: Option<u32>| value.map(|value| format!(",{name}={value}")).unwrap_or_default();
    let route = match pin.route {
        PlacementRoute::DeviceOnly => "device-only".to_owned(),
        PlacementRoute::ServerOnly => "server-only".to_owned(),
        PlacementRoute::Split => format!(
            "layer={}{}",
            pin.partition_layer.unwrap_or_default(),
            number("cr", pin.compression_ratio.map(u32::from))
        ),
    };
    format!("{route}{}", number("bits", pin.target_bits))
}

/// A merge patch: what the new pin does not say, the old one must not add.
fn patch(pin: Option<&Pin>) -> anyhow::Result<Value> {
    let mut fields = serde_json::to_value(pin)?;
    if let Some(fields) = fields.as_object_mut() {
        for name in ["partitionLayer", "compressionRatio", "targetBits", "until"] {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    Ok(json!({"spec": {"pin": fields}}))
}

async fn write(cluster: &Cluster, device: &str, patch: Value) -> anyhow::Result<()> {
    let devices: Api<EdgeDevice> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match devices.patch(device, &params, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => {
            let known = devices.list(&ListParams::default().limit(20)).await?.items;
            let known: Vec<_> = known.iter().map(|device| device.name_any()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            bail!("no EdgeDevice {device} in namespace {} (-n); there are: {known}", cluster.namespace)
        }
        Err(error) => Err(error).with_context(|| format!("changing the EdgeDevice {device}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        pin: PinArgs,
    }

    fn parse(more: &[&str]) -> Result<Pin, String> {
        let parsed =
            Command::try_parse_from([&["pin", "cam-0"], more].concat()).map_err(|error| error.to_string())?;
        parsed.pin.pin(Timestamp::UNIX_EPOCH).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pin_is_what_was_said_and_nothing_of_the_one_before() {
        let pin = parse(&["--layer", "36", "--cr", "4", "--bits", "12k", "--for", "10m"]).unwrap();
        assert_eq!(shown(&pin), "layer=36,cr=4,bits=12000");
        assert_eq!(pin.until.unwrap().0.as_second(), 600);
        let pin = parse(&["--point", "device-only"]).unwrap();
        let patch = patch(Some(&pin)).unwrap();
        assert_eq!(
            patch["spec"]["pin"],
            json!({
                "route": "DeviceOnly", "partitionLayer": null, "compressionRatio": null, "targetBits": null, "until": null,
            })
        );
    }

    #[test]
    fn half_a_point_is_refused() {
        for (bad, says) in [
            (&[][..], "--point"),
            (&["--layer", "36"], "--cr"),
            (&["--cr", "4"], "--layer"),
            (&["--point", "device-only", "--layer", "3", "--cr", "1"], "cannot be used with"),
            (&["--layer", "36", "--cr", "0"], "compression ratio"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(says), "{bad:?}: {error}");
        }
    }
}
