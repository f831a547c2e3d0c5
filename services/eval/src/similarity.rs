//! How alike neighbours in a plane are, and how alike two planes are.

/// Differences up to this count as similar: 2 % of the range of a byte, 5.1.
const SIMILAR: u8 = 5;
/// Left, top, top left, bottom left, top right: (dx, dy).
const NEIGHBOURS: [(isize, isize); 5] = [(-1, 0), (0, -1), (-1, -1), (-1, 1), (1, -1)];
/// SSIM sums over blocks of 4 x 4; a window is 2 x 2 blocks.
const BLOCK: usize = 4;
/// Pixels of a window.
const WINDOW: f64 = 64.0;

/// Why planes cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimilarityError {
    /// The bytes are not those of a plane of this size.
    #[error("compare plane: {width}x{height} are not {got} bytes")]
    Length {
        /// Width.
        width: usize,
        /// Height.
        height: usize,
        /// Bytes given.
        got: usize,
    },
    /// No pixel has a neighbour, or no window fits.
    #[error("compare plane: {width}x{height} is too small")]
    Small {
        /// Width.
        width: usize,
        /// Height.
        height: usize,
    },
}

/// Share (0 to 1) of pixels that are within 2 % of the range of their neighbour, averaged over the neighbours
/// left, top, top left, bottom left and top right (paper, figure 4). Pixels without that neighbour do not count.
///
/// # Errors
/// [`SimilarityError`] when the length does not fit or the plane has one row or column only.
pub fn spatial_similarity(plane: &[u8], width: usize, height: usize) -> Result<f64, SimilarityError> {
    check(plane, width, height)?;
    if width < 2 || height < 2 {
        return Err(SimilarityError::Small { width, height });
    }
    let shares = NEIGHBOURS.map(|(dx, dy)| {
        // The neighbour's place in memory, and which rows and columns have it.
        let columns = usize::from(dx < 0)..width - usize::from(dx > 0);
        let rows = usize::from(dy < 0)..height - usize::from(dy > 0);
        let count = (columns.len() * rows.len()) as f64;
        let similar: usize = rows
            .map(|y| {
                let beside = y.wrapping_add_signed(dy) * width;
                let here = &plane[y * width..][..width];
                let there = &plane[beside..][..width];
                columns
                    .clone()
                    .filter(|&x| here[x].abs_diff(there[x.wrapping_add_signed(dx)]) <= SIMILAR)
                    .count()
            })
            .sum();
        similar as f64 / count
    });
    Ok(shares.iter().sum::<f64>() / NEIGHBOURS.len() as f64)
}

/// Structural similarity of two planes, -1 to 1: the mean over windows of 8 x 8 pixels at steps of 4.
///
/// The index of Wang, Bovik, Sheikh and Simoncelli (2004, eq. 13, K1 = 0.01, K2 = 0.03) with flat windows in
/// place of Gaussian ones and variances divided by 63, as ffmpeg's `ssim` filter computes it
/// (`libavfilter/vf_ssim.c`, after x264): rows and columns that do not fill a block of 4 are left out, and the
/// constant beside the means is a 64th of Wang's.
///
/// # Errors
/// [`SimilarityError`] when a length does not fit or no window does.
pub fn ssim(a: &[u8], b: &[u8], width: usize, height: usize) -> Result<f64, SimilarityError> {
    check(a, width, height)?;
    check(b, width, height)?;
    let (columns, rows) = (width / BLOCK, height / BLOCK);
    if columns < 2 || rows < 2 {
        return Err(SimilarityError::Small { width, height });
    }
    let block_row =
        |y: usize| -> Vec<Sums> { (0..columns).map(|x| Sums::of_block(a, b, width, x, y)).collect() };
    let mut above = block_row(0);
    let mut total = 0.0;
    for y in 1..rows {
        let here = block_row(y);
        let window = |x: usize| above[x] + above[x + 1] + here[x] + here[x + 1];
        total += (0..columns - 1).map(|x| window(x).index()).sum::<f64>();
        above = here;
    }
    Ok(total / ((columns - 1) * (rows - 1)) as f64)
}

fn check(plane: &[u8], width: usize, height: usize) -> Result<(), SimilarityError> {
    if width.checked_mul(height) == Some(plane.len()) {
        return Ok(());
    }
    Err(SimilarityError::Length { width, height, got: plane.len() })
}

/// Sums over the pixels of a region of both planes.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    a: u32,
    b: u32,
    /// Of both squares.
    squares: u32,
    products: u32,
}

impl Sums {
    fn of_block(a: &[u8], b: &[u8], width: usize, x: usize, y: usize) -> Self {
        let mut sums = Self::default();
        for row in y * BLOCK..(y + 1) * BLOCK {
            let from = row * width + x * BLOCK;
            for (&a, &b) in a[from..from + BLOCK].iter().zip(&b[from..from + BLOCK]) {
                let (a, b) = (u32::from(a), u32::from(b));
                sums.a += a;
                sums.b += b;
                sums.squares += a * a + b * b;
                sums.products += a * b;
            }
        }
        sums
    }

    /// The index of a window; all sums 64 times the means, as in ffmpeg.
    fn index(self) -> f64 {
        let c1 = (0.01 * 0.01 * 255.0 * 255.0 * WINDOW + 0.5).floor();
        let c2 = (0.03 * 0.03 * 255.0 * 255.0 * WINDOW * (WINDOW - 1.0) + 0.5).floor();
        let [a, b, squares, products] = [self.a, self.b, self.squares, self.products].map(f64::from);
        let variances = squares * WINDOW - a * a - b * b;
        let covariance = products * WINDOW - a * b;
        (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))
    }
}

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            a: self.a + other.a,
            b: self.b + other.b,
            squares: self.squares + other.squares,
            products: self.products + other.products,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(seed: u64, len: usize) -> Vec<u8> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..len).map(|_| random.random()).collect()
    }

    #[test]
    fn a_flat_plane_is_similar_everywhere() {
        assert_eq!(spatial_similarity(&[7; 12], 4, 3).unwrap(), 1.0);
    }

    #[test]
    fn similarity_by_hand() {
        // Rows 0 5 and 100 11. Left: 5-0 similar, 11-100 not: 1/2. Top: none: 0. Top left: 11-0 not: 0. Bottom
        // left of 5 is 100: 0. Top right of 100 is 5: 0. The mean is 1/10.
        let found = spatial_similarity(&[0, 5, 100, 11], 2, 2).unwrap();
        assert!((found - 0.1).abs() < 1e-12, "{found}");
    }

    #[test]
    fn columns_are_similar_upwards_only() {
        let plane: Vec<u8> = (0..6).flat_map(|_| [0, 50, 100, 150]).collect();
        let found = spatial_similarity(&plane, 4, 6).unwrap();
        assert!((found - 0.2).abs() < 1e-12, "{found}");
    }

    #[test]
    fn equal_planes_have_ssim_one() {
        let plane = random(1, 16 * 12);
        assert!((ssim(&plane, &plane, 16, 12).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn flat_planes_differ_by_their_means_only() {
        // (2 a b + c1) / (a a + b b + c1), c1 = floor(0.0001 * 255^2 * 64 + 0.5) / 64^2.
        let c1 = 416.0 / 4096.0;
        let found = ssim(&[100; 64], &[120; 64], 8, 8).unwrap();
        let expected = (2.0 * 100.0 * 120.0 + c1) / (100.0f64.powi(2) + 120.0f64.powi(2) + c1);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn an_inverted_pattern_is_below_zero() {
        let plane: Vec<u8> = (0..64).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let inverted: Vec<u8> = plane.iter().map(|v| 255 - v).collect();
        assert!(ssim(&plane, &inverted, 8, 8).unwrap() < -0.9);
    }

    #[test]
    fn misfits_are_refused() {
        assert!(matches!(ssim(&[0; 64], &[0; 63], 8, 8), Err(SimilarityError::Length { got: 63, .. })));
        assert!(matches!(ssim(&[0; 28], &[0; 28], 7, 4), Err(SimilarityError::Small { .. })));
        assert!(spatial_similarity(&[0; 5], 5, 1).is_err());
        assert!(spatial_similarity(&[], usize::MAX, 2).is_err());
    }

    #[test]
    fn ssim_is_that_of_ffmpeg() {
        let dir = tempfile::tempdir().unwrap();
        // Of one size whose edges fill no block as well.
        for (width, height) in [(64, 48), (70, 45)] {
            let a = random(2, width * height);
            let noise = random(3, width * height);
            let b: Vec<u8> = a.iter().zip(&noise).map(|(a, n)| a / 2 + n / 4 + 32).collect();
            let write = |name: &str, plane: &[u8]| {
                let path = dir.path().join(name);
                std::fs::write(&path, plane).unwrap();
                path
            };
            let (a_path, b_path) = (write("a", &a), write("b", &b));
            let mut command = Command::new("ffmpeg");
            command.args(["-hide_banner", "-nostats"]);
            for path in [&a_path, &b_path] {
                let size = format!("{width}x{height}");
                command.args(["-f", "rawvideo", "-pix_fmt", "gray", "-s", &size, "-i"]).arg(path);
            }
            let Ok(output) = command.args(["-lavfi", "ssim", "-f", "null", "-"]).output() else {
                println!("skipped: no ffmpeg");
                return;
            };
            let log = String::from_utf8_lossy(&output.stderr);
            let told = log.split("All:").nth(1).and_then(|rest| rest.split_whitespace().next());
            let told: f64 = told.unwrap_or_else(|| panic!("no ssim in {log}")).parse().unwrap();
            let found = ssim(&a, &b, width, height).unwrap();
            // ffmpeg prints six digits and sums single precision.
            assert!((found - told).abs() < 2e-5, "{width}x{height}: {found}, ffmpeg {told}");
        }
    }
}
