//! Networks as data, and the trait of what runs them.
//!
//! A [`Graph`] is a list of operators in topological order with their weights. Networks come from Darknet
//! files, tilers are built here, heads and tails are cut here; nothing here runs or reads a file.

pub mod builder;
pub mod darknet;
pub mod engine;
pub mod graph;
pub mod macs;
pub mod op;
pub mod partition;
pub mod reference;
pub mod tensor;
pub mod tiler;

pub use builder::GraphBuilder;
pub use engine::{Engine, EngineError, Session};
pub use graph::{Graph, GraphError, Node, NodeId, Weight, WeightId};
pub use op::{Activation, BATCH_NORM_EPSILON, Op};
pub use tensor::{Tensor, TensorData};
