//! Waiting on conditions, with a deadline that names what did not happen.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {deadline:?} in vain for {what}")]
pub struct Late {
    /// What was waited for, as the caller named it.
    pub what: String,
    /// How long.
    pub deadline: Duration,
}

/// Looks until `look` finds something, and gives that.
///
/// # Errors
/// [`Late`] when it found nothing within `deadline`; there is always a last look at the deadline itself.
pub fn wait_for<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> Result<T, Late> {
    wait_looking_every(LOOK_EVERY, what, deadline, look)
}

/// The same with so much time `between` two looks, where looking itself would disturb what is measured.
///
/// # Errors
/// [`Late`].
pub fn wait_looking_every<T>(
    between: Duration,
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, Late> {
    let began = Instant::now();
    loop {
        let over = began.elapsed() >= deadline;
        match look() {
            Some(found) => return Ok(found),
            None if over => return Err(Late { what: what.to_owned(), deadline }),
            None => thread::sleep(between),
        }
    }
}

/// Looks until `condition` is true.
///
/// # Errors
/// [`Late`].
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) -> Result<(), Late> {
    wait_for(what, deadline, || condition().then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_look_found() {
        let mut looks = 0;
        let found = wait_for("the third look", Duration::from_secs(10), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn names_what_did_not_happen() {
        let late = wait_until("a miracle", Duration::from_millis(20), || false).unwrap_err();
        assert_eq!(late.to_string(), "waited 20ms in vain for a miracle");
    }
}
