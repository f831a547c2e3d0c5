//! Facts about the shared data set; skipped with a printed line where it is absent.

use std::path::PathBuf;

use autotiler_scene::voc::{VocSet, read_names};

fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("AUTOTILER_SHARED").map_or_else(beside, PathBuf::from).join("data");
    if root.is_dir() {
        return Some(root);
    }
    println!("skipped: no shared data at {}", root.display());
    None
}

#[test]
fn sets_have_the_pictures_and_boxes_that_their_readme_states() {
    let Some(root) = shared() else { return };
    let names = read_names(&root.join("detectors/voc.names")).expect("class names");
    assert_eq!(names.len(), 20);
    for (set, pictures, boxes) in [("test_voc", 100, 273), ("val", 150, 270)] {
        let set = VocSet::open(root.join("VOCdevkit"), set, &names).expect("set");
        let truth: usize = set.iter().map(|loaded| loaded.expect("picture").truth.len()).sum();
        assert_eq!((set.len(), truth), (pictures, boxes));
    }
}
