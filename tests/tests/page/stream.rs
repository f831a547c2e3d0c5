//! One device as it is: a real edge with the embedded detector, and a real decoder.

use std::path::Path;

use autotiler_core::{Epoch, order::Order};
use autotiler_model::Model;
use autotiler_tests::Service;
use autotiler_transport::{ConnectOptions, OrderBook, connect};
use tokio::runtime::Runtime;

use crate::{
    stand::{READY, Stand},
    walk::Walk,
};

/// Where the device begins, and where it is sent: each shows something else.
const POINTS: [&str; 3] = ["layer=36,cr=4,bits=12k", "server-only,bits=40k", "device-only"];

#[test]
fn a_device_is_shown_with_its_plane_its_boxes_and_its_picture_as_orders_move_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/street");
    let model = dir.display().to_string();
    let stand = Stand::new(&["--model", &model], &[]);
    let nats = stand.nats.url();
    let start = |program: &str, more: &[&str]| {
        let args = [&["--model", &model, "--nats", &nats], more].concat();
        let mut service = Service::start(program, program, args, stand.folder.path()).unwrap();
        service.wait_ready(READY).unwrap();
        service
    };
    let _decoder = start("autotiler-decoder", &[]);
    let edge = ["--device", "cam", "--point", POINTS[0], "--live", "--fps", "5", "--follow-orders"];
    let _edge = start("autotiler-edge", &edge);

    let mut walk = Walk::start(stand.folder.path(), "stream", &[&stand.url(), "cam"]);
    walk.sees("plane and boxes are shown");
    let mut controller = Controller::new(&nats, Model::load(&dir).unwrap());
    controller.order(POINTS[1]);
    walk.sees("the picture is shown");
    controller.order(POINTS[2]);
    walk.ends();
}

/// Whoever orders the device about.
struct Controller {
    runtime: Runtime,
    book: OrderBook,
    model: Model,
    revision: u64,
    epoch: Epoch,
}

impl Controller {
    fn new(nats: &str, model: Model) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = ConnectOptions::new(vec![nats.parse().unwrap()], "test");
        let book =
            runtime.block_on(async { OrderBook::open(&connect(&options).await.unwrap()).await.unwrap() });
        Self { runtime, book, model, revision: 0, epoch: Epoch(0) }
    }

    fn order(&mut self, point: &str) {
        self.epoch.0 += 1;
        let order = Order {
            epoch: self.epoch,
            point: point.parse().unwrap(),
            min_bits: None,
            max_cut_permille: 0,
            network: self.model.manifest.digest,
            tiler: None,
            guard: None,
            reason: "test".to_owned(),
            writer: "test".to_owned(),
            decided_at_ms: 0,
        };
        let device = "cam".parse().unwrap();
        self.revision = self.runtime.block_on(self.book.put(&device, &order, self.revision)).unwrap();
    }
}
