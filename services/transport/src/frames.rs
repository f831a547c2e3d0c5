//! Frames that arrive at a decoder.

use autotiler_core::{DeviceId, Digest};
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    connection::{Connection, SubscribeError},
    subject::{AnswerSubject, DECODERS, FrameSubject},
};

/// One frame as it came.
#[derive(Debug, Clone)]
pub struct InboundFrame {
    /// Who sent it.
    pub device: DeviceId,
    /// Header and access unit.
    pub payload: Bytes,
    /// Where its answer goes; `None` when the sender wants none, or wants it where another device is answered.
    pub reply: Option<String>,
}

/// One decoder's share of the frames of one network.
///
/// Frames wait in the subscription, as many as [`crate::ConnectOptions::subscription_capacity`] says; read
/// them out at once and answer what there is no room for, since what the subscription loses is counted
/// ([`Connection::slow_consumer_losses`]) but not answered.
#[derive(Debug)]
pub struct FrameSubscriber {
    connection: Connection,
    messages: Option<async_nats::Subscriber>,
}

impl FrameSubscriber {
    /// Joins the decoders of `network`. From its return on the broker knows of it.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(connection: &Connection, network: &Digest) -> Result<Self, SubscribeError> {
        let messages = connection.queue_subscribe(FrameSubject::all_devices(network), DECODERS).await?;
        connection.round_trip().await;
        Ok(Self { connection: connection.clone(), messages: Some(messages) })
    }

    /// The next frame; `None` once drained or closed.
    pub async fn next(&mut self) -> Option<InboundFrame> {
        loop {
            let message = self.messages.as_mut()?.next().await?;
            match message.subject.as_str().parse::<FrameSubject>() {
                Ok(FrameSubject { device, .. }) => {
                    let reply = message.reply.and_then(|reply| own_reply(&device, reply.as_str()));
                    return Some(InboundFrame { device, payload: message.payload, reply });
                }
                Err(error) => tracing::debug!(%error, "not a frame"),
            }
        }
    }

    /// Tells the broker to give new frames to others. Those that it has given to us already still come out of
    /// [`FrameSubscriber::next`], which then yields `None`. Takes a quarter of a second, in which nothing is
    /// sent over the connection either.
    pub async fn drain(&mut self) {
        if let Some(messages) = self.messages.take() {
            self.messages = self.connection.drain(messages).await;
        }
    }
}

/// `reply`, if `device` itself is answered there. The broker looks at nobody's right to a reply subject: a decoder
/// that took any would publish in its own name wherever a device likes.
fn own_reply(device: &DeviceId, reply: &str) -> Option<String> {
    match reply.parse::<AnswerSubject>() {
        Ok(subject) if subject.device == *device => Some(reply.to_owned()),
        _ => {
            tracing::warn!(%device, reply, "not answered: the reply subject is not the device's own");
            None
        }
    }
}
