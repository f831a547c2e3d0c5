//! Why a device is where it is; the page of `autotiler explain`.

use crate::{cluster, controller};

/// Show why a device has its operating point: inputs with their age, every candidate with its predicted times and what
/// ruled it out, the winner, the runner-up, and what holds the device back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The device; without it all of them are listed.
    device: Option<String>,
    /// Show the last decisions too.
    #[arg(long, requires = "device")]
    history: bool,
    /// Print the controller's answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks and prints.
pub(crate) async fn run(
    args: &Args,
    cluster: &cluster::Options,
    controller: &controller::Options,
) -> anyhow::Result<()> {
    let path =
        args.device.as_ref().map_or("/v1/devices".to_owned(), |device| format!("/v1/devices/{device}"));
    let answer = controller.find(cluster).await?.ask(&path).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else if args.device.is_some() {
        print!("{}", autotiler_explain::device(&answer, args.history));
    } else {
        print!("{}", autotiler_explain::list(&answer));
    }
    Ok(())
}
