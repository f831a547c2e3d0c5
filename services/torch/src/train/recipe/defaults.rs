//! Points for a network that no recipe knows.

use autotiler_core::CompressionRatio;
use autotiler_graph::{
    darknet::Network,
    partition::{self, PartitionPoint},
    tiler::TilerSpec,
};

use super::Point;

/// Shares of the work that the device may be asked to do.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];
/// Compression ratios, where the feature map can have them.
const RATIOS: [u16; 2] = [1, 4];

/// The partition points nearest to a quarter, a half and three quarters of the network's work, and the deepest
/// one, each at compression ratios 1 and 4; of points whose feature maps have one shape, the deepest.
pub fn default_points(network: &Network) -> Vec<Point> {
    let points = partition::points(network);
    let share = |p: &PartitionPoint| p.head_macs as f64 / (p.head_macs + p.tail_macs).max(1) as f64;
    let nearest = |wanted: f64| {
        points.iter().min_by(|a, b| (share(a) - wanted).abs().total_cmp(&(share(b) - wanted).abs()))
    };
    let mut layers: Vec<&PartitionPoint> =
        SHARES.into_iter().filter_map(nearest).chain(points.last()).collect();
    layers.sort_by_key(|point| point.layer);
    layers.dedup_by_key(|point| point.layer);
    let deeper_twin = |at: usize| {
        layers.iter().skip(at + 1).any(|other| layers.get(at).is_some_and(|p| p.shape == other.shape))
    };
    let kept = (0..layers.len()).filter(|&at| !deeper_twin(at)).filter_map(|at| layers.get(at));
    kept.flat_map(|point| RATIOS.into_iter().map(move |ratio| (*point, ratio)))
        .filter_map(|(point, ratio)| {
            let cr = CompressionRatio::try_new(ratio).ok()?;
            TilerSpec::new(point.layer, point.shape, cr).ok()?;
            Some(Point { layer: point.layer, cr })
        })
        .collect()
}
