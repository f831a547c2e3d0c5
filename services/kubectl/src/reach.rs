//! Whether addresses answer: what `helm test` asks from inside the cluster.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};

/// Ask addresses whether they answer; ends with 1 if one does not.
///
/// An http:// address answers with a status of success, a nats:// or tls:// address with nats-server's greeting.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Like http://autotiler-gateway:8080/readyz or nats://autotiler-nats:4222.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// How long one may take.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Asks each, and says what it found.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for url in &args.urls {
        let asked = tokio::time::timeout(args.timeout, ask(url)).await;
        match asked.unwrap_or_else(|late| Err(late.into())) {
            Ok(()) => println!("ok   {url}"),
            Err(error) => {
                println!("fail {url}: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn ask(url: &str) -> anyhow::Result<()> {
    if url.starts_with("http") {
        let status = reqwest::get(url).await?.status();
        if !status.is_success() {
            bail!("it answers {status}");
        }
        return Ok(());
    }
    greeting(url).await.map(|_| ())
}

/// The first thing that nats-server says to anybody, before it knows whom.
pub(crate) async fn greeting(address: &str) -> anyhow::Result<Value> {
    let address = address.trim_start_matches("nats://").trim_start_matches("tls://");
    let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    let info = line.strip_prefix("INFO ").context("what answers is no nats-server")?;
    Ok(serde_json::from_str(info)?)
}
