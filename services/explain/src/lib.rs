//! The controller's answers as pages of text: one look for `autotiler explain` and `kubectl autotiler`.
//!
//! Text from JSON, no more: whoever asks the controller, and how, is another's affair.

mod page;
mod top;

pub use page::{device, list};
pub use top::top;
