//! Weights to bytes and back.

use super::*;

fn weight(name: &str, values: Vec<f32>) -> Weight {
    Weight { name: name.to_owned(), dims: vec![values.len()], values: Arc::new(values) }
}

proptest::proptest! {
    #[test]
    fn f32_round_trips(values in proptest::collection::vec(-1e6f32..1e6, 1..50)) {
        let weights = vec![weight("a", values.clone()), weight("b", values)];
        let bytes = encode(&weights, Precision::F32).unwrap();
        proptest::prop_assert_eq!(decode(&bytes).unwrap(), weights);
    }

    #[test]
    fn f16_rounds_to_a_two_thousandth(value in -1000f32..1000.0) {
        let bytes = encode(&[weight("a", vec![value])], Precision::F16).unwrap();
        let got = decode(&bytes).unwrap()[0].values[0];
        proptest::prop_assert!((got - value).abs() <= value.abs() / 2000.0 + 1e-7);
    }
}

proptest::proptest! {
    #[test]
    fn eight_bits_are_off_by_half_a_step_of_their_map_at_most(
        (from, to) in (1usize..6, 1usize..6),
        transposed in proptest::bool::ANY,
        seed in 0.0f32..100.0,
    ) {
        let dims = if transposed { vec![from, to, 2, 2] } else { vec![to, from, 2, 2] };
        // Each value of another order of magnitude.
        let value = |i: usize| (seed + i as f32 * 0.7).sin() * 10.0_f32.powi(i as i32 % 5 - 2);
        let values: Vec<f32> = (0..from * to * 4).map(value).collect();
        let kernel = Weight { name: "tiler.a.weight".to_owned(), dims, values: Arc::new(values) };
        let weights = [weight("tiler.a.bias", vec![0.1; to]), kernel.clone(), weight("untiler.a.bias", vec![1.0])];
        let back = decode(&encode(&weights, Precision::I8).unwrap()).unwrap();
        proptest::prop_assert_eq!(back.len(), 3);
        proptest::prop_assert_eq!(&back[0], &weights[0]);
        proptest::prop_assert_eq!(&back[1].dims, &kernel.dims);
        // Where both axes are equal, the first has the scales.
        let second = transposed && from != to;
        let map = |i: usize| if second { i / 4 % to } else { i / 4 / kernel.dims[1] };
        let largest = |m: usize| {
            let of_map = kernel.values.iter().enumerate().filter(|(i, _)| map(*i) == m);
            of_map.map(|(_, v)| v.abs()).fold(0.0_f32, f32::max)
        };
        for (i, (a, b)) in kernel.values.iter().zip(back[1].values.iter()).enumerate() {
            proptest::prop_assert!((a - b).abs() <= largest(map(i)) / 254.0 * 1.001, "{} {}", a, b);
        }
    }
}

#[test]
fn rounding_twice_is_rounding_once_and_keeps_the_order() {
    let kernel = |name: &str| Weight {
        name: name.to_owned(),
        dims: vec![2, 3, 1, 1],
        values: Arc::new(vec![0.31, -0.7, 1e-3, 12.0, 7.7, -3.3]),
    };
    let weights =
        [kernel("untiler.b.weight"), kernel("tiler.b.weight"), weight("tiler.b.bias", vec![0.1, 0.2])];
    for precision in [Precision::F32, Precision::F16, Precision::I8] {
        let once = rounded(&weights, precision).unwrap();
        assert!(once.iter().zip(&weights).all(|(a, b)| a.name == b.name), "{precision:?}");
        assert_eq!(rounded(&once, precision).unwrap(), once, "{precision:?}");
    }
    assert_eq!(rounded(&weights, Precision::F32).unwrap(), weights);
}

#[test]
fn eight_bits_say_what_is_missing() {
    let tensor =
        |dtype, dims: &[usize], bytes: &'static [u8]| TensorView::new(dtype, dims.to_vec(), bytes).unwrap();
    let numbers = || ("a", tensor(Dtype::I8, &[2, 1], &[1, 2]));
    let read = |tensors: Vec<(&str, TensorView<'_>)>| decode(&safetensors::serialize(tensors, None).unwrap());
    assert!(matches!(read(vec![numbers()]), Err(WeightsError::NoScale { name }) if name == "a"));
    for scale in [
        tensor(Dtype::F16, &[2, 1], &[0; 4]),
        tensor(Dtype::F32, &[3, 1], &[0; 12]),
        tensor(Dtype::F32, &[2], &[0; 8]),
    ] {
        assert!(matches!(read(vec![numbers(), ("a.scale", scale)]), Err(WeightsError::Scale { .. })));
    }
    let infinite = tensor(Dtype::F32, &[2, 1], &[0, 0, 128, 127, 0, 0, 128, 127]);
    assert!(matches!(read(vec![numbers(), ("a.scale", infinite)]), Err(WeightsError::NotFinite(_))));
    let wide = read(vec![("w", tensor(Dtype::I64, &[1], &[0; 8]))]);
    assert!(matches!(wide, Err(WeightsError::Dtype { .. })));
    let nan = Weight { dims: vec![1, 1], ..weight("tiler.x.weight", vec![f32::NAN]) };
    assert!(matches!(encode(&[nan], Precision::I8), Err(WeightsError::NotFinite(_))));
}

#[test]
fn an_encoder_in_eight_bits_has_its_numbers_scales_and_biases() {
    let kernel = Weight { dims: vec![4, 25], ..weight("tiler.a.weight", vec![0.5; 100]) };
    let weights = [kernel, weight("tiler.a.bias", vec![0.0; 4]), weight("untiler.a.bias", vec![0.0; 50])];
    assert_eq!(encoder_bytes(&encode(&weights, Precision::I8).unwrap()).unwrap(), 100 + 16 + 16);
    assert_eq!(encoder_bytes(&encode(&weights, Precision::F32).unwrap()).unwrap(), 416);
}

#[test]
fn any_bytes_are_weights_or_an_error() {
    bolero::check!().with_type::<Vec<u8>>().with_iterations(5_000).for_each(|bytes| drop(decode(bytes)));
    let kernel = Weight { dims: vec![2, 2], ..weight("tiler.a.weight", vec![0.5; 4]) };
    let file = encode(&[kernel, weight("b", vec![1.0; 3])], Precision::I8).unwrap();
    bolero::check!().with_type::<(u16, u8)>().with_iterations(5_000).for_each(|(at, value)| {
        let mut file = file.clone();
        let at = usize::from(*at) % file.len();
        file[at] = *value;
        drop(decode(&file));
    });
}

#[test]
fn refuses_nan_by_name() {
    let bytes = encode(&[weight("x", vec![f32::NAN])], Precision::F32).unwrap();
    assert!(matches!(decode(&bytes), Err(WeightsError::NotFinite(name)) if name == "x"));
}

#[test]
fn refuses_a_truncated_file() {
    let bytes = encode(&[weight("x", vec![1.0; 9])], Precision::F32).unwrap();
    assert!(matches!(decode(&bytes[..bytes.len() - 3]), Err(WeightsError::Format(_))));
}
