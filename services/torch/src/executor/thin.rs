//! Wide kernels from or to a single map, as convolutions of blocks of pixels.
//!
//! oneDNN is slow at few maps: 9x9 between 8 maps and 1 takes four times as long, forward and back, as the same
//! convolution on 4x4 blocks folded into maps, though that multiplies almost twice as much.

use tch::{Device, TchError, Tensor};

/// Pixels along a side of a block.
const BLOCK: i64 = 4;
/// Kernels that reach this many blocks to each side.
const REACH: i64 = 1;
/// Smallest kernel that gains.
const LEAST_SIZE: i64 = 7;
/// Largest kernel that reaches no further.
const LARGEST_SIZE: i64 = 2 * REACH * BLOCK + 1;

/// Whether a convolution of step 1 that keeps the size of `x` is better folded.
pub(super) fn suits(x: &Tensor, kernel: &Tensor) -> bool {
    let (Ok((_, _, h, w)), Ok((to, from, size, _))) = (x.size4(), kernel.size4()) else { return false };
    let whole = h % BLOCK == 0 && w % BLOCK == 0;
    let odd = size % 2 == 1 && (LEAST_SIZE..=LARGEST_SIZE).contains(&size);
    x.device() == Device::Cpu && whole && odd && to.min(from) == 1
}

/// The convolution, for what [`suits`].
pub(super) fn conv(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    let (n, c, h, w) = x.size4()?;
    let (rows, cols) = (h / BLOCK, w / BLOCK);
    let blocks = x.f_reshape([n, c, rows, BLOCK, cols, BLOCK])?.f_permute([0, 2, 4, 3, 5, 1])?;
    let blocks = blocks.f_reshape([n, rows, cols, BLOCK * BLOCK * c])?.f_permute([0, 3, 1, 2])?;
    let bias = bias.map(|bias| bias.f_repeat([BLOCK * BLOCK])).transpose()?;
    let folded = blocks.f_conv2d(&fold(kernel)?, bias.as_ref(), [1, 1], [REACH, REACH], [1, 1], 1)?;
    let to = kernel.size4()?.0;
    let pixels = folded.f_permute([0, 2, 3, 1])?.f_reshape([n, rows, cols, BLOCK, BLOCK, to])?;
    pixels.f_permute([0, 1, 3, 2, 4, 5])?.f_reshape([n, h, w, to])?.f_permute([0, 3, 1, 2])
}

/// The kernel between blocks: for each pixel of a block that comes out, the kernel at its place among the
/// blocks that go in.
fn fold(kernel: &Tensor) -> Result<Tensor, TchError> {
    let (to, from, size, _) = kernel.size4()?;
    let window = (2 * REACH + 1) * BLOCK;
    let before = |pixel: i64| REACH * BLOCK - size / 2 + pixel;
    let after = |pixel: i64| window - size - before(pixel);
    let columns = (0..BLOCK).map(|pixel| kernel.f_constant_pad_nd([before(pixel), after(pixel)]));
    let columns = Tensor::f_stack(&columns.collect::<Result<Vec<_>, _>>()?, 0)?;
    let rows = (0..BLOCK).map(|pixel| columns.f_constant_pad_nd([0, 0, before(pixel), after(pixel)]));
    let rows = Tensor::f_stack(&rows.collect::<Result<Vec<_>, _>>()?, 0)?;
    // row and column that come out, maps out, maps in, then blocks and pixels that go in, down and across
    let blocks = 2 * REACH + 1;
    let apart = rows.f_reshape([BLOCK, BLOCK, to, from, blocks, BLOCK, blocks, BLOCK])?;
    let ordered = apart.f_permute([0, 1, 2, 4, 6, 5, 7, 3])?;
    let area = BLOCK * BLOCK;
    ordered.f_reshape([area * to, blocks, blocks, area * from])?.f_permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn folding_changes_nothing_but_rounding_forward_and_back() {
        tch::manual_seed(1);
        let normal = |dims: &[i64]| Tensor::randn(dims, (Kind::Double, Device::Cpu)).set_requires_grad(true);
        for (from, to, size) in [(1, 5, 9), (3, 1, 9), (1, 1, 7)] {
            let (x, kernel, bias) =
                (normal(&[2, from, 8, 12]), normal(&[to, from, size, size]), normal(&[to]));
            assert!(suits(&x, &kernel));
            let pad = [size / 2, size / 2];
            let plain = x.conv2d(&kernel, Some(&bias), [1, 1], pad, [1, 1], 1);
            let folded = conv(&x, &kernel, Some(&bias)).unwrap();
            assert!(f64::try_from((&plain - &folded).abs().max()).unwrap() < 1e-9);
            let gradients = |y: &Tensor| {
                let loss = (y * y.cos()).sum(Kind::Double);
                Tensor::run_backward(&[&loss], &[&x, &kernel, &bias], false, false)
            };
            for (a, b) in gradients(&plain).iter().zip(gradients(&folded)) {
                assert!(f64::try_from((a - b).abs().max()).unwrap() < 1e-9);
            }
        }
    }

    #[test]
    fn other_convolutions_are_left_alone() {
        let zeros = |dims: &[i64]| Tensor::zeros(dims, (Kind::Float, Device::Cpu));
        assert!(!suits(&zeros(&[1, 1, 8, 10]), &zeros(&[4, 1, 9, 9])));
        assert!(!suits(&zeros(&[1, 1, 8, 8]), &zeros(&[4, 1, 5, 5])));
        assert!(!suits(&zeros(&[1, 2, 8, 8]), &zeros(&[4, 2, 9, 9])));
    }
}
