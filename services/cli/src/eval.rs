//! `autotiler eval`: operating points, comparisons and the paper's figures, through the real codec.

pub(crate) mod bench;
mod compare;
mod figures;
pub(crate) mod path;
pub(crate) mod points;

use clap::Subcommand as _;

const ABOUT: &str = "Score operating points on a data set: device stage, HEVC, server stage and boxes as they are \
served. Or compare methods and make figures.";
const AFTER_HELP: &str = "\
mAP is the mean over the classes present of the area under the all-point precision-recall curve at IoU 0.5.
Bits are those of the access units alone; a frame message adds 64 bytes, and the parameter sets travel once.

Example:
  autotiler eval --model models/x --data VOCDIR --set test_voc \\
      --point uncut --point layer=16,cr=1,bits=8k --point server-only,bits=40k
  autotiler eval compare --model models/x --data VOCDIR";

/// Points to score, or a command.
#[derive(Debug)]
pub(crate) enum Args {
    /// Without a command.
    Points(Box<points::Args>),
    /// With one.
    Command(Box<Command>),
}

// By hand: an optional flattened struct that flattens others is never there for the derive.
impl clap::Args for Args {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = Command::augment_subcommands(points::Args::augment_args(command));
        command
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
            .subcommand_required(false)
            .arg_required_else_help(true)
            .about(ABOUT)
            .after_help(AFTER_HELP)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Args {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_name() {
            Some(_) => Command::from_arg_matches(matches).map(Box::new).map(Self::Command),
            None => points::Args::from_arg_matches(matches).map(Box::new).map(Self::Points),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What else can be asked.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Every method on one plot, with intervals, BD-rates, cost and time.
    Compare(compare::Args),
    #[command(flatten)]
    Figures(figures::Command),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args {
        Args::Points(args) => points::run(args),
        Args::Command(command) => match command.as_ref() {
            Command::Compare(args) => compare::run(args),
            Command::Figures(command) => figures::run(command),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Eval {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Eval::try_parse_from(line.split(' ')).map(|eval| eval.args)
    }

    #[test]
    fn points_need_no_command_and_a_command_no_points() {
        let args = parsed("eval --model m --data d --point uncut").unwrap();
        assert!(matches!(args, Args::Points(_)));
        let args = parsed("eval compare --model m --data d").unwrap();
        assert!(matches!(args, Args::Command(_)));
        assert!(parsed("eval --model m --data d").is_err());
    }
}
