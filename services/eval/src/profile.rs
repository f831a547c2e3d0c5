//! Profiles: what each way to share the work costs in time, bits, accuracy and memory on the machine at hand.
//!
//! The stages are those that edge and decoder run. Nothing here knows how a profile is written down.

mod clock;
mod kept;
mod memory;
mod plan;
mod rates;

pub use clock::{Clock, Run, Spread, Times};
pub use kept::{Kept, MeasuredPoint};
pub use memory::device_memory_kib;
pub use plan::{PlanError, Planned, plan};
pub use rates::{Rate, falling, of_trials};
