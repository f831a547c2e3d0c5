//! Writes the YAML of the API into `crds/`, where a test looks for it.

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for definition in autotiler_crds::schema::definitions() {
        let written = autotiler_crds::schema::to_yaml(&definition)
            .map_err(|error| error.to_string())
            .and_then(|(name, text)| {
                let path = folder.join(name);
                fs::write(&path, text).map_err(|error| error.to_string()).map(|()| path)
            });
        match written {
            Ok(path) => println!("{}", path.display()),
            Err(error) => {
                eprintln!("writing the YAML of {}: {error}", definition.spec.names.kind);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
