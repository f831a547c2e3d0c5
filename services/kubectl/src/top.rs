//! All devices at a glance.

use std::{io::Write as _, time::Duration};

use crate::{cluster, controller};

/// List all devices with their policy, operating point, link, latency, rate and state, as the controller sees them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on until interrupted, and show the newest in place.
    #[arg(short, long)]
    watch: bool,
    /// Between two looks.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Print the controller's answer as JSON.
    #[arg(long, conflicts_with = "watch")]
    json: bool,
}

/// Back to the upper left, and nothing below.
const REPAINT: &str = "\x1b[H\x1b[J";

/// Asks and prints, once or until interrupted.
pub(crate) async fn run(
    args: &Args,
    cluster: &cluster::Options,
    controller: &controller::Options,
) -> anyhow::Result<()> {
    let controller = controller.find(cluster).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&controller.ask("/v1/devices").await?)?);
        return Ok(());
    }
    let mut ticks = tokio::time::interval(args.interval);
    loop {
        ticks.tick().await;
        let page = match controller.ask("/v1/devices").await {
            Ok(devices) => autotiler_explain::top(&devices),
            // Who watches wants to see it come back.
            Err(error) if args.watch => format!("{error:#}\n"),
            Err(error) => return Err(error),
        };
        if !args.watch {
            print!("{page}");
            return Ok(());
        }
        print!("{REPAINT}{page}");
        std::io::stdout().flush()?;
    }
}
