//! Model directories: a YAML manifest, the Darknet topology, folded weights and tilers as safetensors, each
//! held by its SHA-256. The one place that reads and writes them; `models/README.md` has the format.

pub mod directory;
pub mod files;
pub mod manifest;
pub mod plan;
pub mod restorer;
pub mod weights;

pub use directory::{Model, ModelError};
pub use files::sha256;
pub use manifest::{Manifest, TilerEntry, TilerKind};
pub use plan::StoredTiler;
pub use weights::{Precision, WeightsError};
