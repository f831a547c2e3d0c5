//! Orders through a real store move real devices.

use std::sync::{Arc, Mutex};

use autotiler_core::{
    DeviceId, Digest, Epoch,
    order::Order,
    telemetry::{RefusalReason, Telemetry},
};
use autotiler_tests::{NatsServerOptions, Signal, wait_for};
use autotiler_transport::{ConnectOptions, OrderBook, TelemetrySubscriber, connect};
use tokio::runtime::Runtime;

use crate::{
    accounts::Accounts,
    model::{POINT, POINTS},
    rig::{AT_LAST, READY, Rig},
};

/// What a controller does to one device, and hears of it.
pub(crate) struct Controller {
    pub(crate) runtime: Runtime,
    book: Option<OrderBook>,
    device: DeviceId,
    network: Digest,
    revision: u64,
    epoch: u32,
    heard: Arc<Mutex<Option<Telemetry>>>,
}

impl Controller {
    pub(crate) fn new(rig: &Rig, device: &str, orders: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = ConnectOptions::new(vec![rig.nats.url().parse().unwrap()], "test");
        let heard = Arc::new(Mutex::new(None));
        let book = runtime.block_on(async {
            let connection = connect(&options).await.unwrap();
            let mut words = TelemetrySubscriber::subscribe(&connection).await.unwrap();
            let newest = heard.clone();
            let book = if orders { Some(OrderBook::open(&connection).await.unwrap()) } else { None };
            tokio::spawn(async move {
                let _open = connection;
                while let Some(word) = words.next().await {
                    *newest.lock().unwrap() = Some(word.unwrap());
                }
            });
            book
        });
        let network = rig.network;
        Self { runtime, book, device: device.parse().unwrap(), network, revision: 0, epoch: 0, heard }
    }

    pub(crate) fn order(&self, point: &str) -> Order {
        Order {
            epoch: Epoch(self.epoch + 1),
            point: point.parse().unwrap(),
            min_bits: None,
            max_cut_permille: 0,
            network: self.network,
            tiler: None,
            guard: None,
            reason: "test".to_owned(),
            writer: "test".to_owned(),
            decided_at_ms: 0,
        }
    }

    pub(crate) fn put(&mut self, order: &Order) {
        let book = self.book.as_ref().unwrap();
        self.revision = self.runtime.block_on(book.put(&self.device, order, self.revision)).unwrap();
        self.epoch = order.epoch.0;
    }

    /// The device's word for which `condition` holds.
    pub(crate) fn hear(&self, what: &str, condition: impl Fn(&Telemetry) -> bool) -> Telemetry {
        let heard = || self.heard.lock().unwrap().clone().filter(|word| condition(word));
        wait_for(what, AT_LAST, heard).unwrap_or_else(|late| panic!("{late}: {:?}", self.heard))
    }

    pub(crate) fn obeyed(&self) -> Telemetry {
        self.hear("the order to be obeyed", |word| word.epoch.0 == self.epoch)
    }
}

pub(crate) fn with_store() -> Rig {
    Rig::with(NatsServerOptions { jetstream: true, ..NatsServerOptions::default() })
}

/// Epoch, point and capture of each line, by sequence.
fn frames(accounts: &Accounts) -> Vec<(u64, String, u64)> {
    let frame = |line: &serde_json::Value| {
        let number = |key: &str| line[key].as_u64().unwrap();
        (number("epoch"), line["point"].as_str().unwrap().to_owned(), number("captured_us"))
    };
    accounts.in_order().into_iter().map(frame).collect()
}

#[test]
fn an_order_moves_a_device_at_a_frame_boundary_and_no_frame_is_lost() {
    let rig = with_store();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = rig.edge("cam", POINTS[0], &["--fps", "20", "--follow-orders", "--device-class", "desk"]);
    let mut controller = Controller::new(&rig, "cam", true);
    edge.wait_received(10.0, AT_LAST);
    assert_eq!(controller.hear("a first word", |_| true).device_class, "desk");
    controller.put(&controller.order(POINTS[1]));
    let word = controller.obeyed();
    assert_eq!((word.switches, word.refused, word.assigned.to_string().as_str()), (1, None, POINTS[1]));
    edge.wait_received(20.0, AT_LAST);
    controller.hear("frames of the order", |word| {
        word.last_switch_gap_us.is_some() && word.stage_us.head.is_some() && word.server_us.decode.is_some()
    });
    edge.service.process().signal(Signal::SIGTERM).unwrap();

    let accounts = edge.accounts();
    assert_eq!(accounts.sum("lost") + accounts.sum("dropped"), 0, "{:#}", accounts.report);
    let frames = frames(&accounts);
    for (epoch, point, _) in &frames {
        assert_eq!(point, POINTS[usize::try_from(*epoch).unwrap()]);
    }
    let first = frames.iter().position(|(epoch, ..)| *epoch == 1).unwrap();
    assert!(frames[first..].iter().all(|(epoch, ..)| *epoch == 1), "one boundary");
    // Frames come each 50 ms; on a busy machine the clock that paces them may be late.
    let gap_us = frames[first].2 - frames[first - 1].2;
    assert!(gap_us <= 100_000, "{gap_us} us");
}

#[test]
fn an_order_that_cannot_be_obeyed_is_refused_with_its_reason_and_the_device_stays() {
    let rig = with_store();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = rig.edge("cam", POINT, &["--fps", "20", "--follow-orders"]);
    let mut controller = Controller::new(&rig, "cam", true);
    edge.wait_received(5.0, AT_LAST);
    let plain = controller.order(POINTS[1]);
    let refused = [
        (Order { tiler: Some(Digest([9; 32])), ..plain.clone() }, RefusalReason::UnknownTiler),
        (
            Order { point: "layer=0,cr=9,bits=2k".parse().unwrap(), ..plain.clone() },
            RefusalReason::UnknownTiler,
        ),
        (Order { network: Digest([9; 32]), ..plain.clone() }, RefusalReason::UnknownNetwork),
        (Order { point: "layer=1,cr=1,bits=3".parse().unwrap(), ..plain }, RefusalReason::BitsOutOfReach),
    ];
    for (order, reason) in refused {
        let order = Order { epoch: Epoch(controller.epoch + 1), ..order };
        controller.put(&order);
        let word = controller.hear("a refusal", |word| {
            word.refused.as_ref().is_some_and(|refused| refused.epoch == order.epoch)
        });
        assert_eq!(word.refused.map(|refused| refused.reason), Some(reason));
        assert_eq!((word.epoch, word.point.to_string().as_str()), (Epoch(0), POINT));
    }
    edge.wait_received(10.0, AT_LAST);
    controller.put(&controller.order(POINTS[2]));
    assert_eq!(controller.obeyed().refused, None);
    edge.wait_received(10.0, AT_LAST);
    edge.service.process().signal(Signal::SIGTERM).unwrap();
    let accounts = edge.accounts();
    assert_eq!(accounts.sum("lost") + accounts.sum("dropped"), 0, "{:#}", accounts.report);
    assert!(frames(&accounts).iter().all(|(epoch, point, _)| (*epoch == 0) == (point == POINT)));
}

#[test]
fn fifty_switches_in_a_row_lose_nothing_and_every_frame_is_what_was_ordered() {
    let rig = with_store();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = rig.edge("cam", POINTS[0], &["--fps", "50", "--follow-orders"]);
    let mut controller = Controller::new(&rig, "cam", true);
    edge.service.wait_ready(READY).unwrap();
    for number in 1..=50 {
        controller.put(&controller.order(POINTS[number % POINTS.len()]));
        controller.obeyed();
    }
    edge.wait_received(10.0, AT_LAST);
    assert_eq!(controller.obeyed().switches, 50);
    edge.service.process().signal(Signal::SIGTERM).unwrap();
    let accounts = edge.accounts();
    assert_eq!(accounts.sum("lost") + accounts.sum("dropped"), 0, "{:#}", accounts.report);
    let mut last = 0;
    for (epoch, point, _) in frames(&accounts) {
        assert_eq!(point, POINTS[usize::try_from(epoch).unwrap() % POINTS.len()]);
        assert!(epoch >= last, "epochs rise with the frames");
        last = epoch;
    }
    assert_eq!(last, 50);
}

#[test]
fn a_device_that_starts_anew_takes_up_its_order_again() {
    let rig = with_store();
    let _decoder = rig.decoder("decoder", &[]);
    let mut controller = Controller::new(&rig, "cam", true);
    controller.put(&controller.order(POINTS[1]));
    for run in 0..2 {
        let mut edge = rig.edge("cam", POINTS[0], &["--fps", "20", "--follow-orders"]);
        assert_eq!(controller.obeyed().assigned.to_string(), POINTS[1], "run {run}");
        edge.wait_received(5.0, AT_LAST);
        edge.service.process().signal(Signal::SIGTERM).unwrap();
        edge.accounts();
        *controller.heard.lock().unwrap() = None;
    }
}

#[test]
fn without_a_store_the_device_goes_on_with_its_own_point() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let edge = rig.edge("cam", POINT, &["--frames", "40", "--fps", "40", "--follow-orders"]);
    edge.accounts().assert_all_received(40);
}
