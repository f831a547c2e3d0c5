//! Fifty devices in the list.

use crate::{crowd::Crowd, stand::Stand, walk::Walk};

#[test]
fn fifty_devices_are_listed_and_what_happens_to_them_shows() {
    let stand = Stand::new(&[], &[]);
    let crowd = Crowd::start(&stand.nats.url(), 50);
    let mut walk = Walk::start(stand.folder.path(), "fleet", &[&stand.url(), "50"]);
    walk.sees("all devices are shown");
    crowd.switch("cam-07", "server-only,bits=60k");
    crowd.alter("cam-08", |word| {
        (word.point, word.guarded_for_ms, word.guard_moves) = ("device-only".parse().unwrap(), Some(400), 1);
    });
    crowd.hush("cam-09");
    walk.ends();
}
