//! A session that takes longer than it must: a slower device, for trials on a fast machine.

use std::{
    thread,
    time::{Duration, Instant},
};

use autotiler_graph::{EngineError, Session, Tensor};

/// Waits after each run until it has taken so many times as long as the quickest.
///
/// The quickest and not each: what makes single runs late here is this machine's other work, which no slower device
/// would multiply.
pub(crate) struct SlowSession<S> {
    session: S,
    slowdown: u32,
    quickest: Option<Duration>,
}

impl<S> SlowSession<S> {
    pub(crate) fn new(session: S, slowdown: u32) -> Self {
        Self { session, slowdown, quickest: None }
    }
}

impl<S: Session> Session for SlowSession<S> {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let start = Instant::now();
        let results = self.session.run(inputs)?;
        let took = start.elapsed();
        let quickest = *self.quickest.insert(self.quickest.map_or(took, |before| before.min(took)));
        thread::sleep((quickest * self.slowdown).saturating_sub(took));
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes its time at first, as sessions do.
    struct Warming(bool);

    impl Session for Warming {
        fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
            let long = !std::mem::replace(&mut self.0, true);
            thread::sleep(Duration::from_millis(if long { 8 } else { 2 }));
            Ok(inputs.to_vec())
        }
    }

    #[test]
    fn a_run_takes_so_many_times_as_long_as_the_quickest() {
        let mut session = SlowSession::new(Warming(false), 10);
        let mut took = || {
            let start = Instant::now();
            session.run(&[]).unwrap();
            start.elapsed()
        };
        assert!(took() >= Duration::from_millis(80));
        assert!(took() >= Duration::from_millis(20));
        assert!(session.quickest.unwrap() < Duration::from_millis(8));
    }
}
