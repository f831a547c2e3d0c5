//! What a point takes of a device's memory.

use std::fs;

use autotiler_graph::Engine;
use autotiler_hevc::{Encoder, EncoderOptions};
use autotiler_model::Model;
use autotiler_pipeline::{DeviceOutput, DeviceStage};
use autotiler_scene::Picture;

use super::plan::Planned;
use crate::error::EvalError;

/// Memory that a device needs for `planned` beyond the process itself, in KiB: by how much this process grows over
/// loading it and one frame, and what is private to the encoder's processes. 0 where the system has no /proc.
///
/// A process that gave memory back to its allocator grows less, so ask in a fresh one.
///
/// # Errors
/// [`EvalError`] when the point cannot be loaded.
pub fn device_memory_kib(
    engine: &dyn Engine,
    model: &Model,
    planned: &Planned,
    encoder: &EncoderOptions,
    picture: &Picture,
) -> Result<u32, EvalError> {
    let before = resident("self");
    let kind = planned.tiler.map(|(kind, ..)| kind);
    let mut stage = DeviceStage::new(engine, model, planned.route, kind)?;
    let output = stage.run(picture)?;
    let mut children = 0;
    if let (DeviceOutput::Frame(frame), Some(format)) = (&output, stage.format()) {
        let mut encoder = Encoder::spawn(format, encoder.clone())?;
        encoder.encode(frame, autotiler_core::Gain::UNITY)?;
        let ids = encoder.process_ids();
        children = ids.iter().filter_map(|id| resident(&id.to_string())).map(|r| r.private_kib).sum();
    }
    let after = resident("self");
    let grown = before.zip(after).map_or(0, |(before, after)| after.all_kib.saturating_sub(before.all_kib));
    Ok(u32::try_from(grown + children).unwrap_or(u32::MAX))
}

/// Resident memory of a process.
struct Resident {
    all_kib: u64,
    /// Without what it shares with files, such as programs.
    private_kib: u64,
}

/// Of the process `id`, from the kernel (proc(5), /proc/pid/statm).
fn resident(id: &str) -> Option<Resident> {
    parse(&fs::read_to_string(format!("/proc/{id}/statm")).ok()?)
}

/// Pages, of 4 KiB on all that we run on.
fn parse(statm: &str) -> Option<Resident> {
    const PAGE_KIB: u64 = 4;
    let mut fields = statm.split_whitespace().skip(1).map(str::parse::<u64>);
    let (all, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(Resident { all_kib: PAGE_KIB * all, private_kib: PAGE_KIB * all.saturating_sub(shared) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_kib() {
        let read = parse("3000 500 200 10 0 400 0\n").map(|r| (r.all_kib, r.private_kib));
        assert_eq!(read, Some((2_000, 1_200)));
        assert!(parse("").is_none() && parse("1 x 2").is_none());
    }
}
