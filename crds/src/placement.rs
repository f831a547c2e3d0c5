//! Where the work of a frame is done, as people write it into a spec.

use std::{borrow::Cow, fmt, str::FromStr};

use autotiler_core::{OperatingPoint, operating_point::BadOperatingPoint};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How head and tail are shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlacementRoute {
    /// Head on the device, tail on the server, cut after `partitionLayer`.
    #[default]
    Split,
    /// The whole network on the device.
    DeviceOnly,
    /// The whole network on the server.
    ServerOnly,
}

/// Where a device goes by itself when its link is dead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SafePoint {
    /// Nowhere: the guard is off.
    Off,
    /// Device-only if that meets `maxLatency`, else the point that is fastest at 100 kbit/s.
    #[default]
    Auto,
    /// Device-only.
    DeviceOnly,
    /// This point.
    Point(OperatingPoint),
}

/// Why a text is no safe point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSafePoint {
    /// It is a second spelling of another.
    #[error("safe point \"device-only\" is written DeviceOnly")]
    DeviceOnly,
    /// Neither a word nor a point.
    #[error("safe point {text:?} must be Off, Auto, DeviceOnly or a point")]
    Point {
        /// The text as given.
        text: String,
        /// Why it is no point.
        #[source]
        source: BadOperatingPoint,
    },
}

impl FromStr for SafePoint {
    type Err = BadSafePoint;

    fn from_str(text: &str) -> Result<Self, BadSafePoint> {
        match text {
            "Off" => Ok(Self::Off),
            "Auto" => Ok(Self::Auto),
            "DeviceOnly" => Ok(Self::DeviceOnly),
            _ => {
                let bad = |source| BadSafePoint::Point { text: text.to_owned(), source };
                let point: OperatingPoint = text.parse().map_err(bad)?;
                point.bits().map(|_| Self::Point(point)).ok_or(BadSafePoint::DeviceOnly)
            }
        }
    }
}

impl TryFrom<String> for SafePoint {
    type Error = BadSafePoint;
    fn try_from(text: String) -> Result<Self, BadSafePoint> {
        text.parse()
    }
}

impl From<SafePoint> for String {
    fn from(point: SafePoint) -> Self {
        point.to_string()
    }
}

impl fmt::Display for SafePoint {
    /// The same text that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("Off"),
            Self::Auto => f.write_str("Auto"),
            Self::DeviceOnly => f.write_str("DeviceOnly"),
            Self::Point(point) => point.fmt(f),
        }
    }
}

impl JsonSchema for SafePoint {
    fn schema_name() -> Cow<'static, str> {
        "SafePoint".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let bits = "bits=[0-9]{1,10}(\\.[0-9]{1,6})?[kKM]?";
        let split = format!("layer=[0-9]{{1,5}},cr=[0-9]{{1,5}},{bits}");
        let pattern = format!("^(Off|Auto|DeviceOnly|{split}|server-only,{bits})$");
        json_schema!({ "type": "string", "maxLength": 64, "pattern": pattern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_points_round_trip() {
        for text in ["Off", "Auto", "DeviceOnly", "layer=16,cr=8,bits=20k", "server-only,bits=4k"] {
            assert_eq!(text.parse::<SafePoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_safe_point_says_what_is_meant() {
        let error = |text: &str| text.parse::<SafePoint>().unwrap_err().to_string();
        assert!(error("device-only").contains("DeviceOnly"));
        assert!(error("auto").contains("must be Off, Auto, DeviceOnly or a point"));
    }
}
