//! A bounded hand-off between the threads of two stages.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// What happens when the taker is slower than the giver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Live video: the oldest item makes room for the newest.
    Newest,
    /// Files: the giver waits.
    Wait,
}

/// What became of a given item.
#[derive(Debug, PartialEq, Eq)]
pub enum Given<T> {
    /// It waits for the taker.
    Taken,
    /// It waits for the taker in the place of this older one.
    Displaced(T),
    /// Nobody takes any more; here it is back.
    Refused(T),
}

/// The giving end. Dropping it tells the taker that nothing more comes.
pub struct Giver<T>(Arc<Shared<T>>);

/// The taking end. Dropping it makes every later giving [`Given::Refused`].
pub struct Taker<T>(Arc<Shared<T>>);

/// Looks at a hand-off, and can end it from outside.
pub struct Watcher<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
    overflow: Overflow,
}

struct State<T> {
    items: VecDeque<T>,
    giver_gone: bool,
    taker_gone: bool,
}

/// A hand-off of at most `capacity` items (at least one).
pub fn handoff<T>(capacity: usize, overflow: Overflow) -> (Giver<T>, Taker<T>) {
    let state = State { items: VecDeque::new(), giver_gone: false, taker_gone: false };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        changed: Condvar::new(),
        capacity: capacity.max(1),
        overflow,
    });
    (Giver(shared.clone()), Taker(shared))
}

impl<T> Shared<T> {
    fn locked(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that runs under this lock can leave the queue torn.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Giver<T> {
    /// Gives `item`; blocks while there is no room, with [`Overflow::Wait`].
    pub fn give(&self, item: T) -> Given<T> {
        let mut state = self.0.locked();
        if self.0.overflow == Overflow::Wait {
            let full = |state: &mut State<T>| state.items.len() >= self.0.capacity && !state.taker_gone;
            state = self.0.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        }
        if state.taker_gone {
            return Given::Refused(item);
        }
        let displaced = if state.items.len() >= self.0.capacity { state.items.pop_front() } else { None };
        state.items.push_back(item);
        drop(state);
        self.0.changed.notify_all();
        displaced.map_or(Given::Taken, Given::Displaced)
    }

    /// A watcher of this hand-off.
    pub fn watcher(&self) -> Watcher<T> {
        Watcher(self.0.clone())
    }
}

impl<T> Taker<T> {
    /// The next item; waits for one. `None` when nothing more comes.
    pub fn take(&self) -> Option<T> {
        let nothing = |state: &mut State<T>| state.items.is_empty() && !state.giver_gone;
        let state = self.0.locked();
        let mut state = self.0.changed.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
        let item = state.items.pop_front();
        drop(state);
        self.0.changed.notify_all();
        item
    }
}

impl<T> Watcher<T> {
    /// Items that wait.
    pub fn len(&self) -> usize {
        self.0.locked().items.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the hand-off for both sides; yields what waited.
    pub fn abandon(&self) -> Vec<T> {
        let mut state = self.0.locked();
        (state.giver_gone, state.taker_gone) = (true, true);
        let waiting = std::mem::take(&mut state.items);
        drop(state);
        self.0.changed.notify_all();
        waiting.into()
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.locked().giver_gone = true;
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.0.locked().taker_gone = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_hand_off_keeps_the_newest() {
        let (giver, taker) = handoff(1, Overflow::Newest);
        assert_eq!(giver.give(1), Given::Taken);
        assert_eq!(giver.give(2), Given::Displaced(1));
        drop(giver);
        assert_eq!((taker.take(), taker.take()), (Some(2), None));
    }

    #[test]
    fn file_hand_off_waits_and_keeps_all_in_order() {
        let (giver, taker) = handoff(2, Overflow::Wait);
        let giving = std::thread::spawn(move || (0..100).all(|n| giver.give(n) == Given::Taken));
        let taken: Vec<_> = std::iter::from_fn(|| taker.take()).collect();
        assert!(giving.join().unwrap());
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_nobody_takes_comes_back() {
        let (giver, taker) = handoff(1, Overflow::Wait);
        giver.give(1);
        let watcher = giver.watcher();
        let giving = std::thread::spawn(move || giver.give(2));
        assert_eq!(watcher.len(), 1);
        // Giving 2 waits or has not begun; either way the end of the taker brings it back.
        drop(taker);
        assert_eq!(giving.join().unwrap(), Given::Refused(2));
        assert_eq!(watcher.abandon(), [1]);
    }
}
