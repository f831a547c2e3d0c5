//! A network interface, shaped by `tc`: what leaves through it.

use std::{process::Command, time::Duration};

use crate::{
    link::{Link, LinkError},
    rate::Rate,
};

/// Each change fills tbf's bucket anew, two packets at least: changed each 100 ms, a thin link would carry 240 kbit/s
/// more than it should.
const STEP: Duration = Duration::from_secs(1);
/// Two packets of an Ethernet: less, and nothing gets through.
const LEAST_BURST: f64 = 3_100.0;
/// The bucket holds so many seconds of the rate.
const BURST_S: f64 = 0.01;
/// What waits before it is dropped, in seconds of the rate,
const WAIT_S: f64 = 0.2;
/// and in bytes at least: a queue of a few packets would lose most of a frame.
const LEAST_WAIT: f64 = 65_536.0;
/// The rate of a dead link, in bits per second: tc knows no 0, and a packet takes longer than anybody waits.
const DEAD_BPS: f64 = 8.0;

/// An interface; its shaping is gone when this is dropped.
#[derive(Debug)]
pub struct Interface {
    name: String,
}

impl Interface {
    /// The interface `name` of this network namespace.
    ///
    /// # Errors
    /// [`LinkError`] when it is not there or we may not shape it.
    pub fn open(name: &str) -> Result<Self, LinkError> {
        let interface = Self { name: name.to_owned() };
        // At once, so that a lack of rights is told before anybody counts on the link.
        tc(name, &replace(name, Rate::from_bps(1e9)))?;
        Ok(interface)
    }

    fn open_up(&self) -> Result<(), LinkError> {
        tc(&self.name, &["qdisc", "del", "dev", &self.name, "root"].map(str::to_owned))
    }
}

impl Link for Interface {
    fn step(&self) -> Duration {
        STEP
    }

    fn carry(&mut self, rate: Rate) -> Result<(), LinkError> {
        match rate {
            // Already gone is as good: nothing shapes it.
            Rate::OPEN => self.open_up().or_else(|error| match error {
                LinkError::Refused { .. } => Ok(()),
                error => Err(error),
            }),
            rate => tc(&self.name, &replace(&self.name, rate)),
        }
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        // Not there any more after `open`, or the whole namespace is gone: nothing is left to undo.
        let _ = self.open_up();
    }
}

fn replace(interface: &str, rate: Rate) -> Vec<String> {
    let bps = rate.bps().unwrap_or(f64::MAX).max(DEAD_BPS);
    let burst = (bps * BURST_S / 8.0).max(LEAST_BURST);
    let limit = burst + (bps * WAIT_S / 8.0).max(LEAST_WAIT);
    let words = ["qdisc", "replace", "dev", interface, "root", "tbf", "rate"].map(str::to_owned);
    let numbers = [
        format!("{bps:.0}bit"),
        "burst".into(),
        format!("{burst:.0}"),
        "limit".into(),
        format!("{limit:.0}"),
    ];
    words.into_iter().chain(numbers).collect()
}

fn tc(interface: &str, words: &[String]) -> Result<(), LinkError> {
    let output = Command::new("tc").args(words).output().map_err(LinkError::NoTc)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // EPERM, in the words that tc and the kernel have for it.
    let forbidden = ["Operation not permitted", "Permission denied"].iter().any(|words| said.contains(words));
    Err(if forbidden {
        LinkError::Forbidden { interface: interface.to_owned(), said }
    } else {
        LinkError::Refused { command: words.join(" "), said }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_a_hundredth_of_a_second_and_two_packets_at_least() {
        let words = |bps: f64| replace("eth0", Rate::from_bps(bps)).join(" ");
        assert_eq!(words(8e6), "qdisc replace dev eth0 root tbf rate 8000000bit burst 10000 limit 210000");
        assert_eq!(words(1e5), "qdisc replace dev eth0 root tbf rate 100000bit burst 3100 limit 68636");
        assert!(words(0.0).contains("rate 8bit"));
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Interface::open("nonesuch0").unwrap_err().to_string();
        assert!(error.contains("nonesuch0"), "{error}");
    }
}
