//! What can be wrong with a cfg.

use autotiler_core::Shape;

use crate::graph::GraphError;

/// A fault in a cfg, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cfg line {line}, section [{section}]: {fault}")]
pub struct CfgError {
    /// Line, from 1; 0 when the text ended too early.
    pub line: usize,
    /// Name of the section without brackets; empty before the first.
    pub section: String,
    /// What is wrong.
    #[source]
    pub fault: CfgFault,
}

/// What is wrong in a cfg.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CfgFault {
    /// Neither a section, nor `key=value`, nor a comment.
    #[error("{0:?} is neither [section] nor key=value")]
    Syntax(String),
    /// An option before the first section.
    #[error("option outside of any section")]
    OutsideSection,
    /// The first section is not `[net]`, or there is a second one.
    #[error("[net] must be the first section and the only one of its name")]
    Net,
    /// No layer follows `[net]`.
    #[error("no layers")]
    NoLayers,
    /// More layers than a layer index can count.
    #[error("more than 65535 layers")]
    TooManyLayers,
    /// A section that is not known.
    #[error("section is not known")]
    UnknownSection,
    /// An option that is not known in its section.
    #[error("option {0:?} is not known here")]
    UnknownKey(String),
    /// An option given twice with different values.
    #[error("option {0:?} is given twice with different values")]
    DuplicateKey(String),
    /// An option that must be there.
    #[error("option {0:?} is missing")]
    MissingKey(&'static str),
    /// A value of the wrong type, out of range, or with a meaning that is not supported.
    #[error("{key}={value}: expected {expected}")]
    Value {
        /// The option.
        key: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A reference to a layer before the first.
    #[error("refers to layer {0}, which does not exist")]
    MissingLayer(i64),
    /// A reference to this layer or to a later one: a cycle.
    #[error("refers to layer {0}, which is not before this one")]
    ForwardLayer(i64),
    /// A reference to a yolo layer, which has no feature map.
    #[error("takes its input from layer {0}, a yolo layer without a feature map")]
    YoloAsInput(i64),
    /// The raw maps before a yolo layer are not what its mask and classes need.
    #[error("yolo needs {expected} maps, its input is {got}")]
    HeadMaps {
        /// `mask * (5 + classes)`.
        expected: usize,
        /// Shape of the input.
        got: Shape,
    },
    /// The weights of the network cannot be counted.
    #[error("too many weights")]
    TooManyWeights,
    /// The layer does not fit its inputs.
    #[error("layer does not fit its inputs")]
    Layer(#[source] Box<GraphError>),
}
