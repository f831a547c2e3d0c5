//! A device that obeys every order at once and says so.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use autotiler_core::{Digest, Epoch, OperatingPoint, order::Order, telemetry::Telemetry};
use autotiler_transport::{ConnectOptions, OrderWatch, connect, publish_telemetry};
use tokio::runtime::Runtime;

/// As the edge: once a second would be enough, but tests are in a hurry.
const SPEAKS_EVERY: Duration = Duration::from_millis(200);

/// The network of the profiles in these tests.
pub(crate) const NETWORK: Digest = Digest([7; 32]);

pub(crate) struct Device {
    _runtime: Runtime,
    orders: Arc<Mutex<Vec<Order>>>,
    guards: Arc<AtomicBool>,
}

impl Device {
    pub(crate) fn start(nats: &str, name: &str) -> Self {
        Self::speaking(nats, name, |word| word)
    }

    /// A device that says what `alter` makes of its words.
    pub(crate) fn speaking(nats: &str, name: &str, alter: fn(Telemetry) -> Telemetry) -> Self {
        let runtime = Runtime::new().unwrap();
        let (orders, guards) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let options = ConnectOptions::new(vec![nats.parse().unwrap()], name);
        let device = name.parse::<autotiler_core::DeviceId>().unwrap();
        let (taken, guarded) = (orders.clone(), guards.clone());
        runtime.spawn(async move {
            let connection = connect(&options).await.unwrap();
            let mut watch = OrderWatch::new(&connection, &device);
            let start = Instant::now();
            let mut ticks = tokio::time::interval(SPEAKS_EVERY);
            let first: OperatingPoint = "server-only,bits=75k".parse().unwrap();
            let (mut epoch, mut point) = (Epoch(0), first);
            loop {
                tokio::select! {
                    posted = watch.next() => {
                        if let Some(Ok(order)) = posted.order && order.epoch > epoch {
                            (epoch, point) = (order.epoch, order.point);
                            taken.lock().unwrap().push(order);
                        }
                    }
                    _ = ticks.tick() => {}
                }
                let uptime_ms = u64::try_from(start.elapsed().as_millis()).unwrap();
                let guarded_for_ms = guarded.load(Ordering::Relaxed).then_some(500);
                let word = Telemetry {
                    point,
                    assigned: point,
                    guarded_for_ms,
                    captured: uptime_ms / 100,
                    ..word(device.as_str(), epoch, uptime_ms)
                };
                let _ = publish_telemetry(&connection, &alter(word)).await;
            }
        });
        Self { _runtime: runtime, orders, guards }
    }

    /// The orders that it obeyed, oldest first.
    pub(crate) fn orders(&self) -> Vec<Order> {
        self.orders.lock().unwrap().clone()
    }

    /// Where it is now.
    pub(crate) fn point(&self) -> String {
        self.orders().last().map_or_else(|| "none".to_owned(), |order| order.point.to_string())
    }

    /// Whether it says that its own guard has left the link.
    pub(crate) fn guard(&self, guards: bool) {
        self.guards.store(guards, Ordering::Relaxed);
    }
}

/// What a device says that knows nothing of its link.
pub(crate) fn word(name: &str, epoch: Epoch, uptime_ms: u64) -> Telemetry {
    let point: OperatingPoint = "server-only,bits=75k".parse().unwrap();
    Telemetry {
        uptime_ms,
        epoch,
        frames_per_second: 10.0,
        ..Telemetry::at_start(name.parse().unwrap(), "slow".to_owned(), NETWORK, point)
    }
}
