//! NATS: who publishes where, bounded queues in front of the broker, and what happens when it goes away.
//!
//! Messages are opaque bytes here; `autotiler-core` has the codecs. Nothing is queued without a bound, and
//! whatever is not delivered is told to the caller with a [`DropReason`].

pub mod answers;
pub mod backoff;
pub mod connection;
mod credentials;
mod driver;
pub mod drop_reason;
pub mod echo;
pub mod frames;
pub mod options;
pub mod orders;
pub mod parameters;
pub mod publisher;
pub mod queue;
pub mod subject;
pub mod tap;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod uplink;

pub use answers::{AnswerSubscriber, Reply};
pub use connection::{ConnectError, Connection, LinkState, PayloadLimit, SubscribeError, connect};
pub use drop_reason::DropReason;
pub use echo::{EchoSender, Echoes};
pub use frames::{FrameSubscriber, InboundFrame};
pub use options::{Auth, ConnectOptions, NatsOptions, Secret, ServerUrl};
pub use orders::{OrderBook, OrderWatch, Posted};
pub use parameters::{ParameterError, ParameterServer, request_parameters, serve_parameters};
pub use publisher::FramePublisher;
pub use queue::{FrameObserver, FrameQueue, OutboundFrame, QueuePolicy, Slot};
pub use subject::{AnswerSubject, FrameSubject, SubjectError};
pub use tap::{Seen, Tap};
pub use telemetry::{TelemetrySubscriber, Unheard, publish_telemetry};
pub use uplink::{Progress, Uplink, UplinkMeter};
