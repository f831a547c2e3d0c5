//! Looking on: a device's frames and their answers, without taking any from a decoder.
//!
//! While somebody looks on, the broker does not tell the device at once that no decoder listens: it does have
//! somebody to give the frame to. The device counts such a frame as `no_answer` instead.

use autotiler_core::DeviceId;
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::{
    connection::{Connection, SubscribeError},
    subject::{AnswerSubject, FrameSubject},
};

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A frame: header and access unit.
    Frame(Bytes),
    /// A decoder's answer.
    Answer(Bytes),
}

/// All frames of one device and all answers to it, from now on. Dropping it ends the subscriptions.
#[derive(Debug)]
pub struct Tap {
    messages: stream::Select<async_nats::Subscriber, async_nats::Subscriber>,
}

impl Tap {
    /// Looks on at `device`, whatever its network.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(connection: &Connection, device: &DeviceId) -> Result<Self, SubscribeError> {
        let frames = connection.subscribe(FrameSubject::all_networks(device)).await?;
        let answers = connection.subscribe(AnswerSubject::whole_device(device)).await?;
        Ok(Self { messages: stream::select(frames, answers) })
    }

    /// What comes next; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            let message = self.messages.next().await?;
            let subject = message.subject.as_str();
            if subject.parse::<FrameSubject>().is_ok() {
                return Some(Seen::Frame(message.payload));
            }
            if message.status.is_none() && subject.parse::<AnswerSubject>().is_ok() {
                return Some(Seen::Answer(message.payload));
            }
            tracing::debug!(subject, "neither a frame nor an answer");
        }
    }
}
