//! The tiler that was trained once for any layer of any network.

use super::{AutoTiler, Klt, TilerSpec};
use crate::graph::{Graph, GraphError, Weight};

/// A tiler made for one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Omni {
    transform: Klt,
}

impl Omni {
    /// The tiler that [`AutoTiler::weights`] gave.
    pub fn from_weights(spec: TilerSpec, weights: Vec<Weight>) -> Self {
        Self { transform: Klt::from_weights(spec, &weights) }
    }
}

impl AutoTiler for Omni {
    fn spec(&self) -> &TilerSpec {
        self.transform.spec()
    }

    fn weights(&self) -> Vec<Weight> {
        self.transform.weights()
    }

    fn encoder(&self) -> Result<Graph, GraphError> {
        self.transform.encoder()
    }

    fn decoder(&self) -> Result<Graph, GraphError> {
        self.transform.decoder()
    }
}
