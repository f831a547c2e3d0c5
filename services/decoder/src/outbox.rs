//! Publishes answers, counts them, and shows them as JSON lines where asked for.

use autotiler_core::wire::Answer;
use autotiler_transport::{Connection, DropReason};
use tokio::sync::mpsc;

use crate::{json_lines::JsonLines, metrics::DecoderMetrics, ticket::Outgoing};

/// Publishes what comes out of `answers` until nobody owes one any more.
pub(crate) async fn publish(
    connection: Connection,
    mut answers: mpsc::Receiver<Outgoing>,
    lines: Option<JsonLines>,
    metrics: DecoderMetrics,
) {
    while let Some(outgoing) = answers.recv().await {
        metrics.answered(&outgoing.answer.outcome);
        if let Some(lines) = &lines {
            lines.write(&outgoing);
        }
        let Outgoing { reply: Some(reply), answer, device } = outgoing else { continue };
        // An answer that waited for the link would come back with a burst of others, all too late.
        if let Err(reason) = connection.publish_now(reply, answer.encode().into()).await {
            metrics.undelivered(reason);
            log_loss(&answer, device.as_str(), reason);
        }
    }
    connection.flush().await;
}

fn log_loss(answer: &Answer, device: &str, reason: DropReason) {
    tracing::debug!(device, sequence = answer.sequence.0, %reason, "answer not delivered");
}
