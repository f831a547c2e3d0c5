//! Makes ready for orders on a thread of its own, while frames go on as before; then the helm turns.

use std::{fs, path::Path, sync::Arc};

use autotiler_core::{Digest, OperatingPoint, bits::BitsSettings, order::Order, telemetry::Refusal};
use autotiler_graph::Engine;
use autotiler_model::Model;
use autotiler_scene::Picture;
use tokio::sync::watch;

use crate::{
    frame::{Assignment, Course},
    handoff::Taker,
    helm::{Helm, Safe},
    prepared::{CodecOptions, PrepareError, Prepared, Shelf, Work},
    stages::ParameterBook,
};

/// Works kept warm: the assigned and the safe one, and some to return to.
const KEPT: usize = 4;
/// Of these are in use.
const IN_USE: usize = 2;

/// Prepares works.
pub struct Preparer {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The model.
    pub model: Arc<Model>,
    /// How planes are coded.
    pub codec: CodecOptions,
    /// Where parameter sets are kept for decoders.
    pub parameters: ParameterBook,
    /// Memory that must be free before a work is prepared, in bytes.
    pub spare_memory: u64,
    shelf: Shelf,
}

impl Preparer {
    /// A preparer with nothing prepared.
    pub fn new(
        engine: Arc<dyn Engine>,
        model: Arc<Model>,
        codec: CodecOptions,
        parameters: ParameterBook,
        spare_memory: u64,
    ) -> Self {
        Self { engine, model, codec, parameters, spare_memory, shelf: Shelf::new(KEPT) }
    }

    /// Obeys `orders` as they come, until no more do. `newest` shows the newest picture.
    pub fn run(mut self, orders: &Taker<Order>, helm: &Helm, newest: &watch::Receiver<Option<Arc<Picture>>>) {
        while let Some(order) = orders.take() {
            if order.epoch <= helm.seen() {
                tracing::debug!(epoch = order.epoch.0, "order is not new");
                continue;
            }
            let sample = newest.borrow().clone();
            match self.prepare(&order, sample.as_deref()) {
                Ok((course, safe)) => {
                    tracing::info!(epoch = order.epoch.0, point = %order.point, reason = order.reason, "order");
                    helm.steer(course, safe);
                }
                Err(error) => {
                    let (reason, detail) = (error.reason(), error.detail());
                    tracing::error!(epoch = order.epoch.0, point = %order.point, reason = reason.label(), detail,
                        "order refused; staying at the last one");
                    helm.refuse(Refusal::new(order.epoch, reason, detail));
                }
            }
        }
    }

    /// All that `order` takes.
    ///
    /// # Errors
    /// [`PrepareError`].
    fn prepare(
        &mut self,
        order: &Order,
        sample: Option<&Picture>,
    ) -> Result<(Course, Option<Safe>), PrepareError> {
        if order.network != self.model.manifest.digest {
            return Err(PrepareError::Network(order.network));
        }
        let assignment = Assignment { epoch: order.epoch, point: order.point };
        // The safe point first: the assigned one is then the newest on the shelf.
        let safe = match &order.guard {
            None => None,
            Some(terms) => {
                let assignment = Assignment { point: terms.safe_point, ..assignment };
                let course = self.course(assignment, None, None, sample)?;
                Some(Safe { settings: terms.settings(), course: Arc::new(course) })
            }
        };
        Ok((self.course(assignment, order.bits(), order.tiler, sample)?, safe))
    }

    /// `assignment` with all that it takes, warm.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub fn course(
        &mut self,
        assignment: Assignment,
        bits: Option<BitsSettings>,
        tiler: Option<Digest>,
        sample: Option<&Picture>,
    ) -> Result<Course, PrepareError> {
        let work = Work::of(assignment.point, tiler, &self.model)?;
        Ok(Course { assignment, bits, work: self.ready(work, assignment.point, sample)? })
    }

    /// `work`, warm: from the shelf, or made now.
    ///
    /// # Errors
    /// [`PrepareError`].
    fn ready(
        &mut self,
        work: Work,
        point: OperatingPoint,
        sample: Option<&Picture>,
    ) -> Result<Arc<Prepared>, PrepareError> {
        if let Some(found) = self.shelf.find(work) {
            found.check_reach(point)?;
            return Ok(found);
        }
        self.make_room()?;
        let made = Prepared::warm(work, point, self.engine.as_ref(), &self.model, &self.codec, sample)?;
        if let Some(session) = made.session() {
            session.keep_parameters(&self.parameters);
        }
        let made = Arc::new(made);
        self.shelf.keep(made.clone());
        Ok(made)
    }

    /// Gives up works that are not in use until enough memory is free.
    fn make_room(&mut self) -> Result<(), PrepareError> {
        let wanted = self.spare_memory;
        loop {
            match free_memory() {
                Some(free) if free < wanted => {
                    if !self.shelf.give_up_oldest(IN_USE) {
                        return Err(PrepareError::Memory { free, wanted });
                    }
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Free memory in bytes, by the system's and the control group's account; none where neither tells.
fn free_memory() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let number = |name: &str| {
        let text = fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let group =
        number("memory.max").zip(number("memory.current")).map(|(max, used)| max.saturating_sub(used));
    [system, group].into_iter().flatten().min()
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_from_the_systems_own_words() {
        let text = "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available(text), Some(2048 * 1024));
        assert_eq!(available("MemAvailable: many kB"), None);
        assert!(free_memory().is_none_or(|free| free > 0));
    }
}
