//! Bad pictures in, full disks out: skipped and counted, and the stream goes on.

use std::{fs, path::Path};

use image::RgbImage;

use crate::{
    model::POINT,
    rig::{AT_LAST, Rig},
};

/// Three pictures, and among them one that is none and one that is cut off.
fn folder(path: &Path) {
    fs::create_dir(path).unwrap();
    for number in [1, 3, 5] {
        let picture = RgbImage::from_fn(90, 60, |x, y| image::Rgb([x as u8 * 2, y as u8 * 4, number * 40]));
        picture.save(path.join(format!("{number}.png"))).unwrap();
    }
    fs::write(path.join("2.png"), b"this is no picture").unwrap();
    let whole = fs::read(path.join("3.png")).unwrap();
    fs::write(path.join("4.png"), &whole[..whole.len() / 2]).unwrap();
}

#[test]
fn unreadable_images_of_a_folder_are_skipped_and_counted() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    folder(&rig.path("pictures"));
    let source = format!("images:{}", rig.path("pictures").display());
    let accounts = rig.edge("cam", POINT, &["--source", &source]).accounts();
    assert_eq!(accounts.count("received"), 3, "{:#}", accounts.report);
    assert_eq!(accounts.report["dropped"]["unreadable"], 2, "{:#}", accounts.report);
    let names: Vec<_> =
        accounts.lines.iter().filter(|l| l["outcome"] == "received").map(|l| &l["name"]).collect();
    assert_eq!(names, ["1", "3", "5"]);
}

#[test]
fn lines_that_a_full_disk_does_not_take_are_counted() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let accounts = rig.edge("cam", POINT, &["--frames", "30", "--results", "/dev/full"]).accounts();
    accounts.assert_all_received(30);
    assert_eq!(accounts.count("results_lost"), 30, "{:#}", accounts.report);
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_at_the_end() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = rig.edge("cam", POINT, &["--frames", "5", "--report", "/dev/full"]);
    let status = edge.service.process().wait(AT_LAST).unwrap();
    assert!(!status.success());
    assert!(edge.service.process().stderr().contains("/dev/full"));
}
