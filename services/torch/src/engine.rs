//! The `Engine` trait on libtorch: inference, without gradients.

use std::sync::Arc;

use autotiler_core::Shape;
use autotiler_graph::{Engine, EngineError, Graph, Op, Session, Tensor, TensorData, Weight};
use tch::{Device, Kind};

use crate::executor::{Executor, ExecutorError, Mode};

const ENGINE: &str = "torch";

/// Kind of the numbers that an engine computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Float32,
    /// bfloat16: for CUDA devices; slow on most CPUs.
    BFloat16,
}

impl Precision {
    fn kind(self) -> Kind {
        match self {
            Self::Float32 => Kind::Float,
            Self::BFloat16 => Kind::BFloat16,
        }
    }
}

/// Sets the threads of one operator, for the whole process: libtorch has no smaller scope.
pub fn set_threads(threads: u16) {
    tch::set_num_threads(i32::from(threads.max(1)));
}

/// Engine on libtorch.
#[derive(Debug, Clone)]
pub struct TorchEngine {
    device: Device,
    precision: Precision,
    name: String,
}

impl TorchEngine {
    /// The reference: CPU, 32-bit floats.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, precision: Precision::Float32, name: "torch-cpu".to_owned() }
    }

    /// An engine on CUDA device `index`.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when libtorch sees no such device.
    pub fn cuda(index: usize, precision: Precision) -> Result<Self, EngineError> {
        if !tch::Cuda::is_available() || index >= usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
            let hint = format!("no CUDA device {index}; this libtorch may be built for CPU");
            return Err(EngineError::Unavailable { engine: ENGINE, hint, source: None });
        }
        let suffix = if precision == Precision::BFloat16 { "-bf16" } else { "" };
        Ok(Self { device: Device::Cuda(index), precision, name: format!("torch-cuda{suffix}") })
    }
}

impl Engine for TorchEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn load(&self, graph: &Graph) -> Result<Box<dyn Session>, EngineError> {
        let kind = self.precision.kind();
        let weights = graph.weights.iter().map(|weight| load_weight(weight, self.device, kind));
        let weights = weights.collect::<Result<_, _>>().map_err(load_fault)?;
        let executor = Executor::try_new(Arc::new(graph.clone())).map_err(load_fault)?;
        Ok(Box::new(TorchSession { executor, weights, device: self.device, kind }))
    }
}

/// One graph with its weights on a device.
#[derive(Debug)]
struct TorchSession {
    executor: Executor,
    weights: Vec<tch::Tensor>,
    device: Device,
    kind: Kind,
}

impl Session for TorchSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let graph = self.executor.graph();
        check_inputs(graph, inputs)?;
        let _no_grad = tch::no_grad_guard();
        let arguments = inputs.iter().map(|input| to_torch(input, self.device, self.kind));
        let arguments: Vec<tch::Tensor> = arguments.collect::<Result<_, _>>().map_err(run_fault)?;
        let results = self.executor.run(&self.weights, &arguments, Mode::default()).map_err(run_fault)?;
        let nodes = graph.outputs.iter().filter_map(|id| graph.nodes.get(id.0));
        nodes
            .zip(&results)
            .map(|(node, value)| {
                let bytes = matches!(node.op, Op::ToPlane | Op::InputU8);
                from_torch(value, node.shape, bytes).map_err(run_fault)
            })
            .collect()
    }
}

fn check_inputs(graph: &Graph, inputs: &[Tensor]) -> Result<(), EngineError> {
    let batch = inputs.first().map_or(1, |input| input.batch);
    if inputs.len() != graph.inputs.len() {
        let (expected, got) = (graph.inputs.len().to_string(), inputs.len().to_string());
        return Err(EngineError::Input { index: inputs.len().min(graph.inputs.len()), expected, got });
    }
    for (index, (id, input)) in graph.inputs.iter().zip(inputs).enumerate() {
        let Some(node) = graph.nodes.get(id.0) else {
            return Err(load_fault(ExecutorError::Reference { node: id.0 }));
        };
        let wants_bytes = matches!(node.op, Op::InputU8);
        let has_bytes = input.as_u8().is_some();
        let fits = input.shape == node.shape && input.batch == batch && wants_bytes == has_bytes;
        if !fits || !input.is_consistent() || batch == 0 {
            let kind = |bytes: bool| if bytes { "u8" } else { "f32" };
            return Err(EngineError::Input {
                index,
                expected: format!("{batch} x {} {}", node.shape, kind(wants_bytes)),
                got: format!("{} x {} {}", input.batch, input.shape, kind(has_bytes)),
            });
        }
    }
    Ok(())
}

/// A weight on a device; kernels in channels-last order, which the convolutions of CPUs are fastest with.
pub(crate) fn load_weight(weight: &Weight, device: Device, kind: Kind) -> Result<tch::Tensor, tch::TchError> {
    let dims: Vec<i64> = weight.dims.iter().map(|&dim| dim as i64).collect();
    let flat = tch::Tensor::f_from_slice(&weight.values)?.f_reshape(&dims)?;
    channels_last(&flat.f_to_device(device)?.f_to_kind(kind)?)
}

/// The same values with the channels of one pixel beside each other in memory.
pub(crate) fn channels_last(x: &tch::Tensor) -> Result<tch::Tensor, tch::TchError> {
    if x.dim() != 4 {
        return Ok(x.shallow_clone());
    }
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

fn to_torch(input: &Tensor, device: Device, kind: Kind) -> Result<tch::Tensor, tch::TchError> {
    let Shape { c, h, w } = input.shape;
    let flat = match &input.data {
        TensorData::F32(values) => tch::Tensor::f_from_slice(values)?,
        TensorData::U8(values) => tch::Tensor::f_from_slice(values)?,
    };
    let sized = flat.f_reshape([input.batch as i64, c as i64, h as i64, w as i64])?;
    channels_last(&sized.f_to_device(device)?.f_to_kind(kind)?)
}

fn from_torch(value: &tch::Tensor, shape: Shape, bytes: bool) -> Result<Tensor, tch::TchError> {
    let len = value.numel();
    let kind = if bytes { Kind::Uint8 } else { Kind::Float };
    let flat = value.f_to_kind(kind)?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let data = if bytes {
        let mut values = vec![0u8; len];
        flat.f_copy_data(&mut values, len)?;
        TensorData::U8(values)
    } else {
        let mut values = vec![0f32; len];
        flat.f_copy_data(&mut values, len)?;
        TensorData::F32(values)
    };
    let batch = len.checked_div(shape.len()).unwrap_or(0);
    Ok(Tensor { batch, shape, data })
}

fn load_fault(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Load { engine: ENGINE, source: Box::new(error) }
}

fn run_fault(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Run { engine: ENGINE, source: Box::new(error) }
}
