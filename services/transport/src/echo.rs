//! Echoes: a device's messages to itself by way of the broker, which show whether and how fast the link carries.

use autotiler_core::{DeviceId, StreamId};
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    connection::{Connection, SubscribeError},
    drop_reason::DropReason,
    subject,
};

/// One stream's echoes.
#[derive(Debug)]
pub struct Echoes {
    messages: async_nats::Subscriber,
}

/// Sends what shall come back. Clones share the connection.
#[derive(Debug, Clone)]
pub struct EchoSender {
    connection: Connection,
    subject: String,
}

impl Echoes {
    /// Subscribes to the echoes of `stream` of `device`; yields what sends them too.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(
        connection: &Connection,
        device: &DeviceId,
        stream: StreamId,
    ) -> Result<(EchoSender, Self), SubscribeError> {
        let subject = subject::echo(device, stream);
        let messages = connection.subscribe(subject.clone()).await?;
        Ok((EchoSender { connection: connection.clone(), subject }, Self { messages }))
    }

    /// The next echo; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        Some(self.messages.next().await?.payload)
    }
}

impl EchoSender {
    /// Sends `payload`, now or not at all.
    ///
    /// # Errors
    /// [`DropReason::Disconnected`] or [`DropReason::PayloadLimit`].
    pub async fn send(&self, payload: Bytes) -> Result<(), DropReason> {
        self.connection.publish_now(self.subject.clone(), payload).await
    }
}
