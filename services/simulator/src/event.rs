//! What happens next.

/// Something that happens at a time. Where two do at once, the earlier in this list goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The link has carried what was being sent.
    Carried,
    /// The device has finished a frame.
    Worked,
    /// A probe's answer is there.
    Answered,
    /// An order reaches the device.
    Ordered,
    /// The controller looks.
    Swept,
    /// The camera has a frame.
    Captured,
    /// The device looks at its guard between frames.
    Ticked,
}

/// The first of some events, and when.
pub(crate) fn first<const N: usize>(events: [(f64, Event); N]) -> Option<(f64, Event)> {
    let mut first = (f64::INFINITY, None);
    for (at, event) in events {
        if at < first.0 {
            first = (at, Some(event));
        }
    }
    first.1.map(|event| (first.0, event))
}
