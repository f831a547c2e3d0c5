//! The thread that drives the client library.
//!
//! The library's task reads and writes the link. Alone on a thread of its own it is woken by nothing else than
//! the link and us, and it can be kept from running for a moment: see [`Driver::drain`].

use std::{io, thread, time::Duration};

use tokio::{runtime::Builder, sync::oneshot, task::JoinHandle};

use crate::connection::Connection;

/// How long a drain keeps the client from running, so that the broker has surely stopped sending: more than a
/// round trip and the scheduling of a busy machine.
const QUIET: Duration = Duration::from_millis(250);

/// A runtime on its own thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    runtime: tokio::runtime::Handle,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("nats".to_owned()).spawn(move || {
            // Ends when the sender is dropped, which sends nothing.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { runtime: handle, _stop: stop })
    }

    /// Runs `work` on the thread.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(work)
    }

    /// Ends `messages` without losing one that the broker has sent; those still come out of it.
    ///
    /// The library forgets a draining subscription the next time that it runs, and with it what the broker sent
    /// before it knew. So the word goes out, and then the library does not run until the broker has surely
    /// heard: all that came by then is read in one go, before the forgetting.
    pub(crate) async fn drain(
        &self,
        connection: Connection,
        mut messages: async_nats::Subscriber,
    ) -> Option<async_nats::Subscriber> {
        let drained = self.spawn(async move {
            if let Err(error) = messages.drain().await {
                tracing::debug!(%error, "drain");
            }
            connection.flush().await;
            // Blocks the thread on purpose. Sending waits for it too.
            thread::sleep(QUIET);
            messages
        });
        drained.await.ok()
    }
}
