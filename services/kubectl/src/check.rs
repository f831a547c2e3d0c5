//! The usual mistakes, each with its fix.

mod broker;
mod clock;
mod finding;
mod objects;
mod running;

use std::process::ExitCode;

use crate::{cluster, controller};
use finding::{Finding, Grade};
use objects::Objects;

/// Look for the usual mistakes, and say the fix of each.
///
/// Looks at the definitions, policies, profiles and devices; asks the controller whether it leads and what it cannot
/// measure; compares clocks; and reads the payload limit of nats-server. Ends with 1 if something fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// nats-server, to read its payload limit; by default through the API server, by the pod that the chart makes.
    #[arg(long, value_name = "HOST:PORT")]
    nats: Option<String>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Looks and prints.
pub(crate) async fn run(
    args: &Args,
    cluster: &cluster::Options,
    controller: &controller::Options,
) -> anyhow::Result<ExitCode> {
    let found = look(args, cluster, controller).await?;
    if args.json {
        let found: Vec<_> = found.iter().map(Finding::to_json).collect();
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        found.iter().for_each(|finding| println!("{finding}"));
    }
    let failed = found.iter().any(|finding| finding.grade == Grade::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn look(
    args: &Args,
    cluster: &cluster::Options,
    controller: &controller::Options,
) -> anyhow::Result<Vec<Finding>> {
    let reached = cluster.connect().await?;
    let mut found = Vec::new();
    let objects = Objects::read(&reached, &mut found).await;
    if let Some(objects) = &objects {
        objects.check(&mut found);
    }
    match controller.find(cluster).await {
        Ok(controller) => running::check(&controller, &mut found).await,
        Err(error) => found.push(Finding::fail(
            "controller",
            format!("{error:#}"),
            "install the chart, or name the controller's admin port with --controller URL",
        )),
    }
    clock::check(&reached, &mut found).await;
    broker::check(&reached, args.nats.as_deref(), &mut found).await;
    Ok(found)
}
