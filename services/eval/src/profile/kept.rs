//! What was measured of a point, kept so that a stopped run goes on where it was.

use std::path::{Path, PathBuf};

use autotiler_model::sha256;
use serde::{Deserialize, Serialize};

use super::{clock::Times, plan::Planned, rates::Rate};
use crate::{cache, error::EvalError};

/// All that was measured of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredPoint {
    /// Times on device and server.
    pub times: Times,
    /// Bits against accuracy, by rising bits; empty for device-only.
    pub rates: Vec<Rate>,
    /// Memory that the device needs for it, in KiB.
    pub memory_kib: u32,
    /// Mean average precision of the uncut network on the same pictures, in thousandths.
    pub uncut_map50_permille: u16,
    /// Pictures that the accuracy is of.
    pub pictures: usize,
}

/// A folder of measured points.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
    /// All that every point hangs on.
    under: String,
}

impl Kept {
    /// Points kept in `folder`, measured under the conditions that `under` spells out: network, pictures, frames,
    /// threads, codec. Those of other conditions are not found.
    pub fn new(folder: &Path, under: impl Into<String>) -> Self {
        Self { folder: folder.to_owned(), under: under.into() }
    }

    /// What was measured of `planned`; none if it was not.
    ///
    /// # Errors
    /// [`EvalError::Damaged`].
    pub fn read(&self, planned: &Planned) -> Result<Option<MeasuredPoint>, EvalError> {
        cache::read(&self.file(planned))
    }

    /// Keeps what was measured of `planned`.
    ///
    /// # Errors
    /// [`EvalError::File`].
    pub fn write(&self, planned: &Planned, measured: &MeasuredPoint) -> Result<(), EvalError> {
        cache::write(&self.file(planned), measured)
    }

    fn file(&self, planned: &Planned) -> PathBuf {
        let tiler = planned.tiler.map_or(String::new(), |(kind, digest, _)| format!("{kind} {digest}"));
        let parts = [env!("CARGO_PKG_VERSION"), &self.under, &planned.to_string(), &tiler];
        let digest = sha256(&parts.map(str::as_bytes)).to_string();
        let slug = planned.to_string().replace(['=', ','], "-");
        self.folder.join(format!("{slug}-{}.json", digest.get(..16).unwrap_or(&digest)))
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::{Digest, LayerIndex, Route, Shape};
    use autotiler_model::TilerKind;

    use super::*;
    use crate::profile::clock::Spread;

    fn planned(digest: u8) -> Planned {
        let cr = "4".parse().unwrap();
        let shape = Shape { c: 8, h: 4, w: 4 };
        let tiler = Some((TilerKind::Klt, Digest([digest; 32]), shape));
        Planned { route: Route::Split { layer: LayerIndex(3), cr }, tiler }
    }

    #[test]
    fn a_point_comes_back_under_its_own_conditions_and_tiler_only() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), "network val 20 frames");
        let measured = MeasuredPoint {
            times: Times { device: Spread { p50_us: 5, p95_us: 6 }, server: Vec::new() },
            rates: vec![Rate { bits: 7, accuracy_drop_permille: 8 }],
            memory_kib: 9,
            uncut_map50_permille: 900,
            pictures: 10,
        };
        assert_eq!(kept.read(&planned(1)).unwrap(), None);
        kept.write(&planned(1), &measured).unwrap();
        assert_eq!(kept.read(&planned(1)).unwrap(), Some(measured));
        assert_eq!(kept.read(&planned(2)).unwrap(), None, "another tiler");
        let other = Kept::new(folder.path(), "network val 60 frames");
        assert_eq!(other.read(&planned(1)).unwrap(), None, "other conditions");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), "");
        std::fs::write(kept.file(&planned(1)), "{").unwrap();
        let refusal = kept.read(&planned(1)).unwrap_err().to_string();
        assert!(refusal.contains("layer-3-cr-4") && refusal.contains("remove it"), "{refusal}");
    }
}
