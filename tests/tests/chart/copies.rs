//! What the chart has a copy of.

use crate::helm::{files, in_tree, read};

#[test]
fn copies_are_fresh() {
    let definitions = files("files/crds", "yaml");
    let home: Vec<_> = ["autotilerpolicies", "edgedevices", "partitionprofiles"].into();
    assert_eq!(definitions.len(), home.len());
    for name in home {
        let (copy, original) =
            (format!("charts/autotiler/files/crds/{name}.yaml"), format!("crds/{name}.yaml"));
        assert_same(&copy, &original);
    }
    assert_same(
        "charts/autotiler/files/street.slow-camera.profile.yaml",
        "models/street.slow-camera.profile.yaml",
    );
    assert_same("charts/autotiler/files/street.manifest.yaml", "models/street/manifest.yaml");
}

fn assert_same(copy: &str, original: &str) {
    assert!(read(in_tree(copy)) == read(in_tree(original)), "{copy} is not {original}: run charts/sync");
}
