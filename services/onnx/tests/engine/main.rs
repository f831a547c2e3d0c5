//! The engine against the reference interpreter, golden outputs and bad input.
//!
//! Needs ONNX Runtime: its path is taken from `AUTOTILER_ORT` or `ORT_DYLIB_PATH`, else from the cache that the
//! set-up fills.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod comparison;
mod faults;
mod networks;
mod omni;
mod operators;
mod random;

use std::{env, path::PathBuf};

use autotiler_onnx::{OnnxEngine, OnnxOptions};

/// Where the set-up puts the library, below the home directory.
const CACHED: &str = ".cache/autotiler/onnxruntime-1.32.0/libonnxruntime.so.1.32.0";

/// The library for the tests.
fn library() -> PathBuf {
    let given = env::var_os("AUTOTILER_ORT").or_else(|| env::var_os("ORT_DYLIB_PATH")).map(PathBuf::from);
    let path = given.or_else(|| env::home_dir().map(|home| home.join(CACHED)));
    let path = path.filter(|path| path.is_file());
    path.expect("ONNX Runtime is missing: run the set-up, or set AUTOTILER_ORT to libonnxruntime.so")
}

fn engine() -> OnnxEngine {
    OnnxEngine::new(OnnxOptions { library: Some(library()), ..OnnxOptions::default() }).unwrap()
}
