//! Patterns of subjects, for whoever grants rights: which subjects one device has, and which all of them have.
//!
//! What is written here and what the rest of this room subscribes to come from the same names, so that a right and
//! its use cannot drift apart.

use autotiler_core::DeviceId;

use super::{AnswerSubject, DETECTIONS, ECHO, FRAME, INBOX, NOBODY, ORDER, PARAMS, SETS};
use crate::orders::{BUCKET, STREAM};

/// Frames of `device`, of whatever network.
pub fn frames(device: &DeviceId) -> String {
    format!("{FRAME}.*.{device}")
}

/// Everybody's frames.
pub fn all_frames() -> String {
    format!("{FRAME}.*.*")
}

/// Detections for `device`, and those that it makes itself.
pub fn answers(device: &DeviceId) -> String {
    AnswerSubject::whole_device(device)
}

/// Everybody's detections.
pub fn all_answers() -> String {
    format!("{DETECTIONS}.>")
}

/// Requests to all devices for parameter sets; those to one are at [`super::parameters`].
pub fn all_parameters() -> String {
    format!("{PARAMS}.*")
}

/// Where `device` puts the parameter sets that it is asked for.
pub fn parameter_sets(device: &DeviceId) -> String {
    format!("{SETS}.{device}.*")
}

/// Parameter sets of all devices.
pub fn all_parameter_sets() -> String {
    format!("{SETS}.*.*")
}

/// What `device` sends to itself.
pub fn echoes(device: &DeviceId) -> String {
    format!("{ECHO}.{device}.*")
}

/// Word of new orders to all devices; that to one is at [`super::order`].
pub fn all_orders() -> String {
    format!("{ORDER}.*")
}

/// The question for the order that is kept for `device`. The subject says whose it is, so that a right to it is a
/// right to no other.
pub fn kept_order(device: &DeviceId) -> String {
    format!("{}.{}", direct_get(), order_key(device))
}

/// The questions for the orders of all devices.
pub fn all_kept_orders() -> String {
    format!("{}.$KV.{BUCKET}.*", direct_get())
}

/// All that keeping the orders of all devices takes: the store's own subjects, and those of the JetStream API.
pub fn order_keeping() -> Vec<String> {
    let api = |verb: &str| format!("$JS.API.STREAM.{verb}.{STREAM}");
    vec![api("INFO"), api("CREATE"), api("UPDATE"), all_kept_orders(), format!("$KV.{BUCKET}.*")]
}

/// Where nobody listens, which shows that the broker has read all that was sent before.
pub fn nobody() -> String {
    NOBODY.to_owned()
}

/// Prefix of the inboxes of `user`, whose answers nobody else may read.
pub fn inbox_prefix(user: &str) -> String {
    format!("{INBOX}.{user}")
}

/// The inboxes under `prefix`.
pub fn inboxes(prefix: &str) -> String {
    format!("{prefix}.>")
}

/// Where the order of `device` is kept.
pub(crate) fn order_key(device: &DeviceId) -> String {
    format!("$KV.{BUCKET}.{device}")
}

fn direct_get() -> String {
    format!("$JS.API.DIRECT.GET.{STREAM}")
}

#[cfg(test)]
mod tests {
    use autotiler_core::{Digest, Sequence, StreamId};

    use super::*;
    use crate::subject::{self, FrameSubject};

    /// Whether `pattern` covers `subject`, as the broker decides it.
    fn covers(pattern: &str, subject: &str) -> bool {
        let mut subject = subject.split('.');
        for token in pattern.split('.') {
            match (token, subject.next()) {
                (">", rest) => return rest.is_some(),
                ("*", Some(_)) => {}
                (token, Some(other)) if token == other => {}
                _ => return false,
            }
        }
        subject.next().is_none()
    }

    #[test]
    fn each_pattern_covers_the_subjects_of_its_device_and_no_other() {
        let of = |device: &DeviceId| {
            let answer = AnswerSubject { device: device.clone(), stream: StreamId(3), sequence: Sequence(9) };
            [
                FrameSubject::new(&Digest([1; 32]), device.clone()).to_string(),
                answer.to_string(),
                subject::parameter_sets(device, "x"),
                subject::echo(device, StreamId(3)),
            ]
        };
        let (cam, other): (DeviceId, DeviceId) = ("cam".parse().unwrap(), "cam-1".parse().unwrap());
        let own = [frames(&cam), answers(&cam), parameter_sets(&cam), echoes(&cam)];
        let all = [all_frames(), all_answers(), all_parameter_sets()];
        for (at, (mine, others)) in of(&cam).iter().zip(of(&other)).enumerate() {
            assert!(covers(&own[at], mine) && !covers(&own[at], &others), "{}", own[at]);
            assert!(all.get(at).is_none_or(|all| covers(all, mine) && covers(all, &others)));
        }
        assert!(covers(&all_parameters(), &subject::parameters(&cam)));
        assert!(covers(&all_orders(), &subject::order(&cam)));
    }
}
