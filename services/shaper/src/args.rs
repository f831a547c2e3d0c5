//! Options of the process, by flag or environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::{
    interface::Interface,
    link::{Link, LinkError},
    play::Source,
    rate::Rate,
    relay::{Relay, RelayOptions},
    schedule::{BadSchedule, Schedule},
};

/// Gives a link the rates of a schedule: constant, in steps and ramps, or as they were recorded.
///
/// Either what leaves through an interface is shaped by tc, which needs NET_ADMIN and is undone at the end, or a TCP
/// relay paces what goes through it, which needs no rights. Each rate that comes into force is a line of JSON on
/// standard output: unix_ms, schedule, at_s, bps (null without a limit).
#[derive(Debug, Clone, Parser)]
#[command(name = "autotiler-shaper", version, after_help = AFTER_HELP, max_term_width = 110)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["interface", "listen"]))]
#[command(group = clap::ArgGroup::new("which").required(true).args(["schedule", "schedule_file"]))]
pub struct Args {
    /// Shape what leaves through this interface, by tc. Rates are means of a second.
    #[arg(long, env = "AUTOTILER_SHAPER_INTERFACE", value_name = "NAME", conflicts_with = "to")]
    pub interface: Option<String>,
    /// Relay connections that are made to this address, in place of shaping an interface; port 0 takes a free one.
    #[arg(long, env = "AUTOTILER_SHAPER_LISTEN", value_name = "ADDRESS:PORT", requires = "to")]
    pub listen: Option<SocketAddr>,
    /// Where relayed connections go on to.
    #[arg(long, env = "AUTOTILER_SHAPER_TO", value_name = "ADDRESS:PORT", requires = "listen")]
    pub to: Option<SocketAddr>,
    /// The schedule: a rate, or pieces with commas between them.
    #[arg(long, visible_alias = "rate", env = "AUTOTILER_SHAPER_SCHEDULE", value_name = "SCHEDULE",
          value_parser = read_schedule)]
    pub schedule: Option<Schedule>,
    /// The schedule in a file: pieces, one a line, or a recorded trace. When the file changes it is read again and
    /// begins anew; a file with a mistake is told and changes nothing.
    #[arg(long, visible_aliases = ["rate-file", "trace"], env = "AUTOTILER_SHAPER_FILE", value_name = "FILE")]
    pub schedule_file: Option<PathBuf>,
    /// Begin the schedule again at its end; without it the last rate stays.
    #[arg(long, env = "AUTOTILER_SHAPER_REPEAT", conflicts_with = "end")]
    pub repeat: bool,
    /// End with the schedule.
    #[arg(long, env = "AUTOTILER_SHAPER_END")]
    pub end: bool,
    /// Of a relay: the rate of what comes back.
    #[arg(long, env = "AUTOTILER_SHAPER_DOWN", default_value = "open", value_name = "RATE")]
    pub down: Rate,
    /// Of a relay: bytes that wait at it, acknowledged though not carried. More of them hide the rate from a device that
    /// measures its link.
    #[arg(long, env = "AUTOTILER_SHAPER_BUFFER", default_value_t = 4096, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(2048..=1 << 20))]
    pub buffer: u32,
}

const AFTER_HELP: &str = "\
A schedule's pieces: RATE, RATE for TIME, RATE to RATE for TIME (a ramp); the last may do without a
time. Rates are bits per second, like 500k, 2.5M, 8mbit; 0 is a dead link, open one without a limit.
In a file # begins a remark. A recorded trace is a CSV file with the line `time_ms,capacity_bps` and
then one line for each 100 ms.

Examples:
  autotiler-shaper --interface eth0 --schedule '8M for 20s, 500k for 60s, 8M to 2M for 10s'
  autotiler-shaper --interface eth0 --schedule-file /etc/link/schedule    edit it: the link follows
  autotiler-shaper --listen 127.0.0.1:4300 --to 127.0.0.1:4222 --trace uplink.csv --repeat
  ip netns exec cam autotiler-shaper --interface veth0 --rate 500k        in another namespace

SIGTERM or SIGINT: the interface carries again what it can; a relay's connections end.";

impl Args {
    /// Where the schedule comes from.
    pub fn source(&self) -> Source {
        match (&self.schedule_file, &self.schedule) {
            (Some(file), _) => Source::File(file.clone()),
            (None, Some(schedule)) => Source::Fixed(schedule.clone()),
            // clap asks for one of them.
            (None, None) => Source::Fixed(Schedule::constant(Rate::OPEN)),
        }
    }

    /// The link, which a relay begins with `rate`; where a relay listens is said on standard error.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open(&self, rate: Rate) -> Result<Box<dyn Link>, LinkError> {
        if let (Some(listen), Some(to)) = (self.listen, self.to) {
            let buffer = self.buffer as usize;
            let relay = Relay::start(RelayOptions { listen, to, buffer, rate, down: self.down })?;
            eprintln!("relaying {} to {to}", relay.listens_at());
            return Ok(Box::new(relay));
        }
        Ok(Box::new(Interface::open(self.interface.as_deref().unwrap_or_default())?))
    }
}

/// With its cause, which clap does not show by itself.
fn read_schedule(text: &str) -> Result<Schedule, String> {
    text.parse().map_err(|error: BadSchedule| format!("{:#}", anyhow::Error::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Args, String> {
        let words = std::iter::once("autotiler-shaper").chain(words.split_whitespace());
        Args::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn an_interface_or_a_relay_with_one_schedule() {
        assert!(parse("--interface eth0 --rate 500k").is_ok());
        assert!(parse("--listen 127.0.0.1:0 --to 127.0.0.1:4222 --trace a.csv --repeat --down 8M").is_ok());
        for (bad, says) in [
            ("--rate 1M", "--interface"),
            ("--interface eth0", "--schedule"),
            ("--listen 127.0.0.1:0 --rate 1M", "--to"),
            ("--interface eth0 --rate fast", "500k"),
            ("--interface eth0 --rate 1M --trace a.csv", "cannot be used"),
            ("--interface eth0 --rate 1M --buffer 1", "--buffer"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
