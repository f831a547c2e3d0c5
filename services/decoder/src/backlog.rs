//! Frames that wait for the worker, and which of them go together.

use std::collections::VecDeque;

use crate::{catalogue::Point, worker::Job};

/// What the worker sorts by.
pub(crate) trait Grouped {
    /// Its operating point: only frames of one can share a run.
    fn point(&self) -> Point;
}

impl Grouped for Job {
    fn point(&self) -> Point {
        self.point
    }
}

/// Frames in the order of their arrival. Its bound is that of what was taken on.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    waiting: VecDeque<T>,
}

impl<T: Grouped> Backlog<T> {
    /// Nothing waits.
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new() }
    }

    /// Puts a frame at the end.
    pub(crate) fn push(&mut self, frame: T) {
        self.waiting.push_back(frame);
    }

    /// The frame that has waited longest.
    pub(crate) fn oldest(&self) -> Option<&T> {
        self.waiting.front()
    }

    /// How many could share a run with the oldest, itself included, `max` at most.
    pub(crate) fn ready(&self, max: usize) -> usize {
        let Some(point) = self.oldest().map(Grouped::point) else { return 0 };
        self.waiting.iter().filter(|frame| frame.point() == point).take(max).count()
    }

    /// Takes the oldest frame and up to `max - 1` others of its operating point; no frame overtakes another
    /// of its own point, and every point comes to the front in its turn.
    pub(crate) fn take_batch(&mut self, max: usize) -> Vec<T> {
        let Some(point) = self.oldest().map(Grouped::point) else { return Vec::new() };
        let mut batch = Vec::new();
        let mut rest = VecDeque::with_capacity(self.waiting.len());
        for frame in self.waiting.drain(..) {
            if batch.len() < max.max(1) && frame.point() == point {
                batch.push(frame);
            } else {
                rest.push_back(frame);
            }
        }
        self.waiting = rest;
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Frame(usize, u32);

    impl Grouped for Frame {
        fn point(&self) -> Point {
            Point::Plane(self.0)
        }
    }

    fn backlog(points: &[usize]) -> Backlog<Frame> {
        let mut backlog = Backlog::new();
        points.iter().zip(0..).for_each(|(&point, number)| backlog.push(Frame(point, number)));
        backlog
    }

    #[test]
    fn a_batch_is_of_the_oldest_frames_point_in_order() {
        let mut backlog = backlog(&[7, 8, 7, 7, 8, 7]);
        assert_eq!(backlog.ready(8), 4);
        assert_eq!(backlog.take_batch(3), [Frame(7, 0), Frame(7, 2), Frame(7, 3)]);
        assert_eq!(backlog.take_batch(8), [Frame(8, 1), Frame(8, 4)]);
        assert_eq!(backlog.take_batch(8), [Frame(7, 5)]);
        assert!(backlog.take_batch(8).is_empty());
        assert_eq!(backlog.ready(8), 0);
    }

    #[test]
    fn a_batch_limit_of_one_keeps_the_order_of_arrival() {
        let mut backlog = backlog(&[1, 2, 1]);
        let order: Vec<u32> = (0..3).flat_map(|_| backlog.take_batch(1)).map(|frame| frame.1).collect();
        assert_eq!(order, [0, 1, 2]);
    }
}
