//! The live page in a real browser: headless Chromium, walked by the scripts of tests/browser, on a real gateway and
//! nats-server; where a picture is needed a real edge and decoder too.
//!
//! A walk and its test take turns: the walk says what it has seen, the test then changes something.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod crowd;
mod devices;
mod measure;
mod outages;
mod pictures;
mod pins;
mod stand;
mod stream;
mod town;
mod walk;
