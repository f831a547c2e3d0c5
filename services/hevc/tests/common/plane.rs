//! Planes like those that a tiler makes: smooth structure with some noise, different in each frame.

use autotiler_hevc::FrameFormat;

/// Plane number `seed` of a format.
pub(crate) fn plane(format: FrameFormat, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345) | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % 1024) as f32 / 1024.0
    };
    let waves: Vec<[f32; 4]> = (0..6)
        .map(|k| {
            let reach = 60.0 / (1.0 + k as f32);
            [noise() * 0.35, noise() * 0.35, noise() * std::f32::consts::TAU, reach * (0.4 + noise())]
        })
        .collect();
    let middle = 96.0 + 64.0 * noise();
    let width = format.width() as usize;
    (0..format.len())
        .map(|i| {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let smooth: f32 =
                waves.iter().map(|[u, v, phase, reach]| reach * (u * x + v * y + phase).sin()).sum();
            (middle + 0.5 * smooth + 16.0 * (noise() - 0.5)).round().clamp(0.0, 255.0) as u8
        })
        .collect()
}

/// Mean squared error, in squared sample values.
#[allow(dead_code)] // not every file that includes this one compares planes
pub(crate) fn mse(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    sum / a.len() as f64
}
