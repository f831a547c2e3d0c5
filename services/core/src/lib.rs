//! Words and decisions of the domain: ids, operating points, the wire, boxes and their scoring.
//!
//! Nothing here knows of tokio, NATS, engines, files or clocks; time and measurements are arguments.

pub mod average_precision;
pub mod bits;
pub mod boxes;
pub mod capacity;
pub mod decision;
pub mod guard;
pub mod id;
pub mod nms;
pub mod operating_point;
pub mod order;
pub mod profile;
pub mod quantity;
pub mod shape;
pub mod telemetry;
pub mod wire;
pub mod yolo;

pub use boxes::{BBox, Detection, GroundTruth};
pub use id::{DeviceId, Digest, Epoch, Sequence, StreamId};
pub use operating_point::{OperatingPoint, Route};
pub use quantity::{CompressionRatio, Gain, LayerIndex, TargetBits};
pub use shape::Shape;
