//! The engine against the reference interpreter and golden outputs, by the same tests as the one on ONNX
//! Runtime, and against that one. The latter needs ONNX Runtime and is skipped with a line where it is absent.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

// The lists of cases are those of the other engine, so that no operator is held to less here.
#[path = "../../../onnx/tests/engine/comparison.rs"]
mod comparison;
#[path = "../../../onnx/tests/engine/networks.rs"]
mod networks;
#[path = "../../../onnx/tests/engine/omni.rs"]
mod omni;
#[path = "../../../onnx/tests/engine/operators.rs"]
mod operators;
#[path = "../../../onnx/tests/engine/random.rs"]
mod random;

mod faults;
mod gradients;
mod two_engines;

use autotiler_torch::TorchEngine;

fn engine() -> TorchEngine {
    TorchEngine::cpu()
}
