//! A model directory, read and checked whole, or written.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use autotiler_core::{CompressionRatio, Digest, LayerIndex, Shape};
use autotiler_graph::{
    GraphError,
    darknet::{self, BatchNorm, Cfg, Network},
    partition::{self, PartitionError},
    tiler::{AutoTiler, TilerError, TilerSpec},
};

use crate::{
    files::{self, FileError, sha256},
    manifest::{FORMAT, MANIFEST, Manifest, TilerEntry, TilerKind},
    plan::StoredTiler,
    weights::{self, Precision, WeightsError},
};

const CFG: &str = "network.cfg";
const WEIGHTS: &str = "network.safetensors";
const TILERS: &str = "tilers";

/// A network with its tilers, every digest checked.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where it lies.
    pub dir: PathBuf,
    /// What the directory says of itself.
    pub manifest: Manifest,
    /// The network, batch normalisation folded.
    pub network: Network,
    /// Its tilers, in the manifest's order.
    pub tilers: Vec<StoredTiler>,
}

/// Why a directory is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest is no YAML, or has unknown or missing keys.
    #[error("reading {}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The parser's words, with line and key.
        #[source]
        source: serde_yaml::Error,
    },
    /// Another version of the format.
    #[error("{} has format {found}; this program reads format {FORMAT}", path.display())]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file name that leads out of the directory.
    #[error("the manifest names the file {0:?}; files must lie in the model directory")]
    Outside(String),
    /// A file was changed after the manifest was written.
    #[error("{what} of {} does not fit its digest: {found} instead of {expected}; import or train it again", dir.display())]
    Digest {
        /// `network` or a tiler.
        what: String,
        /// The directory.
        dir: PathBuf,
        /// In the manifest.
        expected: Digest,
        /// Of the files.
        found: Digest,
    },
    /// The topology is no Darknet network.
    #[error("reading the network's cfg")]
    Cfg(#[from] darknet::CfgError),
    /// Topology and weights do not go together.
    #[error("building the network")]
    Build(#[from] darknet::BuildError),
    /// The weights are not those of the topology.
    #[error("taking the network's weights")]
    NetworkWeights(#[from] darknet::WeightsError),
    /// A tiler does not fit its network.
    #[error("joining network and tiler")]
    Graph(#[from] GraphError),
    /// The network cannot be cut there.
    #[error("cutting the network")]
    Partition(#[from] PartitionError),
    /// A weights file is damaged or of another network.
    #[error("reading {file}")]
    Weights {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: WeightsError,
    },
    /// Class names do not fit the network's heads.
    #[error("{names} class names are given, the network's heads have {classes}")]
    Classes {
        /// Names given.
        names: usize,
        /// Classes of the heads.
        classes: usize,
    },
    /// A tiler for a layer where the network cannot be cut.
    #[error("layer {layer} is no partition point; points are {}", points.iter().map(|l| l.to_string()).collect::<Vec<_>>().join(", "))]
    NoPoint {
        /// The layer.
        layer: LayerIndex,
        /// Where it can be cut.
        points: Vec<LayerIndex>,
    },
    /// A tiler that cannot be.
    #[error("tiler of layer {layer} at compression ratio {cr}")]
    Tiler {
        /// Its layer.
        layer: LayerIndex,
        /// Its ratio.
        cr: CompressionRatio,
        /// Why.
        #[source]
        source: TilerError,
    },
    /// No tiler for an operating point.
    #[error("{} has no tiler for layer {layer} at compression ratio {cr}; it has {available}. Make one with: autotiler train tilers --model {} --only {layer}:{cr} --data VOCDIR", dir.display(), dir.display())]
    NoTiler {
        /// The directory.
        dir: PathBuf,
        /// Asked for.
        layer: LayerIndex,
        /// Asked for.
        cr: CompressionRatio,
        /// What there is.
        available: String,
    },
}

impl Model {
    /// Reads a model directory and checks every digest.
    ///
    /// # Errors
    /// [`ModelError`], which names the file and the key or tensor.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let manifest = Self::manifest(dir)?;
        let cfg_text = files::read(&inside(dir, &manifest.cfg)?)?;
        let weight_bytes = files::read(&inside(dir, &manifest.weights)?)?;
        let found = network_digest(&cfg_text, &weight_bytes, &manifest.classes);
        check_digest("the network", dir, manifest.digest, found)?;

        let cfg = Cfg::parse(&String::from_utf8_lossy(&cfg_text))?;
        let network = network_with(&cfg, &manifest.weights, &weight_bytes)?;
        check_classes(&network, manifest.classes.len())?;
        let mut model = Self { dir: dir.to_owned(), manifest, network, tilers: Vec::new() };
        for entry in &model.manifest.tilers {
            model.tilers.push(model.load_tiler(entry)?);
        }
        Ok(model)
    }

    /// Reads the manifest alone, for who only wants to know what a network is called and what it finds.
    ///
    /// # Errors
    /// [`ModelError::File`], [`ModelError::Manifest`] and [`ModelError::Format`].
    pub fn manifest(dir: &Path) -> Result<Manifest, ModelError> {
        let path = dir.join(MANIFEST);
        let text = files::read(&path)?;
        let manifest: Manifest = serde_yaml::from_slice(&text)
            .map_err(|source| ModelError::Manifest { path: path.clone(), source })?;
        if manifest.format != FORMAT {
            return Err(ModelError::Format { path, found: manifest.format });
        }
        Ok(manifest)
    }

    /// Writes a new model directory from a Darknet network.
    ///
    /// # Errors
    /// [`ModelError`]; the manifest is written last, so a directory with one is whole.
    pub fn create(
        dir: &Path,
        name: &str,
        cfg: &Cfg,
        darknet_weights: &darknet::Weights,
        classes: Vec<String>,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let cfg_text = cfg.folded().to_string();
        // Parsed again, so that lines in messages are those of the stored file.
        let (cfg, folded) = (Cfg::parse(&cfg_text)?, darknet_weights.fold());
        let cfg_text = cfg_text.into_bytes();
        let bytes = weights::encode(&folded.named(), precision)
            .map_err(|source| ModelError::Weights { file: WEIGHTS.to_owned(), source })?;
        let digest = network_digest(&cfg_text, &bytes, &classes);
        // Read back what was perhaps rounded to 16 bits, so that what is used is what is stored.
        let network = network_with(&cfg, WEIGHTS, &bytes)?;
        check_classes(&network, classes.len())?;
        files::write(&dir.join(CFG), &cfg_text)?;
        files::write(&dir.join(WEIGHTS), &bytes)?;
        let manifest = Manifest {
            format: FORMAT,
            name: name.to_owned(),
            classes,
            cfg: CFG.to_owned(),
            weights: WEIGHTS.to_owned(),
            precision,
            digest,
            tilers: Vec::new(),
        };
        let model = Self { dir: dir.to_owned(), manifest, network, tilers: Vec::new() };
        model.write_manifest()?;
        Ok(model)
    }

    /// Dimensions of a tiler whose maps lie side by side, as [`tiler_spec_of`](Self::tiler_spec_of) for `klt`.
    ///
    /// # Errors
    /// [`ModelError::NoPoint`] or [`ModelError::Tiler`].
    pub fn tiler_spec(&self, layer: LayerIndex, cr: CompressionRatio) -> Result<TilerSpec, ModelError> {
        self.tiler_spec_of(TilerKind::Klt, layer, cr)
    }

    /// Dimensions of the tiler of a kind for a partition point and ratio of this network.
    ///
    /// # Errors
    /// [`ModelError::NoPoint`] or [`ModelError::Tiler`].
    pub fn tiler_spec_of(
        &self,
        kind: TilerKind,
        layer: LayerIndex,
        cr: CompressionRatio,
    ) -> Result<TilerSpec, ModelError> {
        let feature = self.feature(layer)?;
        kind.spec(layer, feature, cr).map_err(|source| ModelError::Tiler { layer, cr, source })
    }

    /// Shape of the feature map at a partition point.
    ///
    /// # Errors
    /// [`ModelError::NoPoint`], which lists the points.
    pub fn feature(&self, layer: LayerIndex) -> Result<Shape, ModelError> {
        let points = partition::points(&self.network);
        let point = points.iter().find(|point| point.layer == layer).ok_or_else(|| ModelError::NoPoint {
            layer,
            points: points.iter().map(|point| point.layer).collect(),
        })?;
        Ok(point.shape)
    }

    /// The tiler for a layer and ratio: the first in the manifest, or the one of `kind`.
    ///
    /// # Errors
    /// [`ModelError::NoTiler`], which lists what there is.
    pub fn tiler(
        &self,
        layer: LayerIndex,
        cr: CompressionRatio,
        kind: Option<TilerKind>,
    ) -> Result<&StoredTiler, ModelError> {
        let fits = |tiler: &&StoredTiler| {
            tiler.layer() == layer && tiler.spec().cr == cr && kind.is_none_or(|kind| kind == tiler.kind)
        };
        self.tilers.iter().find(fits).ok_or_else(|| {
            let name = |e: &TilerEntry| format!("layer={},cr={} ({})", e.layer, e.cr, e.kind);
            let list: Vec<_> = self.manifest.tilers.iter().map(name).collect();
            let available = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
            ModelError::NoTiler { dir: self.dir.clone(), layer, cr, available }
        })
    }

    /// The tiler whose digest starts with `prefix`, as a frame header carries it.
    pub fn tiler_by_prefix(&self, prefix: u64) -> Option<&StoredTiler> {
        self.tilers.iter().find(|tiler| tiler.digest.prefix() == prefix)
    }

    /// Stores a tiler, in place of one of the same kind, layer and ratio; learned ones come first.
    ///
    /// # Errors
    /// [`ModelError`]; the manifest is written last.
    pub fn store_tiler(
        &mut self,
        kind: TilerKind,
        tiler: &dyn AutoTiler,
        precision: Precision,
    ) -> Result<&StoredTiler, ModelError> {
        let TilerSpec { layer, cr, .. } = *tiler.spec();
        let file = format!("{TILERS}/layer{layer}-cr{cr}-{kind}.safetensors");
        let bytes = weights::encode(&tiler.weights(), precision)
            .map_err(|source| ModelError::Weights { file: file.clone(), source })?;
        let digest = tiler_digest(&self.manifest.digest, kind, layer, cr, &bytes);
        files::write(&inside(&self.dir, &file)?, &bytes)?;
        let entry = TilerEntry { layer, cr, kind, file, digest };
        let stored = self.load_tiler(&entry)?;

        let same = |e: &TilerEntry| (e.layer, e.cr, e.kind) == (layer, cr, kind);
        if let Some(at) = self.manifest.tilers.iter().position(same) {
            self.manifest.tilers.remove(at);
            self.tilers.remove(at);
        }
        let order = |e: &TilerEntry| (e.layer, e.cr, e.kind.rank());
        let at = self.manifest.tilers.partition_point(|e| order(e) < order(&entry));
        self.manifest.tilers.insert(at, entry);
        self.tilers.insert(at, stored);
        self.write_manifest()?;
        Ok(&self.tilers[at])
    }

    fn load_tiler(&self, entry: &TilerEntry) -> Result<StoredTiler, ModelError> {
        let bytes = files::read(&inside(&self.dir, &entry.file)?)?;
        let found = tiler_digest(&self.manifest.digest, entry.kind, entry.layer, entry.cr, &bytes);
        check_digest(&entry.file, &self.dir, entry.digest, found)?;
        let spec = self.tiler_spec_of(entry.kind, entry.layer, entry.cr)?;
        let damaged = |source| ModelError::Weights { file: entry.file.clone(), source };
        let weights = weights::decode(&bytes).map_err(damaged)?;
        let encoder_bytes = weights::encoder_bytes(&bytes).map_err(damaged)?;
        StoredTiler::from_weights(entry.kind, entry.digest, spec, weights, encoder_bytes)
            .map_err(|source| ModelError::Tiler { layer: entry.layer, cr: entry.cr, source: source.into() })
    }

    fn write_manifest(&self) -> Result<(), ModelError> {
        let path = self.dir.join(MANIFEST);
        let text = serde_yaml::to_string(&self.manifest)
            .map_err(|source| ModelError::Manifest { path: path.clone(), source })?;
        Ok(files::write(&path, text.as_bytes())?)
    }
}

fn network_with(cfg: &Cfg, file: &str, bytes: &[u8]) -> Result<Network, ModelError> {
    let stored =
        weights::decode(bytes).map_err(|source| ModelError::Weights { file: file.to_owned(), source })?;
    let find = |name: &str| stored.iter().find(|w| w.name == name).map(|w| Arc::clone(&w.values));
    let header = darknet::Header { major: 0, minor: 2, revision: 5, seen: 0 };
    let weights = darknet::Weights::from_named(cfg, header, find)?;
    Ok(Network::build(cfg, &weights, BatchNorm::Folded)?)
}

fn network_digest(cfg: &[u8], weights: &[u8], classes: &[String]) -> Digest {
    sha256(&[cfg, weights, classes.join("\n").as_bytes()])
}

/// A tiler is bound to its network: with another one its numbers mean nothing.
fn tiler_digest(
    network: &Digest,
    kind: TilerKind,
    layer: LayerIndex,
    cr: CompressionRatio,
    weights: &[u8],
) -> Digest {
    sha256(&[&network.0, format!("{kind} layer={layer} cr={cr}").as_bytes(), weights])
}

fn check_digest(what: &str, dir: &Path, expected: Digest, found: Digest) -> Result<(), ModelError> {
    if expected == found {
        return Ok(());
    }
    Err(ModelError::Digest { what: what.to_owned(), dir: dir.to_owned(), expected, found })
}

fn check_classes(network: &Network, names: usize) -> Result<(), ModelError> {
    match network.heads.iter().find(|head| head.classes != names) {
        Some(head) => Err(ModelError::Classes { names, classes: head.classes }),
        None => Ok(()),
    }
}

/// `file` within `dir`; a manifest from elsewhere must not read or write other places.
fn inside(dir: &Path, file: &str) -> Result<PathBuf, ModelError> {
    let path = Path::new(file);
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if plain && !file.is_empty() { Ok(dir.join(path)) } else { Err(ModelError::Outside(file.to_owned())) }
}

#[cfg(test)]
mod tests;
