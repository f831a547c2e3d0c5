//! Telemetry: devices say how they do, and whoever wants to listens to all of them.

use autotiler_core::{
    DeviceId,
    telemetry::{BadTelemetry, Telemetry},
};
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    connection::{Connection, SubscribeError},
    drop_reason::DropReason,
    subject,
};

/// Says `telemetry` once; what nobody hears is gone.
///
/// # Errors
/// [`DropReason::Disconnected`] or [`DropReason::PayloadLimit`].
pub async fn publish_telemetry(connection: &Connection, telemetry: &Telemetry) -> Result<(), DropReason> {
    let subject = subject::telemetry(&telemetry.device);
    connection.publish_now(subject, Bytes::from(telemetry.to_json())).await
}

/// Why a message is not taken for a device's word.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// It cannot be read.
    #[error(transparent)]
    Bad(#[from] BadTelemetry),
    /// It speaks for another device than its subject.
    #[error("telemetry of {said} on the subject of {subject}")]
    Device {
        /// Of the message.
        said: DeviceId,
        /// Of the subject.
        subject: DeviceId,
    },
}

impl Unheard {
    /// All labels.
    pub const LABELS: [&str; 4] =
        [BadTelemetry::LABELS[0], BadTelemetry::LABELS[1], BadTelemetry::LABELS[2], "other_device"];

    /// Metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Bad(bad) => bad.label(),
            Self::Device { .. } => "other_device",
        }
    }
}

/// What all devices say.
#[derive(Debug)]
pub struct TelemetrySubscriber {
    messages: async_nats::Subscriber,
}

impl TelemetrySubscriber {
    /// Listens to all devices. From its return on the broker knows of it.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(connection: &Connection) -> Result<Self, SubscribeError> {
        let messages = connection.subscribe(subject::all_telemetry()).await?;
        connection.round_trip().await;
        Ok(Self { messages })
    }

    /// The next word of some device; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Result<Telemetry, Unheard>> {
        loop {
            let message = self.messages.next().await?;
            let Some(device) = subject::telemetry_device(message.subject.as_str()) else {
                tracing::debug!(subject = %message.subject, "not telemetry");
                continue;
            };
            return Some(read(device, &message.payload));
        }
    }
}

fn read(subject: DeviceId, payload: &[u8]) -> Result<Telemetry, Unheard> {
    let telemetry = Telemetry::try_from_json(payload)?;
    if telemetry.device != subject {
        return Err(Unheard::Device { said: telemetry.device, subject });
    }
    Ok(telemetry)
}
