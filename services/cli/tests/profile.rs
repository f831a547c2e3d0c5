//! `autotiler profile` as a process: measures, goes on where it was stopped, and refuses what it must.
//!
//! Needs ffmpeg and ONNX Runtime, whose path is taken from `AUTOTILER_ORT` or `ORT_DYLIB_PATH`, else from the cache
//! that the set-up fills.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use autotiler_core::profile::Profile;
use autotiler_crds::{PartitionProfile, manifest};

/// Where the set-up puts the library, below the home directory.
const CACHED: &str = ".cache/autotiler/onnxruntime-1.32.0/libonnxruntime.so.1.32.0";

fn library() -> PathBuf {
    let given = env::var_os("AUTOTILER_ORT").or_else(|| env::var_os("ORT_DYLIB_PATH")).map(PathBuf::from);
    let path = given.or_else(|| env::home_dir().map(|home| home.join(CACHED)));
    let path = path.filter(|path| path.is_file());
    path.expect("ONNX Runtime is missing: run the set-up, or set AUTOTILER_ORT to libonnxruntime.so")
}

/// One point of the embedded model, on a handful of pictures.
fn profile(folder: &Path, more: &[&str]) -> Output {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/street");
    let mut command = Command::new(env!("CARGO_BIN_EXE_autotiler"));
    command.args(["profile", "--device-class", "bench", "--layers", "36", "--cr", "4", "--quick"]);
    command.args(["--limit", "4", "--frames", "2"]).arg("--model").arg(model);
    command.arg("--out").arg(folder.join("profile.yaml")).arg("--ort-library").arg(library());
    command.args(more).output().expect("the program was built for this test")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_profile_is_written_and_a_stopped_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("profile.yaml");
    let first = profile(folder.path(), &[]);
    assert!(first.status.success(), "{}", stderr(&first));
    assert!(!stderr(&first).contains("kept"));
    let written: PartitionProfile = manifest::read(&file).unwrap();
    Profile::try_from(&written.spec).unwrap();
    let [alone, split, picture] = written.spec.points.as_slice() else { panic!("{:?}", written.spec.points) };
    assert_eq!(split.server.iter().map(|run| run.batch).collect::<Vec<_>>(), [1, 2, 4, 8]);
    assert_eq!(picture.server.iter().map(|run| run.batch).collect::<Vec<_>>(), [1]);
    assert!(alone.rates.is_empty() && split.rates.len() >= 2 && picture.rates.len() >= 2);
    assert!(split.memory_kib > 1_000, "the encoder's process alone is larger");

    // As if it had been stopped within the last point.
    let kept = |name: &str| {
        let entries = fs::read_dir(folder.path().join("profile.yaml.work")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(name)).unwrap()
    };
    fs::remove_file(kept("server-only")).unwrap();
    let second = profile(folder.path(), &["--scale-device", "10"]);
    assert!(second.status.success(), "{}", stderr(&second));
    assert_eq!(stderr(&second).matches("kept").count(), 2, "{}", stderr(&second));
    let again: PartitionProfile = manifest::read(&file).unwrap();
    assert_eq!(again.spec.points[1].device.p50_us, 10 * split.device.p50_us);
    assert_eq!(again.spec.points[1].rates, split.rates);
}

#[test]
fn what_cannot_be_measured_is_refused_by_the_name_of_its_option() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |more: &[&str]| {
        let output = profile(folder.path(), more);
        assert!(!output.status.success());
        stderr(&output)
    };
    assert!(refused(&["--data", "generated:test"]).contains("must not see test pictures"));
    assert!(refused(&["--layers", "12"]).contains("--layers 12: the model has tilers at layers 11, 15, 36"));
    let choice = refused(&["--choice", "nowhere.yaml"]);
    assert!(choice.contains("--choice nowhere.yaml") && choice.contains("eval compare"), "{choice}");
    assert!(refused(&["--scale-device", "0"]).contains("--scale-device"));
    assert!(!folder.path().join("profile.yaml").exists());
}

#[test]
fn the_shipped_profile_is_of_the_shipped_model() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let shipped: PartitionProfile = manifest::read(&models.join("street.profile.yaml")).unwrap();
    let profile = Profile::try_from(&shipped.spec).unwrap();
    let model = autotiler_model::Model::load(&models.join("street")).unwrap();
    assert_eq!(profile.network(), model.manifest.digest);
    for point in profile.points() {
        if let Some(digest) = point.tiler {
            assert!(model.tilers.iter().any(|stored| stored.digest == digest), "{:?}", point.route);
        }
    }
}
