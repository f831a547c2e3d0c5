//! `autotiler eval`: operating points, comparisons and the paper's figures, through the real codec.

mod bench;
mod compare;
mod figures;
pub(crate) mod path;
pub(crate) mod points;

/// Score operating points on a data set: device stage, HEVC, server stage and boxes as they are served. Or compare
/// methods and make figures.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
mAP is the mean over the classes present of the area under the all-point precision-recall curve at IoU 0.5.
Bits are those of the access units alone; a frame message adds 64 bytes, and the parameter sets travel once.

Example:
  autotiler eval --model models/x --data VOCDIR --set test_voc \\
      --point uncut --point layer=16,cr=1,bits=8k --point server-only,bits=40k
  autotiler eval compare --model models/x --data VOCDIR"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    points: Option<points::Args>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Every method on one plot, with intervals, BD-rates, cost and time.
    Compare(compare::Args),
    #[command(flatten)]
    Figures(figures::Command),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match (&args.command, &args.points) {
        (Some(Command::Compare(args)), _) => compare::run(args),
        (Some(Command::Figures(command)), _) => figures::run(command),
        (None, Some(args)) => points::run(args),
        (None, None) => anyhow::bail!("nothing to score: give --model, --data and --point, or a command"),
    }
}
