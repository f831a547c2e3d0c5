//! Decoders by parameter sets: any frame of any device, a bounded number of children.

use autotiler_core::Gain;

use crate::{
    decoder::{DecodeError, Decoder, DecoderOptions},
    format::FrameFormat,
    parameter_sets::ParameterSets,
};

/// Decoder sessions, the least recently used one given up for a new one.
#[derive(Debug)]
pub struct DecoderPool {
    options: DecoderOptions,
    capacity: usize,
    /// Most recently used last.
    decoders: Vec<Decoder>,
}

impl DecoderPool {
    /// A pool of at most `capacity` sessions (at least one), each an ffmpeg child of about 30 MB.
    pub fn new(options: DecoderOptions, capacity: usize) -> Self {
        Self { options, capacity: capacity.max(1), decoders: Vec::new() }
    }

    /// Sessions that are open.
    pub fn len(&self) -> usize {
        self.decoders.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.decoders.is_empty()
    }

    /// The session for frames of `format` coded with `parameter_sets`; started if there is none.
    ///
    /// # Errors
    /// [`DecodeError`] when a new session cannot be started.
    pub fn get(
        &mut self,
        format: FrameFormat,
        parameter_sets: &ParameterSets,
    ) -> Result<&mut Decoder, DecodeError> {
        let found = self
            .decoders
            .iter()
            .position(|decoder| decoder.format() == format && decoder.parameter_sets() == parameter_sets);
        let decoder = match found {
            Some(at) => self.decoders.remove(at),
            None => {
                let decoder = Decoder::spawn(format, parameter_sets.clone(), self.options.clone())?;
                if self.decoders.len() >= self.capacity {
                    self.decoders.remove(0);
                }
                decoder
            }
        };
        self.decoders.push(decoder);
        Ok(self.decoders.last_mut().expect("one was pushed on the line before"))
    }

    /// [`Decoder::decode`] in the right session.
    ///
    /// # Errors
    /// [`DecodeError`]; this frame is lost.
    pub fn decode(
        &mut self,
        format: FrameFormat,
        parameter_sets: &ParameterSets,
        access_unit: &[u8],
        gain: Gain,
    ) -> Result<Vec<u8>, DecodeError> {
        self.get(format, parameter_sets)?.decode(access_unit, gain)
    }
}
