//! Why a recipe cannot be followed.

use std::{io, path::PathBuf};

use autotiler_graph::tiler::PaperError;

use super::{FORMAT, TilerPreset};

/// Why a recipe cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("reading the recipe {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// No YAML, an unknown or missing key, or a value of the wrong type.
    #[error("recipe {name}")]
    Yaml {
        /// The file, or whose built-in recipe.
        name: String,
        /// The parser's words, with line and key.
        #[source]
        source: serde_yaml::Error,
    },
    /// Another version.
    #[error("recipe has format {0}; this program reads format {FORMAT}")]
    Format(u32),
    /// A recipe for another preset.
    #[error("the recipe is for preset {found}, asked for is {asked}")]
    Preset {
        /// In the file.
        found: TilerPreset,
        /// On the command line.
        asked: TilerPreset,
    },
    /// A value out of range.
    #[error("recipe key {key} is {value}; allowed is {allowed}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// As given.
        value: String,
        /// What would do.
        allowed: &'static str,
    },
    /// The same point twice.
    #[error("recipe key points names layer {0} at compression ratio {1} twice")]
    Twice(u16, u16),
    /// A section that says nothing to this preset.
    #[error("recipe key {key} is of another preset than {preset}")]
    Section {
        /// The key.
        key: &'static str,
        /// The recipe's preset.
        preset: TilerPreset,
    },
    /// No five points for the paper's tilers.
    #[error("choosing the paper's points")]
    Paper(#[from] PaperError),
    /// Nothing to choose points from.
    #[error("the network has no partition point that a tiler fits to")]
    NoPoints,
}
