//! Answers that come back to the device.

use autotiler_core::{DeviceId, Sequence, StreamId};
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    connection::{Connection, SubscribeError},
    subject::AnswerSubject,
};

/// What came back for one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A decoder's message.
    Answer(Bytes),
    /// The broker's word that no decoder listens for this network.
    NoDecoder,
}

/// The answers to one stream.
#[derive(Debug)]
pub struct AnswerSubscriber {
    messages: async_nats::Subscriber,
}

impl AnswerSubscriber {
    /// Subscribes to the answers for `stream` of `device`. Use the connection that sends the frames: the
    /// broker tells only that one that nobody listens.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(
        connection: &Connection,
        device: &DeviceId,
        stream: StreamId,
    ) -> Result<Self, SubscribeError> {
        let messages = connection.subscribe(AnswerSubject::whole_stream(device, stream)).await?;
        Ok(Self { messages })
    }

    /// The next reply and the frame that it is for; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<(Sequence, Reply)> {
        loop {
            let message = self.messages.next().await?;
            let Ok(subject) = message.subject.as_str().parse::<AnswerSubject>() else {
                tracing::debug!(subject = %message.subject, "not an answer");
                continue;
            };
            let reply = match message.status {
                Some(async_nats::StatusCode::NO_RESPONDERS) => Reply::NoDecoder,
                Some(status) => {
                    tracing::debug!(%status, subject = %message.subject, "unexpected status");
                    continue;
                }
                None => Reply::Answer(message.payload),
            };
            return Some((subject.sequence, reply));
        }
    }
}
