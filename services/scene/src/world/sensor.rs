//! What a camera does to the light that reaches it: blur, noise, eight bits.

/// A well-mixed number from a number (the finaliser of splitmix64).
pub(super) fn scramble(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Turns `height * width * 3` floats (1 is white) into bytes. `blur` is the weight of each neighbour,
/// `noise` the standard deviation of the noise as a share of white.
pub(super) fn expose(
    mut rgb: Vec<f32>,
    width: usize,
    height: usize,
    blur: f32,
    noise: f32,
    seed: u64,
) -> Vec<u8> {
    let stride = width * 3;
    for row in rgb.chunks_exact_mut(stride) {
        blur_row(row, blur);
    }
    let mut bytes = vec![0; rgb.len()];
    let keep = 1.0 - 2.0 * blur;
    // The sum of four bytes has a standard deviation of 147.8; the noise is nearly a bell curve.
    let noise_gain = noise * 255.0 / 147.8;
    for (y, out) in bytes.chunks_exact_mut(stride).enumerate() {
        let row = |y: usize| &rgb[y * stride..(y + 1) * stride];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        let key = scramble(seed ^ ((y as u64) << 32)) as u32;
        let values = above.iter().zip(below).zip(here);
        for (i, (byte, ((above, below), here))) in (0u32..).zip(out.iter_mut().zip(values)) {
            let value = (here * keep + (above + below) * blur) * 255.0;
            *byte = (value + grain(key.wrapping_add(i)) * noise_gain + 0.5).clamp(0.0, 255.0) as i32 as u8;
        }
    }
    bytes
}

/// Noise of value `i`: the sum of the bytes of a hash, about its mean. Each value is computed on its own,
/// so that the compiler can take several at once.
fn grain(i: u32) -> f32 {
    let mut x = i.wrapping_mul(0x9e37_79b1);
    x = (x ^ (x >> 15)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^= x >> 16;
    let sum = (x & 0xff) + (x >> 8 & 0xff) + (x >> 16 & 0xff) + (x >> 24);
    (sum as i32 - 510) as f32
}

/// Blurs one row of RGB triples in place.
fn blur_row(row: &mut [f32], blur: f32) {
    let keep = 1.0 - 2.0 * blur;
    let mut left = [row[0], row[1], row[2]];
    let last = row.len() - 3;
    for i in (0..row.len()).step_by(3) {
        let next = (i + 3).min(last);
        for c in 0..3 {
            let here = row[i + c];
            row[i + c] = here * keep + (left[c] + row[next + c]) * blur;
            left[c] = here;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_picture_keeps_its_value_and_gets_the_noise_asked_for() {
        let bytes = expose(vec![0.5; 64 * 64 * 3], 64, 64, 0.1, 0.02, 7);
        let mean = bytes.iter().map(|&b| f64::from(b)).sum::<f64>() / bytes.len() as f64;
        let variance = bytes.iter().map(|&b| (f64::from(b) - mean).powi(2)).sum::<f64>() / bytes.len() as f64;
        assert!((mean - 127.5).abs() < 0.5, "{mean}");
        assert!((variance.sqrt() - 5.1).abs() < 0.5, "{}", variance.sqrt());
    }

    #[test]
    fn values_beyond_white_and_black_are_clipped() {
        assert_eq!(expose(vec![-3.0, 0.0, 9.0], 1, 1, 0.1, 0.0, 1), [0, 0, 255]);
    }
}
