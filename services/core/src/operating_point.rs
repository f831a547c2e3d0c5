//! Where the network is cut and how hard the feature map is squeezed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::quantity::{BadQuantity, CompressionRatio, LayerIndex, TargetBits};

/// Where the work of one frame is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Head on the device, tail on the server, cut after `layer`.
    Split {
        /// Partition point.
        layer: LayerIndex,
        /// Nominal compression ratio of the tiler.
        cr: CompressionRatio,
    },
    /// The whole network on the device; nothing but detections is sent.
    DeviceOnly,
    /// The whole network on the server; the picture itself is coded.
    ServerOnly,
}

/// A [`Route`] and the bits per frame that it may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperatingPoint {
    /// Where the work is done.
    pub route: Route,
    /// Mean bits per frame; `None` only for [`Route::DeviceOnly`].
    bits: Option<TargetBits>,
}

/// Why a text is no operating point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOperatingPoint {
    /// A key that is not known.
    #[error(
        "operating point key {0:?} is not known: write layer=16,cr=8,bits=20k or device-only or server-only,bits=40k"
    )]
    UnknownKey(String),
    /// A key that is missing for the route.
    #[error("operating point {text:?} lacks {key}=")]
    Missing {
        /// The key.
        key: &'static str,
        /// The text as given.
        text: String,
    },
    /// A key given twice, or beside a route that has no use for it.
    #[error("operating point {text:?}: {key}= does not belong there")]
    Unexpected {
        /// The key.
        key: &'static str,
        /// The text as given.
        text: String,
    },
    /// A layer that is no number.
    #[error("layer {0:?} must be a whole number from 0 to 65535")]
    Layer(String),
    /// A ratio or target that is out of range.
    #[error(transparent)]
    Quantity(#[from] BadQuantity),
}

impl OperatingPoint {
    /// Head, tiler and codec on the device; `bits` per frame on average.
    pub fn split(layer: LayerIndex, cr: CompressionRatio, bits: TargetBits) -> Self {
        Self { route: Route::Split { layer, cr }, bits: Some(bits) }
    }

    /// Everything on the device.
    pub fn device_only() -> Self {
        Self { route: Route::DeviceOnly, bits: None }
    }

    /// The picture by HEVC, `bits` per frame on average.
    pub fn server_only(bits: TargetBits) -> Self {
        Self { route: Route::ServerOnly, bits: Some(bits) }
    }

    /// Mean bits per frame; none when no frame is sent.
    pub fn bits(&self) -> Option<TargetBits> {
        self.bits
    }
}

impl FromStr for OperatingPoint {
    type Err = BadOperatingPoint;

    fn from_str(text: &str) -> Result<Self, BadOperatingPoint> {
        let mut route = None;
        let (mut layer, mut cr, mut bits) = (None, None, None);
        let unexpected = |key| BadOperatingPoint::Unexpected { key, text: text.to_owned() };
        let missing = |key| BadOperatingPoint::Missing { key, text: text.to_owned() };
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None if part == "device-only" => route = Some(Route::DeviceOnly),
                None if part == "server-only" => route = Some(Route::ServerOnly),
                Some(("layer", n)) if layer.is_none() => {
                    let number = n.parse().map_err(|_| BadOperatingPoint::Layer(n.to_owned()))?;
                    layer = Some(LayerIndex(number));
                }
                Some(("cr", n)) if cr.is_none() => cr = Some(n.parse()?),
                Some(("bits", n)) if bits.is_none() => bits = Some(n.parse()?),
                Some(("layer", _)) => return Err(unexpected("layer")),
                Some(("cr", _)) => return Err(unexpected("cr")),
                Some(("bits", _)) => return Err(unexpected("bits")),
                _ => return Err(BadOperatingPoint::UnknownKey(part.to_owned())),
            }
        }
        if route.is_some() {
            if layer.is_some() {
                return Err(unexpected("layer"));
            }
            if cr.is_some() {
                return Err(unexpected("cr"));
            }
        }
        match route {
            Some(Route::DeviceOnly) if bits.is_some() => Err(unexpected("bits")),
            Some(Route::DeviceOnly) => Ok(Self::device_only()),
            Some(_) => Ok(Self::server_only(bits.ok_or_else(|| missing("bits"))?)),
            None => Ok(Self::split(
                layer.ok_or_else(|| missing("layer"))?,
                cr.ok_or_else(|| missing("cr"))?,
                bits.ok_or_else(|| missing("bits"))?,
            )),
        }
    }
}

impl TryFrom<String> for OperatingPoint {
    type Error = BadOperatingPoint;
    fn try_from(text: String) -> Result<Self, BadOperatingPoint> {
        text.parse()
    }
}

impl From<OperatingPoint> for String {
    fn from(point: OperatingPoint) -> Self {
        point.to_string()
    }
}

impl fmt::Display for OperatingPoint {
    /// The same text that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.route {
            Route::Split { layer, cr } => write!(f, "layer={layer},cr={cr}")?,
            Route::DeviceOnly => f.write_str("device-only")?,
            Route::ServerOnly => f.write_str("server-only")?,
        }
        self.bits.map_or(Ok(()), |bits| write!(f, ",bits={bits}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["layer=16,cr=8,bits=20k", "device-only", "server-only,bits=1234"] {
            assert_eq!(text.parse::<OperatingPoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_points_name_the_key() {
        let error = |text: &str| text.parse::<OperatingPoint>().unwrap_err().to_string();
        assert!(error("layer=16,bits=20k").contains("cr="));
        assert!(error("layer=16,cr=0,bits=20k").contains("compression ratio"));
        assert!(error("device-only,bits=3k").contains("bits="));
        assert!(error("server-only").contains("bits="));
        assert!(error("layer=16,layer=17,cr=1,bits=1k").contains("layer="));
        assert!(error("depth=3").contains("depth=3"));
    }
}
