//! The device's stages, each on a thread of its own: capture, inference, codec.

pub mod capture;
pub mod codec;
pub mod inference;
pub mod parameter_book;

pub use capture::{Capture, CaptureOptions};
pub use codec::Codec;
pub use inference::{Detected, Inference};
pub use parameter_book::ParameterBook;

use crate::{
    fate::DropReason,
    handoff::{Given, Giver},
    ledger::Ledger,
};

/// Gives `item` on; whatever falls out is written into the accounts. False when nobody takes any more.
fn give<T>(
    to: &Giver<T>,
    item: T,
    ledger: &Ledger,
    record: impl Fn(&T) -> &crate::frame::FrameRecord,
    displaced_by: DropReason,
) -> bool {
    match to.give(item) {
        Given::Taken => true,
        Given::Displaced(older) => {
            ledger.dropped(record(&older), displaced_by);
            true
        }
        Given::Refused(item) => {
            ledger.dropped(record(&item), DropReason::SHUTDOWN);
            false
        }
    }
}
