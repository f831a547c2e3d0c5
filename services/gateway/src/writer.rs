//! What the page may change, and for whom: pins of devices and suspensions of policies, by a bearer token.

mod cluster;
mod token;

pub use cluster::{BadPin, Cluster, NotWritten};
pub use token::{Token, TokenError};

/// Who changes objects of the cluster.
#[derive(Debug)]
pub struct Writer {
    /// What opens it.
    pub token: Token,
    /// The cluster; none where there is none.
    pub cluster: Option<Cluster>,
}
