//! The training-free tiler: a Karhunen-Loève transform over channels (and the pixels of a block).
//!
//! Rows of the transform are eigenvectors of the covariance in order of their eigenvalues, all scaled by
//! one factor so that the strongest map spans the byte. Weighted by the detector's sensitivity `G`
//! (expected outer product of its gradient at the features) it spends bits where the detector looks.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::{
    AutoTiler, TilerError, TilerSpec, fold_space, from_plane, pointwise, to_plane, unfold_space, weight,
    weight_named,
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, Weight},
};

/// A byte spans this many standard deviations of the strongest map.
const SPAN_SIGMAS: f64 = 7.0;
/// Share of its mean eigenvalue by which the sensitivity is regularised.
const SENSITIVITY_FLOOR: f64 = 0.02;

/// A fitted transform.
#[derive(Debug, Clone, PartialEq)]
pub struct Klt {
    /// Dimensions.
    pub spec: TilerSpec,
    /// Forward, `[maps, folded]`, in plane units.
    pub forward: Vec<f32>,
    /// Added after `forward`, `[maps]`.
    pub forward_bias: Vec<f32>,
    /// Least-squares inverse, `[folded, maps]`.
    pub inverse: Vec<f32>,
    /// Mean of the features, `[folded]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each folded channel, `[folded]`.
    pub sigma: Vec<f32>,
}

/// Gathers the covariance of feature maps.
#[derive(Debug, Clone)]
pub struct KltFit {
    spec: TilerSpec,
    count: f64,
    sum: DVector<f64>,
    products: DMatrix<f64>,
}

impl KltFit {
    /// An empty fit.
    pub fn new(spec: TilerSpec) -> Self {
        let n = spec.folded();
        Self { spec, count: 0.0, sum: DVector::zeros(n), products: DMatrix::zeros(n, n) }
    }

    /// Adds one feature map, `C * H * W` values in C, H, W order.
    ///
    /// # Errors
    /// [`TilerError::SampleLen`] or [`TilerError::NotFinite`]; the fit is then as before.
    pub fn add(&mut self, feature: &[f32]) -> Result<(), TilerError> {
        let columns = fold(&self.spec, feature)?;
        self.count += columns.ncols() as f64;
        self.sum += columns.column_sum();
        self.products.gemm(1.0, &columns, &columns.transpose(), 1.0);
        Ok(())
    }

    /// The transform; `sensitivity` is `G`, `[folded, folded]`, or none for the plain KLT.
    ///
    /// # Errors
    /// [`TilerError::NoSamples`] when nothing was added, [`TilerError::SampleLen`] when `sensitivity` has
    /// another size.
    pub fn finish(&self, sensitivity: Option<&[f64]>) -> Result<Klt, TilerError> {
        if self.count < 2.0 {
            return Err(TilerError::NoSamples);
        }
        let n = self.spec.folded();
        let mean = &self.sum / self.count;
        let covariance = &self.products / self.count - &mean * mean.transpose();
        let (root, inverse_root) = match sensitivity {
            None => (DMatrix::identity(n, n), DMatrix::identity(n, n)),
            Some(values) if values.len() == n * n => roots(DMatrix::from_row_slice(n, n, values)),
            Some(values) => return Err(TilerError::SampleLen { expected: n * n, got: values.len() }),
        };
        let (basis, variances) = sorted_eigenvectors(&root * &covariance * &root);
        let kept = basis.columns(0, self.spec.maps);
        let strongest = variances.first().copied().unwrap_or(0.0).max(1e-12).sqrt();
        let scale = 255.0 / (SPAN_SIGMAS * strongest);
        let forward = kept.transpose() * &root * scale;
        let inverse = &inverse_root * kept / scale;
        let bias = -(&forward * &mean);
        let f32s = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v as f32).collect::<Vec<_>>();
        Ok(Klt {
            spec: self.spec,
            // nalgebra is column-major, weights are row-major
            forward: f32s(&mut forward.transpose().iter().copied()),
            forward_bias: f32s(&mut bias.iter().copied()),
            inverse: f32s(&mut inverse.transpose().iter().copied()),
            mean: f32s(&mut mean.iter().copied()),
            sigma: f32s(&mut covariance.diagonal().iter().map(|v| v.max(0.0).sqrt())),
        })
    }

    /// Standard deviation of each map that `klt` makes of what was added, in plane units.
    pub fn deviation(&self, klt: &Klt) -> Vec<f32> {
        let n = self.spec.folded();
        let mean = &self.sum / self.count.max(1.0);
        let covariance = &self.products / self.count.max(1.0) - &mean * mean.transpose();
        let rows = klt.forward.chunks_exact(n.max(1));
        rows.map(|row| {
            let row = DVector::from_iterator(n, row.iter().map(|&v| f64::from(v)));
            row.dot(&(&covariance * &row)).max(0.0).sqrt() as f32
        })
        .collect()
    }
}

/// Pixels as columns of folded channels: the reference of `PadEdge` then `SpaceToDepth`.
fn fold(spec: &TilerSpec, feature: &[f32]) -> Result<DMatrix<f64>, TilerError> {
    let shape = spec.feature;
    if feature.len() != shape.len() {
        return Err(TilerError::SampleLen { expected: shape.len(), got: feature.len() });
    }
    if feature.iter().any(|v| !v.is_finite()) {
        return Err(TilerError::NotFinite);
    }
    let (map, block) = (spec.maps_shape(), spec.block);
    Ok(DMatrix::from_fn(spec.folded(), map.h * map.w, |row, column| {
        let (within, c) = (row / shape.c, row % shape.c);
        let y = (column / map.w * block + within / block).min(shape.h - 1);
        let x = (column % map.w * block + within % block).min(shape.w - 1);
        f64::from(feature[(c * shape.h + y) * shape.w + x])
    }))
}

/// `G^1/2` and `G^-1/2` of the regularised sensitivity, scaled to a mean eigenvalue of 1.
fn roots(g: DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>) {
    let n = g.nrows();
    let level = (g.trace() / n as f64).max(f64::MIN_POSITIVE);
    let symmetric = (&g + g.transpose()) / (2.0 * level);
    let eigen = SymmetricEigen::new(symmetric + DMatrix::identity(n, n) * SENSITIVITY_FLOOR);
    let with = |power: f64| {
        let scaled = eigen.eigenvalues.map(|v| v.max(SENSITIVITY_FLOOR * 0.1).powf(power));
        &eigen.eigenvectors * DMatrix::from_diagonal(&scaled) * eigen.eigenvectors.transpose()
    };
    (with(0.5), with(-0.5))
}

/// Eigenvectors as columns, strongest first, with a sign that depends on the matrix alone.
fn sorted_eigenvectors(matrix: DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>) {
    let n = matrix.nrows();
    let eigen = SymmetricEigen::new((&matrix + matrix.transpose()) * 0.5);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let columns: Vec<_> = order
        .iter()
        .map(|&i| {
            let column = eigen.eigenvectors.column(i);
            if column.sum() < 0.0 { -column } else { column.into_owned() }
        })
        .collect();
    (DMatrix::from_columns(&columns), order.iter().map(|&i| eigen.eigenvalues[i]).collect())
}

impl Klt {
    /// The transform that [`AutoTiler::weights`] gave; missing weights are refused when a graph is built.
    pub fn from_weights(spec: TilerSpec, weights: &[Weight]) -> Self {
        let get = |name| weight_named(weights, name).to_vec();
        Self {
            spec,
            forward: get("tiler.linear.weight"),
            forward_bias: get("tiler.linear.bias"),
            inverse: get("untiler.linear.weight"),
            mean: get("untiler.linear.bias"),
            sigma: get("untiler.sigma.weight"),
        }
    }
}

impl AutoTiler for Klt {
    fn spec(&self) -> &TilerSpec {
        &self.spec
    }

    fn weights(&self) -> Vec<Weight> {
        let (maps, folded) = (self.spec.maps, self.spec.folded());
        vec![
            weight("tiler.linear.weight", &[maps, folded, 1, 1], self.forward.clone()),
            weight("tiler.linear.bias", &[maps], self.forward_bias.clone()),
            weight("untiler.linear.weight", &[folded, maps, 1, 1], self.inverse.clone()),
            weight("untiler.linear.bias", &[folded], self.mean.clone()),
            weight("untiler.sigma.weight", &[folded, 1, 1, 1], self.sigma.clone()),
        ]
    }

    fn encoder(&self) -> Result<Graph, GraphError> {
        let spec = &self.spec;
        let mut builder = GraphBuilder::new();
        let input = builder.input(spec.feature);
        let folded = fold_space(&mut builder, spec, input)?;
        let weights = (self.forward.clone(), self.forward_bias.clone());
        let maps = pointwise(&mut builder, "tiler.linear", (spec.folded(), spec.maps), weights, folded)?;
        let plane = to_plane(&mut builder, spec, maps)?;
        Ok(builder.finish(&[plane]))
    }

    fn decoder(&self) -> Result<Graph, GraphError> {
        let spec = &self.spec;
        let mut builder = GraphBuilder::new();
        let (maps, _rate) = from_plane(&mut builder, spec)?;
        let weights = (self.inverse.clone(), self.mean.clone());
        let folded = pointwise(&mut builder, "untiler.linear", (spec.maps, spec.folded()), weights, maps)?;
        let feature = unfold_space(&mut builder, spec, folded)?;
        Ok(builder.finish(&[feature]))
    }
}
