//! Makes batches on threads of their own, ahead of the training by a bounded number.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use autotiler_core::GroundTruth;

/// One picture with its true boxes, at the network's input size.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// Red, green, blue of each pixel, row by row.
    pub rgb: Vec<u8>,
    /// What is in it.
    pub truth: Vec<GroundTruth>,
}

/// Where samples come from: a pure function of the sample's number.
pub trait Source: Send + Sync {
    /// Sample `index`, `side` pixels square.
    fn sample(&self, index: u64, side: usize) -> Sample;
}

impl<F: Fn(u64, usize) -> Sample + Send + Sync> Source for F {
    fn sample(&self, index: u64, side: usize) -> Sample {
        self(index, side)
    }
}

/// Samples that are trained on together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Width and height of each picture.
    pub side: usize,
    /// All pictures, one after the other.
    pub rgb: Vec<u8>,
    /// What is in each picture.
    pub truth: Vec<Vec<GroundTruth>>,
}

/// Makes a batch of samples `first .. first + len`.
pub fn batch(source: &dyn Source, first: u64, len: usize, side: usize) -> Batch {
    let mut batch = Batch { side, ..Batch::default() };
    for index in first..first + len as u64 {
        let Sample { rgb, truth } = source.sample(index, side);
        batch.rgb.extend_from_slice(&rgb);
        batch.truth.push(truth);
    }
    batch
}

/// Makes the batches of steps `from..to` on a thread, `ahead` at most in advance. `side` is the size of the
/// pictures of each step. The thread ends with the receiver.
pub fn spawn(
    source: Arc<dyn Source>,
    (from, to): (u64, u64),
    batch_len: usize,
    ahead: usize,
    side: impl Fn(u64) -> usize + Send + 'static,
) -> std::io::Result<Receiver<Batch>> {
    let (sender, receiver): (SyncSender<Batch>, _) = sync_channel(ahead);
    thread::Builder::new().name("loader".to_owned()).spawn(move || {
        for step in from..to {
            let made = batch(source.as_ref(), step * batch_len as u64, batch_len, side(step));
            if sender.send(made).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
