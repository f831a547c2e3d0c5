//! Short ways to write the messages of the ONNX format.

use super::{
    Kind, Port,
    format::{
        AttributeProto, AttributeType, DataType, Dimension, NodeProto, TensorProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto,
    },
};

/// Name of the open batch dimension.
const BATCH: &str = "N";

/// ONNX's number for a kind of value.
pub(super) fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::F32 => DataType::Float,
        Kind::U8 => DataType::Uint8,
    }
}

/// A node named after its only result.
pub(super) fn node(output: &str, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(output.to_owned()),
        op_type: Some(op.to_owned()),
        attribute,
    }
}

/// A float tensor. An empty `dims` is a scalar.
pub(super) fn floats(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, dims, DataType::Float, raw)
}

/// A list of whole numbers.
pub(super) fn ints(name: &str, values: &[usize]) -> TensorProto {
    let raw = values.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect();
    tensor(name, &[values.len()], DataType::Int64, raw)
}

fn tensor(name: &str, dims: &[usize], data_type: DataType, raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: Some(data_type.into()),
        name: Some(name.to_owned()),
        raw_data: Some(raw_data),
    }
}

/// Declares an input or a result of the model: `[N, C, H, W]`.
pub(super) fn value_info(name: &str, port: Port) -> ValueInfoProto {
    let batch = Dimension { dim_value: None, dim_param: Some(BATCH.to_owned()) };
    let fixed = [port.shape.c, port.shape.h, port.shape.w];
    let fixed = fixed.map(|dim| Dimension { dim_value: Some(dim as i64), dim_param: None });
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(fixed).collect() };
    let tensor = TensorTypeProto { elem_type: Some(data_type(port.kind).into()), shape: Some(shape) };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

/// A whole-number attribute.
pub(super) fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto { i: Some(value as i64), ..attribute(name, AttributeType::Int) }
}

/// A list attribute.
pub(super) fn int_list(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}

/// A float attribute.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// A text attribute.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.as_bytes().to_vec()), ..attribute(name, AttributeType::String) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind.into()), ..AttributeProto::default() }
}
