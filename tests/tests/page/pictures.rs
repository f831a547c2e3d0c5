//! Pictures of the page for its README, of real cameras on recorded links.
//!
//! `make screenshots`

use crate::{
    town::{CAMERAS, Town, root},
    walk::Walk,
};

#[test]
#[ignore = "takes pictures of six minutes"]
fn take_pictures_of_a_town() {
    let town = Town::start();
    let out = root().join("services/gateway/pictures").display().to_string();
    let walk = Walk::start(town.folder.path(), "pictures", &[&town.url(), &CAMERAS.len().to_string(), &out]);
    // It says itself, sooner, what it waits for.
    walk.ends_within(std::time::Duration::from_secs(900));
}
