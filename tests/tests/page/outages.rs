//! What the page stands on goes away and comes back.

use crate::{crowd::Crowd, stand::Stand, walk::Walk};

#[test]
fn a_killed_gateway_and_a_killed_broker_show_and_the_page_comes_back_by_itself() {
    let mut stand = Stand::new(&[], &[]);
    let _crowd = Crowd::start(&stand.nats.url(), 3);
    let mut walk = Walk::start(stand.folder.path(), "outages", &[&stand.url(), "3"]);
    walk.sees("all is well");
    stand.gateway.process().kill_all().unwrap();
    walk.sees("the gateway is missed");
    stand.resume_gateway();
    walk.sees("the gateway is back");
    stand.nats.kill().unwrap();
    walk.sees("nats-server is missed");
    stand.nats.resume().unwrap();
    walk.ends();
}
