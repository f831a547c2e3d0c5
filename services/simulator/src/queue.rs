//! The device's way out: one thing is being sent, the newest frame waits, and a probe may.

use std::collections::VecDeque;

use crate::trace::Trace;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// A frame, by its number.
    Frame(usize),
    /// A probe.
    Probe,
}

/// Something on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Item {
    pub(crate) load: Load,
    /// On the wire.
    pub(crate) bits: f64,
    /// When it was given to the queue, in seconds.
    pub(crate) since: f64,
}

/// Something that the link carries now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sending {
    pub(crate) item: Item,
    pub(crate) start: f64,
    pub(crate) end: f64,
}

/// A queue in front of a link. What is being sent is never cancelled.
#[derive(Debug)]
pub(crate) struct Uplink<'a> {
    trace: &'a Trace,
    sending: Option<Sending>,
    waiting: VecDeque<Item>,
    meter: Meter,
}

/// Bits carried while there was something to send: what a device can know of its link.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    since: f64,
    bits: f64,
    busy_s: f64,
}

impl<'a> Uplink<'a> {
    pub(crate) fn new(trace: &'a Trace) -> Self {
        Self { trace, sending: None, waiting: VecDeque::new(), meter: Meter::default() }
    }

    /// When what is being sent is through.
    pub(crate) fn ends(&self) -> f64 {
        self.sending.map_or(f64::INFINITY, |sending| sending.end)
    }

    /// Takes `item`; gives back the frame that it displaces.
    pub(crate) fn offer(&mut self, now: f64, item: Item) -> Option<Item> {
        let is_frame = |item: &Item| matches!(item.load, Load::Frame(_));
        let older = self.waiting.iter().position(|waiting| is_frame(&item) && is_frame(waiting));
        let displaced = older.and_then(|at| self.waiting.remove(at));
        self.waiting.push_back(item);
        self.start(now);
        displaced
    }

    fn start(&mut self, now: f64) {
        if self.sending.is_none()
            && let Some(item) = self.waiting.pop_front()
        {
            self.sending = Some(Sending { item, start: now, end: self.trace.finish(now, item.bits) });
        }
    }

    /// What is being sent is through; the next goes.
    pub(crate) fn complete(&mut self, now: f64) -> Option<Sending> {
        let done = self.sending.take()?;
        self.meter.note(self.trace, &done, now);
        self.start(now);
        Some(done)
    }

    /// Since when the oldest frame has been here, in seconds.
    pub(crate) fn oldest_frame(&self) -> Option<f64> {
        let items = self.sending.iter().map(|sending| &sending.item).chain(&self.waiting);
        items.filter(|item| matches!(item.load, Load::Frame(_))).map(|item| item.since).reduce(f64::min)
    }

    /// Bits that are not through.
    pub(crate) fn backlog_bits(&self, now: f64) -> f64 {
        let waiting: f64 = self.waiting.iter().map(|item| item.bits).sum();
        let sending =
            self.sending.map_or(0.0, |it| (it.item.bits - self.trace.carried(it.start, now)).max(0.0));
        waiting + sending
    }

    /// Bits per second since the last reading, over the time in which something was being sent; none if there was
    /// none.
    pub(crate) fn read_meter(&mut self, now: f64) -> Option<f64> {
        if let Some(sending) = self.sending {
            self.meter.note(self.trace, &sending, now);
        }
        let Meter { bits, busy_s, .. } =
            std::mem::replace(&mut self.meter, Meter { since: now, ..Meter::default() });
        (busy_s > 0.0).then(|| bits / busy_s)
    }
}

impl Meter {
    fn note(&mut self, trace: &Trace, sending: &Sending, now: f64) {
        let from = sending.start.max(self.since);
        self.bits += trace.carried(from, now);
        self.busy_s += (now - from).max(0.0);
    }
}
