//! What a schedule is carried out on.

use std::{io, time::Duration};

use crate::rate::Rate;

/// Something that can be given a rate.
pub trait Link {
    /// The shortest time for which a rate is given to it.
    fn step(&self) -> Duration;

    /// Has it carry `rate` from now on.
    ///
    /// # Errors
    /// [`LinkError`] when the system refuses.
    fn carry(&mut self, rate: Rate) -> Result<(), LinkError>;
}

/// Why a link cannot be shaped.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// `tc` is not there.
    #[error("running tc: is iproute2 installed?")]
    NoTc(#[source] io::Error),
    /// We may not.
    #[error(
        "tc may not shape {interface}: run as root or with the capability NET_ADMIN, or shape in user space with \
         --listen and --to (tc said: {said})"
    )]
    Forbidden {
        /// The interface.
        interface: String,
        /// Its words.
        said: String,
    },
    /// It refused.
    #[error("tc {command}: {said}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its words.
        said: String,
    },
    /// The relay's port.
    #[error("listening at {at}")]
    Listen {
        /// The address.
        at: std::net::SocketAddr,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
}
