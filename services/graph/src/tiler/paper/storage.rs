//! What the paper's Table 1 counts: bytes of all models, independent against variable.

use super::{Grade, PaperPlan};
use crate::tiler::chain::{self, Layer};

/// Bytes of a stored weight: 32-bit floats.
const WEIGHT_BYTES: usize = 4;

/// Storage of one side, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageRow {
    /// One whole model for each point and ratio.
    pub independent_bytes: usize,
    /// Parts that are shared counted once.
    pub variable_bytes: usize,
}

impl StorageRow {
    /// Share of the independent models' bytes that the variable one saves, in percent.
    pub fn reduction_percent(&self) -> f64 {
        100.0 * (1.0 - self.variable_bytes as f64 / self.independent_bytes.max(1) as f64)
    }
}

/// The paper's Table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageTable {
    /// On the device.
    pub encoder: StorageRow,
    /// On the server.
    pub decoder: StorageRow,
}

impl StorageTable {
    /// Both sides together.
    pub fn total(&self) -> StorageRow {
        StorageRow {
            independent_bytes: self.encoder.independent_bytes + self.decoder.independent_bytes,
            variable_bytes: self.encoder.variable_bytes + self.decoder.variable_bytes,
        }
    }
}

/// Storage of all tilers of a plan. In the variable model the encoder's core, its extra layers and each
/// point's compatibility encoder are there once; decoders are trained for each ratio, so only the core's
/// points share theirs.
pub fn storage(plan: &PaperPlan) -> StorageTable {
    let bytes = |chain: &[Layer]| WEIGHT_BYTES * chain::parameters(chain);
    let mut table = StorageTable {
        encoder: StorageRow { independent_bytes: 0, variable_bytes: 0 },
        decoder: StorageRow { independent_bytes: 0, variable_bytes: 0 },
    };
    for grade in [Grade::Fine, Grade::Coarse] {
        for point in 0..plan.points().len() {
            let Some(form) = plan.form(point, grade) else { continue };
            table.encoder.independent_bytes += bytes(&form.encoder());
            table.decoder.independent_bytes += bytes(&form.decoder());
            table.decoder.variable_bytes += bytes(&form.compat_decoder());
            if grade == Grade::Coarse {
                table.encoder.variable_bytes += bytes(&form.compat_encoder());
            }
        }
        // All points have the same core.
        let Some(form) = plan.form(0, grade) else { continue };
        table.decoder.variable_bytes += bytes(&form.core_decoder());
        match grade {
            Grade::Fine => table.encoder.variable_bytes += bytes(&form.core_encoder()),
            Grade::Coarse => {
                table.encoder.variable_bytes += bytes(&form.extra_encoder());
                table.decoder.variable_bytes += bytes(&form.extra_decoder());
            }
        }
    }
    table
}
