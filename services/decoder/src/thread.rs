//! Threads for blocking work, whose end an async task can wait for.

use std::{io, thread};

use tokio::sync::oneshot;

/// Resolves when the thread has ended, by itself or by a panic.
#[derive(Debug)]
pub(crate) struct Ended(oneshot::Receiver<()>);

impl Ended {
    /// Waits for the end; true when the work was done, false after a panic.
    pub(crate) async fn wait(&mut self) -> bool {
        (&mut self.0).await.is_ok()
    }
}

/// Does `work` on a thread called `name`.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Ended> {
    let (done, ended) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        work();
        // Nobody may be waiting any more.
        let _ = done.send(());
    })?;
    Ok(Ended(ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        assert!(spawn("fine", || {}).unwrap().wait().await);
        assert!(!spawn("broken", || panic!("as the test wants")).unwrap().wait().await);
    }
}
