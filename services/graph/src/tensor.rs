//! Values that enter and leave an engine.

use autotiler_core::Shape;

/// The values of a [`Tensor`], in N, C, H, W order.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Bytes: a tiled plane, or a picture.
    U8(Vec<u8>),
}

/// A batch of feature maps.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Feature maps in the batch.
    pub batch: usize,
    /// Shape of each.
    pub shape: Shape,
    /// `batch * shape.len()` values.
    pub data: TensorData,
}

impl Tensor {
    /// A batch of one, of floats.
    pub fn f32(shape: Shape, values: Vec<f32>) -> Self {
        Self { batch: 1, shape, data: TensorData::F32(values) }
    }

    /// A batch of one, of bytes.
    pub fn u8(shape: Shape, values: Vec<u8>) -> Self {
        Self { batch: 1, shape, data: TensorData::U8(values) }
    }

    /// The floats, if it holds floats.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(values) => Some(values),
            TensorData::U8(_) => None,
        }
    }

    /// The bytes, if it holds bytes.
    pub fn as_u8(&self) -> Option<&[u8]> {
        match &self.data {
            TensorData::U8(values) => Some(values),
            TensorData::F32(_) => None,
        }
    }

    /// Whether as many values are there as batch and shape say.
    pub fn is_consistent(&self) -> bool {
        let values = match &self.data {
            TensorData::F32(v) => v.len(),
            TensorData::U8(v) => v.len(),
        };
        values == self.batch * self.shape.len()
    }
}
