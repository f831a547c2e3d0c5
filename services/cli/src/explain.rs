//! `autotiler explain`: why a device is where it is.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// Longest wait for the controller.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show why a device has its operating point: inputs with their age, every candidate with its predicted times and what
/// ruled it out, the winner, the runner-up, and what holds the device back.
///
/// Asks the controller at its admin port. In a cluster: `kubectl port-forward deploy/autotiler-controller 9104`, or name
/// its Service with --controller.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The device; without it all of them are listed.
    device: Option<String>,
    /// The controller's admin port.
    #[arg(long, env = "AUTOTILER_CONTROLLER", default_value = "http://127.0.0.1:9104", value_name = "URL")]
    controller: String,
    /// Show the last decisions too.
    #[arg(long, requires = "device")]
    history: bool,
    /// Print the controller's answer as JSON.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  autotiler explain                      all devices in a line each
  autotiler explain cam-0
  autotiler explain cam-0 --history --controller http://autotiler-controller.autotiler:9104";

/// Asks and prints.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let path =
        args.device.as_ref().map_or("/v1/devices".to_owned(), |device| format!("/v1/devices/{device}"));
    let answer = ask(&args.controller, &path)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else if args.device.is_some() {
        print!("{}", autotiler_explain::device(&answer, args.history));
    } else {
        print!("{}", autotiler_explain::list(&answer));
    }
    Ok(())
}

fn ask(controller: &str, path: &str) -> anyhow::Result<Value> {
    let url = format!("{}{path}", controller.trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let answer = client.get(&url).send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    })
    .with_context(|| {
        format!("asking the controller at {controller}: is it running, and is that its admin port (--controller)?")
    })?;
    if !status.is_success() {
        bail!("{}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("what answers at {url} is no controller"))
}
