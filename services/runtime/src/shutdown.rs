//! The way out: a signal cancels a token, and what is in flight has a deadline to finish.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Signals could not be listened for.
#[derive(Debug, thiserror::Error)]
#[error("installing signal handlers")]
pub struct SignalError(#[source] io::Error);

/// What was being drained was not done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("drain not done within {0:?}")]
pub struct DeadlinePassed(pub Duration);

/// A token that SIGTERM or SIGINT cancels. Call within a tokio runtime. From then on the signals no longer
/// end the process by themselves.
///
/// # Errors
/// [`SignalError`] when the handlers cannot be installed.
pub fn cancel_on_signal() -> Result<CancellationToken, SignalError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(SignalError)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SignalError)?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = cancelled.cancelled() => return,
        };
        tracing::info!(signal = name, "draining");
        cancelled.cancel();
    });
    Ok(token)
}

/// Waits for `drain`, `deadline` at the longest.
///
/// # Errors
/// [`DeadlinePassed`], after which the caller counts what is left as lost and ends.
pub async fn drain_with_deadline<T>(
    deadline: Duration,
    drain: impl Future<Output = T>,
) -> Result<T, DeadlinePassed> {
    tokio::time::timeout(deadline, drain).await.map_err(|_| DeadlinePassed(deadline))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn drain_yields_or_passes_its_deadline() {
        let short = Duration::from_millis(5);
        assert_eq!(drain_with_deadline(short, ready(1)).await, Ok(1));
        assert_eq!(drain_with_deadline(short, pending::<()>()).await, Err(DeadlinePassed(short)));
    }

    #[tokio::test]
    async fn sigterm_cancels_the_token() {
        let token = cancel_on_signal().unwrap();
        // The shell sends the signal, so no unsafe call to kill(2) is needed here.
        let pid = std::process::id().to_string();
        let status = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(status.success());
        token.cancelled().await;
    }
}
