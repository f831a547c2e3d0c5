//! One graph inside ONNX Runtime.

use autotiler_core::Shape;
use autotiler_graph::{EngineError, Session, Tensor, TensorData};
use ort::{
    session::{Session as OrtSession, SessionInputValue},
    value::{DynValue, TensorRef},
};

use crate::{
    engine::ENGINE,
    export::{Kind, Port},
};

/// A loaded graph with what enters and leaves it.
pub(crate) struct OnnxSession {
    session: OrtSession,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

/// What the runtime gave back is not what the graph says.
#[derive(Debug, thiserror::Error)]
enum ResultError {
    #[error("{got} results instead of {expected}")]
    Count { expected: usize, got: usize },
    #[error("result {index} is {got:?} instead of {expected:?}")]
    Dims { index: usize, expected: Vec<i64>, got: Vec<i64> },
}

impl OnnxSession {
    pub(crate) fn new(session: OrtSession, inputs: Vec<Port>, outputs: Vec<Port>) -> Self {
        Self { session, inputs, outputs }
    }
}

impl Session for OnnxSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let batch = check_inputs(&self.inputs, inputs)?;
        let values: Vec<SessionInputValue<'_>> =
            inputs.iter().map(borrow).collect::<Result<_, _>>().map_err(run_error)?;
        let results = self.session.run(values.as_slice()).map_err(run_error)?;
        if results.len() != self.outputs.len() {
            let (expected, got) = (self.outputs.len(), results.len());
            return Err(run_error(ResultError::Count { expected, got }));
        }
        let pairs = self.outputs.iter().zip(results.values()).enumerate();
        pairs.map(|(index, (port, value))| copy_out(index, *port, batch, &value)).collect()
    }
}

/// The batch size, if all inputs fit the graph.
fn check_inputs(ports: &[Port], inputs: &[Tensor]) -> Result<usize, EngineError> {
    if ports.len() != inputs.len() {
        let index = ports.len().min(inputs.len());
        return Err(input_error(index, format!("{} inputs", ports.len()), format!("{}", inputs.len())));
    }
    let batch = inputs.first().map_or(1, |input| input.batch);
    for (index, (port, input)) in ports.iter().zip(inputs).enumerate() {
        let kind = match input.data {
            TensorData::F32(_) => Kind::F32,
            TensorData::U8(_) => Kind::U8,
        };
        let fits = input.batch == batch && batch > 0 && input.shape == port.shape && kind == port.kind;
        if !fits {
            let expected = describe(batch.max(1), port.shape, port.kind);
            return Err(input_error(index, expected, describe(input.batch, input.shape, kind)));
        }
        if !input.is_consistent() {
            let expected = format!("{} values", batch * port.shape.len());
            return Err(input_error(index, expected, "another number".to_owned()));
        }
    }
    Ok(batch)
}

fn describe(batch: usize, shape: Shape, kind: Kind) -> String {
    let kind = match kind {
        Kind::F32 => "floats",
        Kind::U8 => "bytes",
    };
    format!("{batch} of {shape} {kind}")
}

fn input_error(index: usize, expected: String, got: String) -> EngineError {
    EngineError::Input { index, expected, got }
}

/// The tensor as the runtime sees it, without a copy.
fn borrow(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let Shape { c, h, w } = tensor.shape;
    let dims = [tensor.batch, c, h, w];
    Ok(match &tensor.data {
        TensorData::F32(values) => TensorRef::from_array_view((dims, values.as_slice()))?.into(),
        TensorData::U8(values) => TensorRef::from_array_view((dims, values.as_slice()))?.into(),
    })
}

fn copy_out(index: usize, port: Port, batch: usize, value: &DynValue) -> Result<Tensor, EngineError> {
    let Shape { c, h, w } = port.shape;
    let (dims, data) = match port.kind {
        Kind::F32 => {
            let (dims, values) = value.try_extract_tensor::<f32>().map_err(run_error)?;
            (dims, TensorData::F32(values.to_vec()))
        }
        Kind::U8 => {
            let (dims, values) = value.try_extract_tensor::<u8>().map_err(run_error)?;
            (dims, TensorData::U8(values.to_vec()))
        }
    };
    let expected = [batch, c, h, w].map(|dim| dim as i64);
    if **dims != expected {
        return Err(run_error(ResultError::Dims { index, expected: expected.to_vec(), got: dims.to_vec() }));
    }
    Ok(Tensor { batch, shape: port.shape, data })
}

fn run_error(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Run { engine: ENGINE, source: Box::new(error) }
}
