//! What a device is ordered to do: the value of its key in the orders' store, as JSON.
//!
//! Orders of one device rise in epoch; a device ignores one that does not. Fields that are not known are passed
//! over, so that an older device takes a newer controller's orders.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    bits::BitsSettings,
    guard::GuardSettings,
    id::{Digest, Epoch},
    operating_point::OperatingPoint,
    quantity::TargetBits,
};

/// Longest order, in bytes of JSON.
pub const MAX_ORDER_LEN: usize = 4096;
/// Longest text in an order, in bytes.
pub const MAX_TEXT_LEN: usize = 512;
/// Longest time that a guard may wait or hold.
pub const MAX_GUARD_TIME: Duration = Duration::from_secs(60);

/// One order to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Rises with each order to the device.
    pub epoch: Epoch,
    /// Where to cut, and the bits of a frame.
    pub point: OperatingPoint,
    /// The device may size frames from so many bits up to the point's; none: they are fixed.
    pub min_bits: Option<TargetBits>,
    /// Largest share of frames cut below the point's bits, in thousandths.
    #[serde(default)]
    pub max_cut_permille: u16,
    /// The network that the order was made for.
    pub network: Digest,
    /// The tiler that the order was made for; none for points without one, or where any will do.
    pub tiler: Option<Digest>,
    /// When the device leaves its link by itself, and where to; none: never.
    pub guard: Option<GuardTerms>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// Who wrote it.
    #[serde(default)]
    pub writer: String,
    /// When it was decided, in milliseconds since 1970.
    #[serde(default)]
    pub decided_at_ms: u64,
}

/// The guard's part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardTerms {
    /// A frame that has not got through for so many milliseconds makes the device leave.
    pub queue_age_ms: u32,
    /// Shortest stay at the safe point, in milliseconds.
    pub hold_ms: u32,
    /// Where it goes meanwhile.
    pub safe_point: OperatingPoint,
}

/// Why bytes are no order.
#[derive(Debug, thiserror::Error)]
pub enum BadOrder {
    /// Longer than [`MAX_ORDER_LEN`].
    #[error("order of {0} bytes is longer than {MAX_ORDER_LEN}")]
    TooLong(usize),
    /// No JSON, or not of this shape.
    #[error("reading an order")]
    Json(#[source] serde_json::Error),
    /// More than all frames may be cut.
    #[error("order: maxCutPermille {0} is above 1000")]
    CutShare(u16),
    /// A range that is none.
    #[error("order: minBits {min} does not lie below the bits of {point}")]
    Bits {
        /// Lower end.
        min: TargetBits,
        /// The point.
        point: OperatingPoint,
    },
    /// A guard that never or always acts.
    #[error("order: guard.{field} of {ms} ms is not from {least} to {} ms", MAX_GUARD_TIME.as_millis())]
    GuardTime {
        /// The field.
        field: &'static str,
        /// Its value.
        ms: u32,
        /// Smallest value.
        least: u32,
    },
    /// A text that is too long.
    #[error("order: {field} of {len} bytes is longer than {MAX_TEXT_LEN}")]
    Text {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
}

impl Order {
    /// Reads an order from outside.
    ///
    /// # Errors
    /// [`BadOrder`].
    pub fn try_from_json(json: &[u8]) -> Result<Self, BadOrder> {
        if json.len() > MAX_ORDER_LEN {
            return Err(BadOrder::TooLong(json.len()));
        }
        serde_json::from_slice::<Self>(json).map_err(BadOrder::Json)?.try_checked()
    }

    /// The order, if its fields fit together.
    ///
    /// # Errors
    /// [`BadOrder`], with the first field that does not.
    pub fn try_checked(self) -> Result<Self, BadOrder> {
        if self.max_cut_permille > 1000 {
            return Err(BadOrder::CutShare(self.max_cut_permille));
        }
        if let Some(min) = self.min_bits
            && self.point.bits().is_none_or(|bits| min > bits)
        {
            return Err(BadOrder::Bits { min, point: self.point });
        }
        if let Some(GuardTerms { queue_age_ms, hold_ms, .. }) = self.guard {
            check_time("queueAgeMs", queue_age_ms, 1)?;
            check_time("holdMs", hold_ms, 0)?;
        }
        for (field, text) in [("reason", &self.reason), ("writer", &self.writer)] {
            if text.len() > MAX_TEXT_LEN {
                return Err(BadOrder::Text { field, len: text.len() });
            }
        }
        Ok(self)
    }

    /// The order as [`Order::try_from_json`] reads it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts always make JSON")
    }

    /// The range in which the device sizes its frames; none where bits are fixed.
    pub fn bits(&self) -> Option<BitsSettings> {
        let (min, max) = (self.min_bits?, self.point.bits()?);
        Some(BitsSettings { min, max, max_cut_permille: self.max_cut_permille })
    }
}

impl GuardTerms {
    /// What the guard is set to.
    pub fn settings(&self) -> GuardSettings {
        GuardSettings {
            queue_age: Duration::from_millis(self.queue_age_ms.into()),
            hold: Duration::from_millis(self.hold_ms.into()),
        }
    }
}

fn check_time(field: &'static str, ms: u32, least: u32) -> Result<(), BadOrder> {
    let fits = ms >= least && Duration::from_millis(ms.into()) <= MAX_GUARD_TIME;
    if fits { Ok(()) } else { Err(BadOrder::GuardTime { field, ms, least }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{"epoch":7,"point":"layer=36,cr=4,bits=12k","minBits":6000,"maxCutPermille":200,
        "network":"1111111111111111111111111111111111111111111111111111111111111111","tiler":null,
        "guard":{"queueAgeMs":300,"holdMs":300,"safePoint":"device-only"},
        "reason":"faster","writer":"controller-0","decidedAtMs":1700000000000,"laterField":{"a":[1]}}"#;

    fn order() -> Order {
        Order::try_from_json(JSON.as_bytes()).unwrap()
    }

    #[test]
    fn reads_what_the_contract_writes_and_passes_over_the_unknown() {
        let order = order();
        assert_eq!((order.epoch, order.point.to_string().as_str()), (Epoch(7), "layer=36,cr=4,bits=12k"));
        assert_eq!(order.bits().map(|bits| (bits.min.get(), bits.max.get())), Some((6_000, 12_000)));
        assert_eq!(order.guard.map(|guard| guard.settings().queue_age), Some(Duration::from_millis(300)));
        let text = String::from_utf8(order.to_json()).unwrap();
        for key in ["minBits", "maxCutPermille", "queueAgeMs", "holdMs", "safePoint", "decidedAtMs"] {
            assert!(text.contains(key), "{text}");
        }
    }

    #[test]
    fn fields_that_do_not_fit_are_named() {
        for (from, to, named) in [
            ("200", "1001", "maxCutPermille"),
            ("6000", "12001", "minBits"),
            (":300,", ":0,", "queueAgeMs"),
            ("300,\"safe", "60001,\"safe", "holdMs"),
            ("faster", &"x".repeat(MAX_TEXT_LEN + 1), "reason"),
            ("layer=36,cr=4,bits=12k", "device-only", "minBits"),
            ("laterField", &"x".repeat(MAX_ORDER_LEN), "longer"),
        ] {
            let error = Order::try_from_json(JSON.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(matches!(Order::try_from_json(b"{}"), Err(BadOrder::Json(_))));
    }

    proptest! {
        #[test]
        fn orders_round_trip(
            epoch: u32, layer: u16, cr in 1_u16..64, bits in 1_u32.., min in proptest::option::of(1_u32..), cut in 0_u16..=1000,
            network: [u8; 32], tiler in proptest::option::of(any::<[u8; 32]>()),
            guard in proptest::option::of((1_u32..60_000, 0_u32..60_000)), reason in "\\PC{0,60}", at: u64,
        ) {
            let point: OperatingPoint = format!("layer={layer},cr={cr},bits={bits}").parse().unwrap();
            let order = Order {
                epoch: Epoch(epoch),
                point,
                min_bits: min.map(|min| TargetBits::try_new(min.min(bits)).unwrap()),
                max_cut_permille: cut,
                network: Digest(network),
                tiler: tiler.map(Digest),
                guard: guard.map(|(queue_age_ms, hold_ms)| GuardTerms {
                    queue_age_ms, hold_ms, safe_point: OperatingPoint::device_only(),
                }),
                reason,
                writer: "me".to_owned(),
                decided_at_ms: at,
            };
            prop_assert_eq!(Order::try_from_json(&order.to_json()).unwrap(), order);
        }
    }

    #[test]
    fn any_bytes_are_an_order_or_an_error() {
        bolero::check!().with_type::<(u16, Vec<u8>)>().with_iterations(3000).for_each(|(at, bytes)| {
            // Half of the time a good order with a changed middle: pure noise is refused at its first byte.
            let mut json = JSON.as_bytes().to_vec();
            let at = usize::from(*at) % json.len();
            let end = (at + bytes.len()).min(json.len());
            json.splice(at..end, bytes.iter().copied());
            for json in [json.as_slice(), bytes.as_slice()] {
                if let Ok(order) = Order::try_from_json(json) {
                    assert_eq!(Order::try_from_json(&order.to_json()).unwrap(), order);
                }
            }
        });
    }
}
