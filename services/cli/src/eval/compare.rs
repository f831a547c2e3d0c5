//! `autotiler eval compare`: every method on one plot.

use anyhow::Context as _;
use autotiler_eval::{
    Workbench, Workshop,
    choice::{Choices, Held},
    compare::{self, Comparison, Selection},
    show,
    standing::Standing,
};
use autotiler_model::TilerKind;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

use super::bench::{Bars, BenchArgs};
use crate::common::print_json;

/// Compare every method on one plot: the HEVC picture at several sizes, JPEG, raw bytes, frame per channel, Tiling,
/// and all tilers of the model, through the real codec at ten settings each.
///
/// Prints for each method the kilobits at shares of the uncut mAP, BD-rates against the HEVC picture and against
/// Tiling, cost and time; writes curves with bootstrap intervals (CSV), plots (SVG and PNG), per-class average
/// precision and compare.json. Stopped and started again it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  autotiler eval compare --model out/nano --data VOCdevkit --set test_voc,test_coco --out out/compare

JSON (compare.json, or printed with --json): methods[] with name, layer, curve[] (setting, kbit, map50,
map50_interval, loss_interval, map50_cut, kl, ssim, per_class), kbit_at (85, 90, 95), kbit_at_loss (1, 2, 3),
effective_cr, bd_rate_picture, bd_rate_tiling, kl_bits_tiling (4, 8, 14), encoder (macs, kmac_per_pixel, bytes),
ms (device, encode, decode, server).")]
pub(crate) struct Args {
    #[command(flatten)]
    bench: BenchArgs,
    /// Only tilers of these layers.
    #[arg(long, value_delimiter = ',', value_name = "LAYER")]
    layer: Vec<u16>,
    /// Only tilers of these kinds: lite, omni, klt, plain, paper, paper-solo, ae.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kind: Vec<TilerKind>,
    /// Leave out the picture, JPEG, raw bytes and frame per channel.
    #[arg(long)]
    tilers_only: bool,
    /// Choose for each layer and target the tiler with the least divergence, and write it to choice.yaml in the
    /// model. Only on a set that nothing is reported on, like val.
    #[arg(long)]
    choose: bool,
    /// Print the JSON in place of the tables.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let workbench = args.bench.open()?;
    anyhow::ensure!(
        !args.choose || !workbench.set_name().contains("test"),
        "--choose on the set {}: choosing must not see test pictures; use --set val",
        workbench.set_name()
    );
    let bars = Bars::default();
    workbench.with(&bars, |bench: &Workbench<'_>| {
        let Workshop { model, .. } = bench.workshop();
        let selection =
            Selection { layers: args.layer.clone(), kinds: args.kind.clone(), tilers_only: args.tilers_only };
        let methods = compare::methods(model, &selection);
        for layer in compare::layers_without_tiling(model) {
            eprintln!(
                "layer {layer} has no Tiling to compare with; make it with: autotiler fit --kind plain \
                 --layer {layer} --model {} --data VOCDIR",
                model.dir.display()
            );
        }
        let comparison = compare::compare(bench, &methods, &bars)?;
        bars.clear();
        let out = &args.bench.out;
        compare::write_json(&comparison, out)?;
        show::write(&comparison, out).with_context(|| format!("writing to {}", out.display()))?;
        if args.choose {
            let network = model.manifest.digest.to_string();
            let choices = Choices::from_standings(&comparison.methods, network, bench.set(), bench.len());
            choices.write(&model.dir)?;
        }
        if args.json {
            return print_json(&comparison);
        }
        print(&comparison);
        println!("plots, curves with intervals and per-class average precision: {}", out.display());
        Ok(())
    })
}

fn print(comparison: &Comparison) {
    println!(
        "{} on {}: {} pictures, uncut mAP@0.5 {:.3} ({:.3} with the paper's score cut of 0.5)",
        comparison.model,
        comparison.set,
        comparison.images,
        comparison.map50_uncut,
        comparison.map50_uncut_cut
    );
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "method",
        "layer",
        "kbit at 85 %",
        "90 %",
        "95 %",
        "-1 pt",
        "-2 pt",
        "-3 pt",
        "CR at 85 %",
        "BD picture",
        "BD tiling",
        "KL bits 4k",
        "8k",
        "14k",
    ]);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    let percent = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:+.0} %"));
    for s in &comparison.methods {
        let named = |map: &std::collections::BTreeMap<String, Option<f64>>, key: &str| {
            map.get(key).copied().flatten()
        };
        table.add_row([
            s.name.clone(),
            s.layer.map_or_else(|| "-".to_owned(), |layer| layer.to_string()),
            number(named(&s.kbit_at, "85")),
            number(named(&s.kbit_at, "90")),
            number(named(&s.kbit_at, "95")),
            number(named(&s.kbit_at_loss, "1")),
            number(named(&s.kbit_at_loss, "2")),
            number(named(&s.kbit_at_loss, "3")),
            number(s.effective_cr),
            percent(s.bd_rate_picture),
            percent(s.bd_rate_tiling),
            percent(named(&s.kl_bits_tiling, "4")),
            percent(named(&s.kl_bits_tiling, "8")),
            percent(named(&s.kl_bits_tiling, "14")),
        ]);
    }
    println!("{table}");
    print_costs(&comparison.methods);
    print_picked(&comparison.picked);
}

/// What was chosen on val, as it does here.
fn print_picked(picked: &[Held]) {
    if picked.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "picked at layer",
        "kbit",
        "tiler",
        "CR",
        "KL here",
        "Tiling's",
        "KLT's",
        "against the better",
    ]);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    for held in picked {
        table.add_row([
            held.layer.to_string(),
            format!("{:.1}", held.kbit),
            held.tiler.to_string(),
            held.cr.to_string(),
            format!("{:.1}", held.kl),
            number(held.kl_tiling),
            number(held.kl_klt),
            format!("{:+.0} %", 100.0 * held.regret()),
        ]);
    }
    println!("{table}");
}

fn print_costs(standings: &[Standing]) {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "method",
        "layer",
        "encoder kMAC/px",
        "MMAC",
        "kB",
        "device ms",
        "encode ms",
        "decode ms",
        "server ms",
    ]);
    for s in standings {
        let cost = |of: &dyn Fn(&autotiler_eval::standing::EncoderCost) -> f64, digits: usize| {
            s.encoder.as_ref().map_or_else(|| "-".to_owned(), |cost| format!("{:.digits$}", of(cost)))
        };
        table.add_row([
            s.name.clone(),
            s.layer.map_or_else(|| "-".to_owned(), |layer| layer.to_string()),
            cost(&|c| c.kmac_per_pixel, 3),
            cost(&|c| c.macs as f64 / 1e6, 2),
            cost(&|c| c.bytes as f64 / 1e3, 1),
            format!("{:.1}", s.ms.device),
            format!("{:.1}", s.ms.encode),
            format!("{:.1}", s.ms.decode),
            format!("{:.1}", s.ms.server),
        ]);
    }
    println!("{table}");
}
