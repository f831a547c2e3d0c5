//! A missing or wrong library is said so. In a process of its own: the first library to be opened stays.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::path::PathBuf;

use autotiler_graph::EngineError;
use autotiler_onnx::{OnnxEngine, OnnxOptions};

#[track_caller]
fn assert_unavailable(path: &str) {
    let options = OnnxOptions { library: Some(PathBuf::from(path)), ..OnnxOptions::default() };
    let error = OnnxEngine::new(options).unwrap_err();
    let EngineError::Unavailable { hint, source, .. } = error else { panic!("{error:?}") };
    assert!(hint.contains(path) && hint.contains("install ONNX Runtime"), "{hint}");
    assert!(source.is_some());
}

#[test]
fn a_library_that_is_missing_is_unavailable() {
    assert_unavailable("/nowhere/libonnxruntime.so");
}

#[test]
fn a_file_that_is_no_library_is_unavailable() {
    assert_unavailable(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
}

#[test]
fn a_library_of_something_else_is_unavailable() {
    assert_unavailable("libm.so.6");
}
