use proptest::prelude::*;

use super::*;
use crate::darknet::{CfgFault, init};

const CFG: &str = "[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\n\
    activation=relu\n[convolutional]\nfilters=6\ngroups=2\n";
/// 4 x 4 arrays and 4 * 3 * 9 taps; 6 biases and 6 * 2 taps.
const VALUES: usize = 16 + 108 + 6 + 12;

fn cfg() -> Cfg {
    Cfg::parse(CFG).unwrap()
}

fn file(major: i32, minor: i32, seen: &[u8], values: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = [major, minor, 0].iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend(seen);
    bytes.extend((0..values).flat_map(|value| (value as f32).to_le_bytes()));
    bytes
}

#[test]
fn arrays_come_in_the_order_of_the_file() {
    let weights = Weights::read(&cfg(), &file(0, 2, &7_u64.to_le_bytes(), VALUES)).unwrap();
    assert_eq!(weights.header, Header::current(7));
    let first = &weights.layers[0];
    let norm = first.norm.as_ref().unwrap();
    let starts = [&first.bias, &norm.scale, &norm.mean, &norm.variance, &first.kernel].map(|array| array[0]);
    assert_eq!(starts, [0.0, 4.0, 8.0, 12.0, 16.0]);
    let second = &weights.layers[1];
    assert_eq!(
        (second.dims.as_slice(), second.bias[0], second.kernel[11]),
        (&[6, 2, 1, 1][..], 124.0, 141.0)
    );
    let names: Vec<String> = weights.named().into_iter().map(|weight| weight.name).collect();
    assert_eq!(names, ["0.shift", "0.scale", "0.mean", "0.variance", "0.weight", "1.bias", "1.weight"]);
}

#[test]
fn old_headers_count_pictures_in_four_bytes() {
    let weights = Weights::read(&cfg(), &file(0, 1, &9_u32.to_le_bytes(), VALUES)).unwrap();
    assert_eq!((weights.header.minor, weights.header.seen), (1, 9));
    assert_eq!(weights.write(), file(0, 1, &9_u32.to_le_bytes(), VALUES));
    let wide = Weights::read(&cfg(), &file(0, 2, &(1_u64 << 40).to_le_bytes(), VALUES)).unwrap();
    assert_eq!(wide.header.seen, 1 << 40);
}

#[test]
fn truncated_and_oversized_files_are_refused_with_both_lengths() {
    let whole = file(0, 2, &[0; 8], VALUES);
    let expected = whole.len();
    for length in [20, expected - 1, expected - 4] {
        let error = Weights::read(&cfg(), &whole[..length]).unwrap_err();
        assert_eq!(error, WeightsError::Length { expected, got: length });
    }
    let longer = [whole.as_slice(), &[0]].concat();
    let error = Weights::read(&cfg(), &longer).unwrap_err();
    assert_eq!(error, WeightsError::Length { expected, got: expected + 1 });
    for length in [0, 12, 19] {
        let error = Weights::read(&cfg(), &whole[..length]).unwrap_err();
        assert_eq!(error, WeightsError::Header { got: length });
    }
}

#[test]
fn values_that_no_network_has_are_refused() {
    let mut bytes = file(0, 2, &[0; 8], VALUES);
    bytes[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = Weights::read(&cfg(), &bytes).unwrap_err();
    assert_eq!(error, WeightsError::Value { layer: LayerIndex(0), array: "shift" });
    bytes[20..24].copy_from_slice(&0.0_f32.to_le_bytes());
    bytes[20 + 48..20 + 52].copy_from_slice(&(-1.0_f32).to_le_bytes());
    let error = Weights::read(&cfg(), &bytes).unwrap_err();
    assert_eq!(error, WeightsError::Value { layer: LayerIndex(0), array: "variance" });
}

#[test]
fn a_wrong_cfg_is_named_before_the_bytes_are_looked_at() {
    let cfg = Cfg::parse("[net]\nwidth=8\nheight=8\n[what]").unwrap();
    let error = Weights::read(&cfg, &[]).unwrap_err();
    assert!(matches!(error, WeightsError::Cfg(CfgError { fault: CfgFault::UnknownSection, .. })));
}

#[test]
fn names_find_the_same_weights_and_say_what_is_missing() {
    let weights = init(&cfg(), 3).unwrap();
    let find = |name: &str| weights.named().into_iter().find(|w| w.name == name).map(|w| w.values);
    assert_eq!(Weights::from_named(&cfg(), weights.header, find).unwrap(), weights);
    let none = Weights::from_named(&cfg(), weights.header, |_| None).unwrap_err();
    assert_eq!(none, WeightsError::Missing("0.shift".into()));
    let short = Weights::from_named(&cfg(), weights.header, |_| Some(Arc::new(vec![1.0]))).unwrap_err();
    assert_eq!(short, WeightsError::Count { name: "0.shift".into(), expected: 4, got: 1 });
}

#[test]
fn folded_weights_fit_the_folded_cfg() {
    let folded = init(&cfg(), 3).unwrap().fold();
    let bytes = folded.write();
    assert_eq!(Weights::read(&cfg().folded(), &bytes).unwrap(), folded);
    assert!(matches!(Weights::read(&cfg(), &bytes), Err(WeightsError::Length { .. })));
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let cfg = Cfg::parse("[net]\nwidth=2\nheight=2\n[convolutional]\nbatch_normalize=1\n").unwrap();
    bolero::check!().with_type::<(bool, Vec<u8>)>().with_iterations(3000).for_each(|(sized, bytes)| {
        let mut bytes = bytes.clone();
        if *sized {
            bytes.resize(20 + 28, 0);
        }
        if let Ok(weights) = Weights::read(&cfg, &bytes) {
            assert_eq!(weights.write(), bytes);
        }
    });
}

proptest! {
    #[test]
    fn files_round_trip(seen: u64, revision: i32, values in prop::collection::vec(0.0_f32..1e6, VALUES)) {
        let header = Header { revision, ..Header::current(seen) };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let weights = Weights::read(&cfg(), &bytes).unwrap();
        prop_assert_eq!(weights.header, header);
        prop_assert_eq!(weights.write(), bytes);
    }
}
