//! Answers as JSON lines on standard output, for whoever asked for them.
//!
//! Keys: `device`, `stream`, `sequence`, `epoch`, `captured_us` (the device's clock), `detections` (each with
//! `class`, `name`, `score`, `box`: `[x0, y0, x1, y1]` in shares of the picture; none for a lost frame), `lost`
//! (a reason, or null), `batch`, `times_us` (`queue`, `decode`, `tail`, `boxes`).

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use autotiler_core::{BBox, Detection, wire::ServerTimes};
use prometheus::IntCounter;
use serde::Serialize;

use crate::{
    thread::{self, Ended},
    ticket::Outgoing,
};

/// Lines that may wait for a slow reader; more are dropped and counted.
const CAPACITY: usize = 1024;

#[derive(Debug, Serialize)]
struct Line<'a> {
    device: &'a str,
    stream: u32,
    sequence: u32,
    epoch: u32,
    captured_us: u64,
    detections: Vec<Found<'a>>,
    lost: Option<&'static str>,
    batch: u16,
    times_us: Times,
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    class: u16,
    name: &'a str,
    score: f32,
    #[serde(rename = "box")]
    corners: [f32; 4],
}

#[derive(Debug, Serialize)]
struct Times {
    queue: u32,
    decode: u32,
    tail: u32,
    boxes: u32,
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct JsonLines {
    lines: SyncSender<String>,
    classes: Vec<String>,
    dropped: IntCounter,
}

impl JsonLines {
    /// Writes to `to` on a thread of its own, so that a reader that stands still holds up no answer. The
    /// thread ends after the last line once `self` is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        to: impl Write + Send + 'static,
        classes: Vec<String>,
        dropped: IntCounter,
    ) -> io::Result<(Self, Ended)> {
        let (sender, lines) = sync_channel(CAPACITY);
        let ended = thread::spawn("json-lines", move || write_all(to, &lines))?;
        Ok((Self { lines: sender, classes, dropped }, ended))
    }

    /// Hands a line over, or drops and counts it.
    pub(crate) fn write(&self, outgoing: &Outgoing) {
        let line = line(outgoing, &self.classes);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.lines.try_send(line) {
            self.dropped.inc();
        }
    }
}

fn write_all(mut to: impl Write, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        let written = writeln!(to, "{line}").and_then(|()| to.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "standard output is gone; no more lines of JSON");
            return;
        }
    }
}

fn line(outgoing: &Outgoing, classes: &[String]) -> String {
    let Outgoing { device, answer, .. } = outgoing;
    let ServerTimes { queue_us, decode_us, tail_us, boxes_us } = answer.times;
    let found = |detection: &Detection| {
        let BBox { x0, y0, x1, y1 } = detection.bbox;
        let name = classes.get(usize::from(detection.class)).map_or("", String::as_str);
        Found { class: detection.class, name, score: detection.score, corners: [x0, y0, x1, y1] }
    };
    let line = Line {
        device: device.as_str(),
        stream: answer.stream.0,
        sequence: answer.sequence.0,
        epoch: answer.epoch.0,
        captured_us: answer.captured_us,
        detections: answer.outcome.iter().flatten().map(found).collect(),
        lost: answer.outcome.as_ref().err().map(|reason| reason.label()),
        batch: answer.batch,
        times_us: Times { queue: queue_us, decode: decode_us, tail: tail_us, boxes: boxes_us },
    };
    serde_json::to_string(&line).expect("numbers and texts under fixed keys are always JSON")
}

#[cfg(test)]
mod tests {
    use autotiler_core::{
        Epoch, Sequence, StreamId,
        wire::{Answer, LossReason},
    };

    use super::*;

    fn outgoing(outcome: Result<Vec<Detection>, LossReason>) -> Outgoing {
        let times = ServerTimes { queue_us: 1, decode_us: 2, tail_us: 3, boxes_us: 4 };
        let answer = Answer {
            device: 1,
            stream: StreamId(2),
            sequence: Sequence(3),
            epoch: Epoch(4),
            captured_us: 5,
            times,
            batch: 1,
            outcome,
        };
        Outgoing { device: "cam".parse().unwrap(), reply: None, answer }
    }

    #[test]
    fn keys_are_stable() {
        let bbox = BBox { x0: 0.25, y0: 0.5, x1: 0.75, y1: 1.0 };
        let found = vec![Detection { class: 1, score: 0.5, bbox }];
        let classes = ["bus".to_owned(), "car".to_owned()];
        assert_eq!(
            line(&outgoing(Ok(found)), &classes),
            r#"{"device":"cam","stream":2,"sequence":3,"epoch":4,"captured_us":5,"detections":[{"class":1,"name":"car","score":0.5,"box":[0.25,0.5,0.75,1.0]}],"lost":null,"batch":1,"times_us":{"queue":1,"decode":2,"tail":3,"boxes":4}}"#
        );
        let lost = line(&outgoing(Err(LossReason::Undecodable)), &classes);
        assert!(lost.contains(r#""detections":[],"lost":"undecodable""#), "{lost}");
    }

    #[tokio::test]
    async fn a_reader_that_left_costs_lines_and_nothing_else() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dropped = IntCounter::new("dropped", "d").unwrap();
        let (lines, mut ended) = JsonLines::start(Gone, vec![], dropped.clone()).unwrap();
        lines.write(&outgoing(Ok(vec![])));
        ended.wait().await;
        lines.write(&outgoing(Ok(vec![])));
        assert_eq!(dropped.get(), 1);
    }
}
