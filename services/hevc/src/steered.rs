//! One plane under rate control: coded as often as the control asks.

use autotiler_core::Gain;

use crate::{
    access_unit::AccessUnit,
    encoder::{EncodeError, Encoder},
    rate::{RateControl, Verdict},
};

/// A plane as it is sent.
#[derive(Debug, Clone)]
pub struct Steered {
    /// What is sent.
    pub unit: AccessUnit,
    /// The gain that the control settled on, for the frame header.
    pub gain: Gain,
    /// How often the plane was coded; more than once only in the first frame and above a cap.
    pub encodes: usize,
}

impl Encoder {
    /// Codes one plane with the gains that `rate` asks for until it says to send.
    ///
    /// # Errors
    /// [`EncodeError`]; this plane is lost, and the control has forgotten it.
    pub fn encode_steered(&mut self, plane: &[u8], rate: &mut RateControl) -> Result<Steered, EncodeError> {
        let mut gain = rate.next_gain();
        let mut encodes = 0;
        loop {
            let unit = self.encode(plane, gain).inspect_err(|_| rate.abandon())?;
            encodes += 1;
            match rate.observe(gain, unit.bits()) {
                Verdict::Send => return Ok(Steered { unit, gain, encodes }),
                Verdict::Again(other) => gain = other,
            }
        }
    }
}
