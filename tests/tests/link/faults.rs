//! Something dies while the link changes: the stream goes on at the right point, and the accounts close.

use autotiler_core::{Epoch, OperatingPoint, order::Order};
use autotiler_transport::{ConnectOptions, OrderWatch, connect};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    accounts::Accounts,
    audit::{Audit, Thresholds, model_dir},
    camera::Camera,
    site::{AT_LAST, Site, THIN, WIDE, json, until},
};

fn audited(camera: Camera) -> Accounts {
    let accounts = camera.stop();
    let audited = Audit::new(&model_dir(), Thresholds::default()).check(&accounts.lines);
    assert_eq!(audited as u64, accounts.count("received"));
    accounts
}

/// Waits for the order after `epoch`, as it is written.
fn next_order(site: &Site, epoch: Epoch) -> Order {
    let runtime = Runtime::new().unwrap();
    let options = ConnectOptions::new(vec![site.nats.url().parse().unwrap()], "test");
    runtime.block_on(async {
        let connection = connect(&options).await.unwrap();
        let mut watch = OrderWatch::new(&connection, &"cam".parse().unwrap());
        let newer = async {
            loop {
                if let Some(Ok(order)) = watch.next().await.order
                    && order.epoch > epoch
                {
                    return order;
                }
            }
        };
        timeout(AT_LAST, newer).await.expect("another order")
    })
}

#[test]
fn a_device_that_is_killed_in_the_middle_of_a_switch_comes_back_at_its_order() {
    let Some(site) = Site::new(WIDE.0) else { return };
    let _decoder = site.decoder("decoder");
    let controller = site.controller(&site.policy(""));
    let mut camera = site.camera("cam", WIDE.1);
    let under_order = camera.see("under an order", |line| line["epoch"] != 0);
    let epoch = Epoch(u32::try_from(under_order["epoch"].as_u64().unwrap()).unwrap());

    site.link.shape(THIN.0).unwrap();
    let order = next_order(&site, epoch);
    camera.service().process().kill_all().unwrap();
    let killed = camera.frames().to_vec();
    Audit::new(&model_dir(), Thresholds::default()).check(&killed);

    let thin: OperatingPoint = THIN.1.parse().unwrap();
    assert_eq!(order.point, thin);
    let mut again = site.camera("again", WIDE.1);
    again.see("of the order that it was killed over", |line| {
        line["point"] == THIN.1 && line["epoch"] == order.epoch.0 && line["outcome"] == "received"
    });
    until("its word", || json(&controller, "/v1/devices/cam")["synced"] == true);
    again.see_many(10, THIN.1);
    audited(again);
}

#[test]
fn a_decoder_that_is_killed_while_the_link_changes_is_waited_for() {
    let Some(site) = Site::new(WIDE.0) else { return };
    let mut decoder = site.decoder("decoder");
    let _controller = site.controller(&site.policy(""));
    let mut camera = site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);

    site.link.shape(THIN.0).unwrap();
    decoder.process().kill_all().unwrap();
    camera.see("lost for want of a decoder", |line| line["outcome"] == "lost");
    let _next = site.decoder("next");
    camera.see_many(10, THIN.1);
    site.link.shape(WIDE.0).unwrap();
    camera.see_many(5, WIDE.1);
    let accounts = audited(camera);
    let lost = accounts.report["lost"].as_object().unwrap();
    assert!(
        lost.keys().all(|reason| reason == "no_decoder" || reason == "no_answer"),
        "{:#}",
        accounts.report
    );
}

#[test]
fn a_broker_that_is_killed_is_done_without() {
    let Some(mut site) = Site::new(WIDE.0) else { return };
    let _decoder = site.decoder("decoder");
    let controller = site.controller(&site.policy(""));
    let mut camera = site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);
    site.nats.kill().unwrap();
    // Its guard does it all on the device.
    camera.see_many(10, "device-only");
    site.nats.resume().unwrap();
    camera.see_many(10, WIDE.1);
    until("its word", || json(&controller, "/v1/devices/cam")["synced"] == true);
    audited(camera);
}

#[test]
fn a_broker_that_is_killed_while_the_link_drops_is_done_without() {
    let Some(mut site) = Site::new(WIDE.0) else { return };
    let _decoder = site.decoder("decoder");
    let _controller = site.controller(&site.policy(""));
    let mut camera = site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);
    site.link.shape(THIN.0).unwrap();
    site.nats.kill().unwrap();
    camera.see_many(10, "device-only");
    site.nats.resume().unwrap();
    camera.see_many(10, THIN.1);
    site.link.shape(WIDE.0).unwrap();
    camera.see_many(10, WIDE.1);
    audited(camera);
}
