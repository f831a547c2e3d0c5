//! Parameter sets (VPS, SPS, PPS): asked for by digest, once per stream and decoder.

use std::time::Duration;

use autotiler_core::DeviceId;
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    connection::{Connection, SubscribeError},
    subject,
};

/// Why a decoder has no parameter sets.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// The device is not there.
    #[error("nobody answers for the parameter sets of {device}")]
    NoDevice {
        /// The device.
        device: DeviceId,
        /// The client's own words.
        #[source]
        source: async_nats::RequestError,
    },
    /// The link broke while the answer was awaited.
    #[error("the link broke while asking for the parameter sets of {device}")]
    Disconnected {
        /// The device.
        device: DeviceId,
    },
    /// The device has no such sets.
    #[error("{device} has no parameter sets {digest:08x}")]
    Unknown {
        /// The device.
        device: DeviceId,
        /// The digest asked for.
        digest: u32,
    },
}

/// Asks `device` for the parameter sets of `digest`.
///
/// # Errors
/// [`ParameterError`].
pub async fn request_parameters(
    connection: &Connection,
    device: &DeviceId,
    digest: u32,
    timeout: Duration,
) -> Result<Bytes, ParameterError> {
    let question = Bytes::copy_from_slice(&digest.to_be_bytes());
    // The library's own inbox, for its last token alone: it is as good as never the same.
    let inbox = connection.client().new_inbox();
    let token = inbox.rsplit_once('.').map_or(inbox.as_str(), |(_, token)| token);
    let reply = subject::parameter_sets(device, token);
    let request = async_nats::Request::new().payload(question).inbox(reply).timeout(Some(timeout));
    // A request that went down with the link has no answer to wait for.
    let answer = tokio::select! {
        answer = connection.client().send_request(subject::parameters(device), request) => {
            answer.map_err(|source| ParameterError::NoDevice { device: device.clone(), source })?
        }
        () = connection.wait_down() => return Err(ParameterError::Disconnected { device: device.clone() }),
    };
    // An empty answer is a device's "no such sets": real ones are never empty.
    if answer.payload.is_empty() {
        return Err(ParameterError::Unknown { device: device.clone(), digest });
    }
    Ok(answer.payload)
}

/// A device's answers to requests for its parameter sets.
///
/// Subscribe before the first frame is published: whoever gets that frame asks at once.
#[derive(Debug)]
pub struct ParameterServer {
    connection: Connection,
    requests: async_nats::Subscriber,
}

impl ParameterServer {
    /// Subscribes to the requests to `device`.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(connection: &Connection, device: &DeviceId) -> Result<Self, SubscribeError> {
        let requests = connection.subscribe(subject::parameters(device)).await?;
        Ok(Self { connection: connection.clone(), requests })
    }

    /// Answers by `find`, until the connection is closed.
    pub async fn serve(mut self, find: impl Fn(u32) -> Option<Bytes>) {
        while let Some(request) = self.requests.next().await {
            let (Some(reply), Ok(digest)) = (request.reply, <[u8; 4]>::try_from(request.payload.as_ref()))
            else {
                tracing::debug!(bytes = request.payload.len(), "not a request for parameter sets");
                continue;
            };
            let sets = find(u32::from_be_bytes(digest)).unwrap_or_default();
            if let Err(reason) = self.connection.publish_now(reply.as_str().to_owned(), sets).await {
                tracing::debug!(%reason, "answering a request for parameter sets");
            }
        }
    }
}

/// Subscribes and serves in one.
///
/// # Errors
/// [`SubscribeError`] when the connection is closed before it starts.
pub async fn serve_parameters(
    connection: &Connection,
    device: &DeviceId,
    find: impl Fn(u32) -> Option<Bytes>,
) -> Result<(), SubscribeError> {
    ParameterServer::subscribe(connection, device).await?.serve(find).await;
    Ok(())
}
