//! A tiny model directory: an untrained detector that can be cut, and tilers fitted on noise.

use std::{path::Path, sync::Arc};

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_graph::{
    darknet::{self, Cfg},
    tiler::KltFit,
};
use autotiler_model::{Model, Precision, TilerKind};

/// Four convolutions and one head; can be cut after the first three.
const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nmask=0,1\nanchors=10,14,30,24\nclasses=2\nnum=2\n";

/// Untrained heads are nearly flat: so much louder, they find something everywhere.
const HEAD_GAIN: f32 = 20.0;

/// The operating points that the model has, one of each kind.
pub(crate) const POINTS: [&str; 4] =
    ["layer=1,cr=1,bits=2k", "layer=2,cr=1,bits=1k", "server-only,bits=4k", "device-only"];

/// One of them, for tests of something else.
pub(crate) const POINT: &str = POINTS[0];

/// Bytes of the largest plane of [`POINT`]: what its access unit may come to.
pub(crate) const PLANE_BYTES: u32 = 16 * 16 * 8;

/// Writes the model to `dir`.
pub(crate) fn create(dir: &Path) -> Model {
    let cfg = Cfg::parse(CFG).unwrap();
    let mut weights = darknet::init(&cfg, 1).unwrap();
    let head = weights.layers.last_mut().unwrap();
    head.kernel = Arc::new(head.kernel.iter().map(|tap| tap * HEAD_GAIN).collect());
    let classes = vec!["cat".to_owned(), "dog".to_owned()];
    let mut model = Model::create(dir, "tiny", &cfg, &weights, classes, Precision::F32).unwrap();
    for layer in [1, 2] {
        let spec = model.tiler_spec(LayerIndex(layer), CompressionRatio::ONE).unwrap();
        let mut fit = KltFit::new(spec);
        for seed in 1..=4 {
            fit.add(&noise(seed, spec.feature.len())).unwrap();
        }
        model.store_tiler(TilerKind::Klt, &fit.finish(None).unwrap(), Precision::F32).unwrap();
    }
    model
}

/// Smooth numbers from -2 to 2, the same for the same seed (xorshift).
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut value = 0.0_f32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value = 0.7 * value + 0.3 * (((state >> 40) & 0xff) as f32 / 64.0 - 2.0);
        value
    };
    (0..len).map(step).collect()
}
