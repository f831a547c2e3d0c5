//! The harness of the process-level tests: real nats-server, kube-apiserver and
//! Prometheus, real binaries of this workspace, real signals, links shaped by the kernel.
//!
//! Whatever a test starts is killed and waited for when its handle is dropped, ffmpeg children included. A test waits
//! on conditions with deadlines, never for a time. The harness knows the services only by their names, options and
//! admin endpoints; it imports none of them.

mod binary;
mod figure;
mod http;
mod kube_keys;
mod kube_server;
mod link;
mod metrics;
mod nats_server;
mod process;
mod prometheus_server;
mod rights;
mod service;
mod wait;

pub use binary::{BinaryError, binary, shared_data, tool};
pub use figure::{Figure, quantile};
pub use http::{HttpError, Reply, get};
pub use kube_server::{KubeServer, KubeServerError};
pub use link::{Link, LinkError};
pub use metrics::{Metrics, Sample};
pub use nats_server::{NatsServer, NatsServerError, NatsServerOptions};
pub use nix::sys::signal::Signal;
pub use process::{Process, ProcessError};
pub use prometheus_server::{PrometheusServer, PrometheusServerError};
pub use rights::{DocumentedRight, Right, listed_rights};
pub use service::{Service, ServiceError, free_port};
pub use wait::{Late, wait_for, wait_looking_every, wait_until};
