//! Families of tilers, and the recipes that come with the program.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Recipes that come with the program, by the name of their network.
pub(super) const BUILT_IN: [(&str, TilerPreset, &str); 6] = [
    ("street", TilerPreset::Lite, include_str!("../../../../../models/recipes/street.lite.yaml")),
    ("street", TilerPreset::Paper, include_str!("../../../../../models/recipes/street.paper.yaml")),
    ("street", TilerPreset::Omni, include_str!("../../../../../models/recipes/street.omni.yaml")),
    (
        "mobilenetv2-yolov3-nano-voc",
        TilerPreset::Lite,
        include_str!("../../../../../models/recipes/mobilenetv2-yolov3-nano-voc.lite.yaml"),
    ),
    (
        "mobilenetv2-yolov3-nano-voc",
        TilerPreset::Paper,
        include_str!("../../../../../models/recipes/mobilenetv2-yolov3-nano-voc.paper.yaml"),
    ),
    (
        "mobilenetv2-yolov3-nano-voc",
        TilerPreset::Omni,
        include_str!("../../../../../models/recipes/mobilenetv2-yolov3-nano-voc.omni.yaml"),
    ),
];

/// Which family of tilers is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TilerPreset {
    /// What is shipped: from the KLT, for the detection.
    Lite,
    /// The paper's variable auto-tiler, reconstructed.
    Paper,
    /// One set of weights for any feature map.
    Omni,
}

impl fmt::Display for TilerPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lite => "lite",
            Self::Paper => "paper",
            Self::Omni => "omni",
        })
    }
}

impl FromStr for TilerPreset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Lite, Self::Paper, Self::Omni];
        let known = all.into_iter().find(|preset| preset.to_string() == text);
        known.ok_or_else(|| format!("preset {text:?} is not known: lite, paper or omni"))
    }
}
