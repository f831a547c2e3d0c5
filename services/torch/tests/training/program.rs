//! The program itself: signals, and devices that are not there. Needs ffmpeg with libx265.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::job::model;

const RECIPE: &str = "{format: 1, preset: lite, points: [{layer: 1, cr: 1}], \
    pictures: {limit: 4, mirrored: false}, \
    training: {steps: 40, batch: 4, warmUp: 2, validateEvery: 20, patience: 100}, \
    lite: {importanceWidth: 4, importanceLayers: 1, importanceSteps: 10, decoderWidth: 4, decoderBlocks: 1}}";

fn program(dir: &Path) -> Command {
    let recipe = dir.join("recipe.yaml");
    std::fs::write(&recipe, RECIPE).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_autotiler-train"));
    command.args(["tilers", "--json", "--data", "generated", "--recipe"]).arg(recipe);
    command.arg("--model").arg(dir.join("toy")).env("RUST_BACKTRACE", "0");
    command
}

#[test]
fn a_terminated_program_keeps_its_state_and_goes_on_from_it() {
    let dir = tempfile::tempdir().unwrap();
    model(dir.path());
    let mut running = program(dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut signalled = false;
    for line in lines {
        if line.contains("\"divergence\"") && line.contains("\"step\":10,") && !signalled {
            let sent = Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
            assert!(sent.success());
            signalled = true;
        }
    }
    let ended = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the same command goes on from"), "{said}");
    assert!(!dir.path().join("toy/tilers/layer1-cr1-lite.safetensors").exists());

    let again = program(dir.path()).output().unwrap();
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let made_again = |line: &str| line.contains("\"divergence\"") && line.contains("\"step\":10,");
    assert!(!told.lines().any(made_again), "its first steps are not made again: {told}");
    assert!(told.contains("\"step\":40,") && told.contains("\"event\":\"done\""), "{told}");
    assert!(dir.path().join("toy/tilers/layer1-cr1-lite.safetensors").exists());
}

#[test]
fn cuda_that_is_not_there_is_said_before_anything_is_read() {
    if tch::Cuda::is_available() {
        println!("skipped: there is a CUDA device");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ended = program(dir.path()).args(["--device", "cuda"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && said.contains("no CUDA device") && said.contains("--device cpu"),
        "{said}"
    );
}
