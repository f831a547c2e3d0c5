//! Gives a link the rates of a schedule: constant, in steps and ramps, or as they were recorded.
//!
//! [`Schedule`] says which rate holds when, [`play()`] carries it out on a [`Link`]: an [`Interface`] by `tc`, or a
//! [`Relay`] that paces TCP connections for people who are not root. Knows nothing of devices, NATS or frames.

mod args;
mod interface;
mod link;
mod pace;
mod play;
mod rate;
mod relay;
mod schedule;

pub use args::Args;
pub use interface::Interface;
pub use link::{Link, LinkError};
pub use play::{InForce, Source, SourceError, play};
pub use rate::{BadRate, Rate};
pub use relay::{Relay, RelayOptions};
pub use schedule::{BadSchedule, Schedule};
