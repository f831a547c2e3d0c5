//! `autotiler eval figures`, and each of the paper's experiments alone.

use std::fs;

use anyhow::Context as _;
use autotiler_eval::{
    Workbench,
    figures::{self, Extent, FigureId, Study},
    report::{self, Made},
};
use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::bench::{Bars, BenchArgs};

/// Pictures of a quick look.
const QUICK_PICTURES: usize = 40;

/// The paper's experiments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// All of the paper's figures and its table, and REPORT.md.
    ///
    /// Needs tilers of kind plain, paper, paper-solo and ae at the paper's five points:
    /// `autotiler fit --kind plain`, `autotiler train tilers --preset paper`. A figure whose tilers are missing is
    /// named in the report and on standard error; the others are made, and the exit status tells.
    Figures(Args),
    /// Fig. 3: JPEG of ever smaller parts of a picture.
    Fig3(Args),
    /// Fig. 4: spatial similarity of planes.
    Fig4(Args),
    /// Fig. 5: a picture and its planes.
    Fig5(Args),
    /// Fig. 7: nominal compression ratio and accuracy.
    Fig7(Args),
    /// Fig. 9: independent against variable auto-tilers.
    Fig9(Args),
    /// Table 1: storage.
    Table1(Args),
    /// Fig. 10: structural similarity and rate.
    Fig10(Args),
    /// Fig. 11: accuracy and rate at the deepest point.
    Fig11(Args),
    /// Fig. 12a: accuracy at one rate.
    Fig12a(Args),
    /// Fig. 12b: bits at lossless coding.
    Fig12b(Args),
    /// Fig. 12c: accuracy at lossless coding.
    Fig12c(Args),
    /// Fig. 12d: bits for one accuracy.
    Fig12d(Args),
    /// Fig. 13: range of effective compression ratios.
    Fig13(Args),
    /// Fig. 14: time of each stage at the paper's shapes.
    Fig14(Args),
}

/// Which model on which pictures.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes NAME.csv, NAME.svg and NAME.png for each figure into --out, and REPORT.md (for one figure alone NAME.md).
Stopped and started again it goes on where it was; what was measured is kept in --out/kept.

Example:
  autotiler eval figures --model out/nano --data VOCdevkit --set test_voc,test_coco --out out/figures")]
pub(crate) struct Args {
    #[command(flatten)]
    bench: BenchArgs,
    /// A look at the shape of things: 40 pictures, four settings of each method.
    #[arg(long)]
    quick: bool,
}

impl Command {
    fn parts(&self) -> (&Args, &'static [FigureId]) {
        use FigureId as Id;
        match self {
            Self::Figures(args) => (args, &Id::ALL),
            Self::Fig3(args) => (args, &[Id::Fig3]),
            Self::Fig4(args) => (args, &[Id::Fig4]),
            Self::Fig5(args) => (args, &[Id::Fig5]),
            Self::Fig7(args) => (args, &[Id::Fig7]),
            Self::Fig9(args) => (args, &[Id::Fig9]),
            Self::Table1(args) => (args, &[Id::Table1]),
            Self::Fig10(args) => (args, &[Id::Fig10]),
            Self::Fig11(args) => (args, &[Id::Fig11]),
            Self::Fig12a(args) => (args, &[Id::Fig12a]),
            Self::Fig12b(args) => (args, &[Id::Fig12b]),
            Self::Fig12c(args) => (args, &[Id::Fig12c]),
            Self::Fig12d(args) => (args, &[Id::Fig12d]),
            Self::Fig13(args) => (args, &[Id::Fig13]),
            Self::Fig14(args) => (args, &[Id::Fig14]),
        }
    }
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let (args, ids) = command.parts();
    let mut bench_args = args.bench.clone();
    let extent = if args.quick { Extent::Quick } else { Extent::Full };
    if args.quick {
        bench_args.limit = Some(bench_args.limit.map_or(QUICK_PICTURES, |limit| limit.min(QUICK_PICTURES)));
    }
    let out = &bench_args.out;
    fs::create_dir_all(out).with_context(|| format!("making the folder {}", out.display()))?;
    let opened = bench_args.open()?;
    let bars = Bars::default();
    opened.with(&bars, |bench: &Workbench<'_>| {
        let study = Study::new(bench, &bars, extent, Some(out.join("kept")));
        let made: Vec<Made> = ids.iter().map(|&id| make(id, &study, out)).collect();
        bars.clear();
        let name = if let [id] = ids { format!("{id}.md") } else { "REPORT.md".to_owned() };
        report::write(&out.join(&name), &study, &spoken(args, ids, opened.set_name()), &made)?;
        print(&made);
        println!("{} with plots and tables: {}", name, out.display());
        let failed: Vec<String> =
            made.iter().filter_map(|(id, made)| Some(format!("{id}: {}", made.as_ref().err()?))).collect();
        anyhow::ensure!(failed.is_empty(), "not made: {}", failed.join("; "));
        Ok(())
    })
}

fn make(id: FigureId, study: &Study<'_>, out: &std::path::Path) -> Made {
    eprintln!("{}", id.title());
    let made = figures::make(id, study, out);
    (id, made.map_err(|error| format!("{:#}", anyhow::Error::from(error))))
}

/// The command that makes the same again, on any machine: paths by what they are, not where.
fn spoken(args: &Args, ids: &[FigureId], set: &str) -> String {
    let what = if let [id] = ids { id.name() } else { "figures" };
    let name = |path: &std::path::Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let model = name(&args.bench.model).unwrap_or_else(|| "MODEL".to_owned());
    let data = name(&args.bench.data).unwrap_or_else(|| "VOCDIR".to_owned());
    let limit = args.bench.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
    let quick = if args.quick { " --quick" } else { "" };
    format!("autotiler eval {what} --model {model} --data {data} --set {set}{limit}{quick}")
}

fn print(made: &[Made]) {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["figure", "paper says", "here", "holds?"]);
    for (id, made) in made {
        match made {
            Ok(figure) => {
                for claim in &figure.claims {
                    let verdict = claim.verdict.to_string();
                    table.add_row([id.name(), claim.paper.as_str(), claim.here.as_str(), verdict.as_str()]);
                }
            }
            Err(why) => {
                table.add_row([id.name(), "-", why.as_str(), "not made"]);
            }
        }
    }
    println!("{table}");
}
