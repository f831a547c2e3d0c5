//! What each role may and may not, as the server sees it.

use std::time::{Duration, Instant, SystemTime};

use autotiler_access::{Credentials, ServiceRole};
use autotiler_transport::{
    ConnectError, DropReason, OrderBook, OrderWatch, publish_telemetry, subject, testing::RawClient,
};

use crate::{
    site::{LONG, Site, device},
    work::{order, word},
};

/// What `cam` may do.
const OWN: [&str; 12] = [
    "PUB autotiler.v1.frame.0123456789abcdef.cam",
    "PUB autotiler.v1.detections.cam.0.1",
    "PUB autotiler.v1.sets.cam.token",
    "PUB autotiler.v1.telemetry.cam",
    "PUB autotiler.v1.echo.cam.0",
    "PUB $JS.API.DIRECT.GET.KV_autotiler_orders.$KV.autotiler_orders.cam",
    "SUB autotiler.v1.detections.cam.0.*",
    "SUB autotiler.v1.detections.cam.>",
    "SUB autotiler.v1.params.cam",
    "SUB autotiler.v1.echo.cam.0",
    "SUB autotiler.v1.order.cam",
    "SUB _INBOX.device.cam.token",
];

/// What `cam` may not: another's subjects, the store, everybody's, and what only services say.
const OTHERS: [&str; 36] = [
    "PUB autotiler.v1.frame.0123456789abcdef.other",
    "PUB autotiler.v1.detections.other.0.1",
    "PUB autotiler.v1.sets.other.token",
    "PUB autotiler.v1.telemetry.other",
    "PUB autotiler.v1.echo.other.0",
    "PUB autotiler.v1.params.other",
    "PUB autotiler.v1.order.other",
    "PUB autotiler.v1.order.cam",
    "PUB _INBOX.device.other.token",
    "PUB _INBOX.decoder.token",
    "PUB $KV.autotiler_orders.cam",
    "PUB $KV.autotiler_orders.other",
    "PUB $JS.API.DIRECT.GET.KV_autotiler_orders.$KV.autotiler_orders.other",
    "PUB $JS.API.DIRECT.GET.KV_autotiler_orders.$KV.autotiler_orders.>",
    "PUB $JS.API.DIRECT.GET.KV_autotiler_orders",
    "PUB $JS.API.STREAM.MSG.GET.KV_autotiler_orders",
    "PUB $JS.API.STREAM.INFO.KV_autotiler_orders",
    "PUB $JS.API.STREAM.DELETE.KV_autotiler_orders",
    "PUB $JS.API.STREAM.PURGE.KV_autotiler_orders",
    "PUB $JS.API.CONSUMER.CREATE.KV_autotiler_orders",
    "PUB $JS.API.CONSUMER.CREATE.KV_autotiler_orders.name.$KV.autotiler_orders.other",
    "PUB $SYS.REQ.SERVER.PING",
    "SUB autotiler.v1.detections.other.>",
    "SUB autotiler.v1.detections.>",
    "SUB autotiler.v1.frame.*.*",
    "SUB autotiler.v1.frame.0123456789abcdef.* decoders",
    "SUB autotiler.v1.telemetry.*",
    "SUB autotiler.v1.params.other",
    "SUB autotiler.v1.sets.*.*",
    "SUB autotiler.v1.echo.other.0",
    "SUB autotiler.v1.order.other",
    "SUB autotiler.v1.order.*",
    "SUB $KV.autotiler_orders.cam",
    "SUB _INBOX.device.other.>",
    "SUB _INBOX.>",
    "SUB >",
];

/// Of the services: who, what, and whether it is allowed.
const SERVICES: [(ServiceRole, &str, bool); 22] = [
    (ServiceRole::Decoder, "SUB autotiler.v1.frame.0123456789abcdef.* decoders", true),
    // Outside the queue group it would see frames that others decode.
    (ServiceRole::Decoder, "SUB autotiler.v1.frame.0123456789abcdef.*", false),
    (ServiceRole::Decoder, "PUB autotiler.v1.detections.cam.0.1", true),
    (ServiceRole::Decoder, "PUB autotiler.v1.params.cam", true),
    (ServiceRole::Decoder, "SUB autotiler.v1.sets.cam.token", true),
    (ServiceRole::Decoder, "PUB autotiler.v1.telemetry.cam", false),
    (ServiceRole::Decoder, "PUB $KV.autotiler_orders.cam", false),
    (ServiceRole::Decoder, "SUB autotiler.v1.order.*", false),
    (ServiceRole::Gateway, "SUB autotiler.v1.telemetry.*", true),
    (ServiceRole::Gateway, "SUB autotiler.v1.frame.*.cam", true),
    (ServiceRole::Gateway, "SUB autotiler.v1.detections.cam.>", true),
    (ServiceRole::Gateway, "PUB autotiler.v1.detections.cam.0.1", false),
    (ServiceRole::Gateway, "PUB autotiler.v1.frame.0123456789abcdef.cam", false),
    (ServiceRole::Controller, "SUB autotiler.v1.telemetry.*", true),
    (ServiceRole::Controller, "PUB $KV.autotiler_orders.cam", true),
    (ServiceRole::Controller, "PUB autotiler.v1.telemetry.cam", false),
    (ServiceRole::Controller, "PUB $JS.API.STREAM.DELETE.KV_autotiler_orders", false),
    (ServiceRole::Controller, "SUB autotiler.v1.frame.*.*", false),
    (ServiceRole::Monitor, "SUB autotiler.v1.order.*", true),
    (ServiceRole::Monitor, "SUB autotiler.v1.detections.>", true),
    (ServiceRole::Monitor, "PUB autotiler.v1.telemetry.cam", false),
    (ServiceRole::Monitor, "SUB autotiler.v1.frame.*.*", false),
];

/// A whole command: a subscription needs a number, a message a length.
fn command(case: &str, number: usize) -> String {
    if case.starts_with("SUB") { format!("{case} {number}\r\n") } else { format!("{case} 0\r\n\r\n") }
}

fn check(raw: &mut RawClient, number: usize, who: &str, case: &str, allowed: bool) {
    let refused = raw.is_refused(&command(case, number)).unwrap();
    assert_eq!(refused, !allowed, "{who}: {case}");
}

#[test]
fn a_device_has_its_own_subjects_and_no_other() {
    let site = Site::start();
    let mut raw = RawClient::connect(site.server.port(), site.device("cam").reveal()).unwrap();
    let cases = OWN.map(|case| (case, true)).into_iter().chain(OTHERS.map(|case| (case, false)));
    for (number, (case, allowed)) in cases.enumerate() {
        check(&mut raw, number, "cam", case, allowed);
    }
    // The server's own log names who tried what.
    for words in
        [["Publish Violation", "autotiler.v1.telemetry.other"], ["Subscription Violation", "_INBOX.>"]]
    {
        let said = || site.server.log().lines().any(|line| words.iter().all(|word| line.contains(word)));
        let start = Instant::now();
        while !said() {
            assert!(start.elapsed() < LONG, "{words:?} is not in\n{}", site.server.log());
            std::thread::yield_now();
        }
    }
}

#[test]
fn each_service_has_its_part_and_no_other() {
    let site = Site::start();
    for (number, (role, case, allowed)) in SERVICES.into_iter().enumerate() {
        let mut raw = RawClient::connect(site.server.port(), site.service(role).reveal()).unwrap();
        check(&mut raw, number, role.name(), case, allowed);
    }
}

#[tokio::test]
async fn a_refusal_is_counted_at_the_client() {
    let site = Site::start();
    let cam = site.connect(&site.device("cam")).await;
    publish_telemetry(&cam, &word("cam")).await.unwrap();
    cam.flush().await;
    assert_eq!(cam.refusals(), 0);
    publish_telemetry(&cam, &word("other")).await.unwrap();
    tokio::time::timeout(LONG, async {
        while cam.refusals() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_answer_that_is_asked_for_elsewhere_reaches_no_key_of_the_store() {
    let site = Site::start();
    let book = OrderBook::open(&site.connect(&site.service(ServiceRole::Controller)).await).await.unwrap();
    book.put(&device("cam"), &order(1), 0).await.unwrap();
    let mut raw = RawClient::connect(site.server.port(), site.device("cam").reveal()).unwrap();
    assert!(!raw.is_refused("SUB _INBOX.device.cam.* 1\r\n").unwrap());
    let ask = "PUB $JS.API.DIRECT.GET.KV_autotiler_orders.$KV.autotiler_orders.cam";
    // A reply subject is nobody's right, so the server takes the question.
    for reply in
        ["$KV.autotiler_orders.other", "$JS.API.STREAM.PURGE.KV_autotiler_orders", "autotiler.v1.order.other"]
    {
        assert!(!raw.is_refused(&format!("{ask} {reply} 0\r\n\r\n")).unwrap(), "{reply}");
    }
    // Its own answer comes after those.
    raw.say(&format!("{ask} _INBOX.device.cam.own 0\r\n\r\n")).unwrap();
    let (own, other) = (book.get(&device("cam")).await.unwrap(), book.get(&device("other")).await.unwrap());
    assert_eq!((own.revision, own.order.unwrap().unwrap().epoch.0), (1, 1));
    assert!(other.revision == 0 && other.order.is_none());
    // Nor does the other device take it for an order of its own.
    let victim = site.connect(&site.device("other")).await;
    let mut watch = OrderWatch::new(&victim, &device("other"));
    let taken = tokio::spawn(async move { watch.next().await.order.unwrap().unwrap().epoch.0 });
    for _ in 0..20 {
        raw.say(&format!("{ask} autotiler.v1.order.other 0\r\n\r\n")).unwrap();
    }
    book.put(&device("other"), &order(7), 0).await.unwrap();
    assert_eq!(tokio::time::timeout(LONG, taken).await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn credentials_end_and_those_of_another_authority_are_worth_nothing() {
    let (site, foreign) = (Site::start(), Site::start());
    let past = SystemTime::now() - Duration::from_secs(60);
    for bad in [site.until("cam", Some(past)), foreign.device("cam")] {
        let refused = site.try_connect(&bad).await;
        assert!(matches!(refused, Err(ConnectError::Refused(_))), "{refused:?}");
    }
    let soon = SystemTime::now() + Duration::from_secs(3600);
    let cam = site.connect(&site.until("cam", Some(soon))).await;
    let sent = cam.publish_now(subject::telemetry(&device("cam")), "x".into()).await;
    assert_eq!(sent, Ok::<(), DropReason>(()));
}

#[test]
fn credentials_are_not_printed() {
    let site = Site::start();
    let credentials: Credentials = site.device("cam");
    assert_eq!(format!("{credentials:?}"), "Credentials(redacted)");
}
