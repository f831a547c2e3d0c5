//! Tilers off the disk, and the fused graphs that device and decoder run.

use autotiler_core::{Digest, LayerIndex};
use autotiler_graph::{
    Graph, GraphBuilder, GraphError, Weight, macs,
    tiler::{AutoTiler, Autoencoder, GAIN_SHAPE, Klt, Lite, Omni, Paper, Plain, TilerSpec},
};

use crate::manifest::TilerKind;

/// A tiler with what identifies it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTiler {
    /// Which member of the family.
    pub kind: TilerKind,
    /// What the frame header carries the prefix of.
    pub digest: Digest,
    encoder_bytes: usize,
    encoder_macs: u64,
    member: Member,
}

#[derive(Debug, Clone, PartialEq)]
enum Member {
    Plain(Plain),
    Klt(Klt),
    Lite(Lite),
    Omni(Omni),
    Paper(Paper),
    Ae(Autoencoder),
}

impl Member {
    fn tiler(&self) -> &dyn AutoTiler {
        match self {
            Self::Plain(tiler) => tiler,
            Self::Klt(tiler) => tiler,
            Self::Lite(tiler) => tiler,
            Self::Omni(tiler) => tiler,
            Self::Paper(tiler) => tiler,
            Self::Ae(tiler) => tiler,
        }
    }
}

impl StoredTiler {
    /// The tiler of `kind` with these weights; none when they do not make a graph for `spec`.
    pub(crate) fn from_weights(
        kind: TilerKind,
        digest: Digest,
        spec: TilerSpec,
        weights: Vec<Weight>,
        encoder_bytes: usize,
    ) -> Result<Self, GraphError> {
        let member = match kind {
            TilerKind::Plain => {
                let missing = GraphError::WeightLen { name: "tiler.range".to_owned(), expected: 2, got: 0 };
                Member::Plain(Plain::from_weights(spec, &weights).ok_or(missing)?)
            }
            TilerKind::Klt => Member::Klt(Klt::from_weights(spec, &weights)),
            TilerKind::Lite => Member::Lite(Lite::from_weights(spec, weights)),
            TilerKind::Omni => Member::Omni(Omni::from_weights(spec, weights)),
            TilerKind::Paper | TilerKind::PaperSolo => Member::Paper(Paper::from_weights(spec, weights)),
            TilerKind::Ae => Member::Ae(Autoencoder::from_weights(spec, weights)),
        };
        // Wrong weights show here, not on the first frame.
        let encoder_macs = macs::total(&member.tiler().encoder()?);
        member.tiler().decoder()?;
        Ok(Self { kind, digest, encoder_bytes, encoder_macs, member })
    }

    /// The tiler itself.
    pub fn tiler(&self) -> &dyn AutoTiler {
        self.member.tiler()
    }

    /// Bytes of the encoder's weights in the tiler's file: what a device loads.
    pub fn encoder_bytes(&self) -> usize {
        self.encoder_bytes
    }

    /// Multiply-accumulates of the encoder for one picture.
    pub fn encoder_macs(&self) -> u64 {
        self.encoder_macs
    }

    /// Its transform, where it is the KLT: what training starts from.
    pub fn klt(&self) -> Option<&Klt> {
        match &self.member {
            Member::Klt(klt) => Some(klt),
            _ => None,
        }
    }

    /// Its dimensions.
    pub fn spec(&self) -> &TilerSpec {
        self.tiler().spec()
    }

    /// Its partition point.
    pub fn layer(&self) -> LayerIndex {
        self.spec().layer
    }
}

/// Head and tiler encoder as one graph: picture (f32, 0 to 1) to plane (u8).
///
/// # Errors
/// [`GraphError`] when the tiler was made for another feature map.
pub fn device_graph(head: &Graph, tiler: &dyn AutoTiler) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new();
    let inputs: Vec<_> = input_shapes(head).into_iter().map(|shape| builder.input(shape)).collect();
    let feature = builder.append(head, &inputs)?;
    let plane = builder.append(&tiler.encoder()?, &feature)?;
    Ok(builder.finish(&plane))
}

/// Tiler decoder and tail as one graph: plane (u8) and gain ([`autotiler_graph::tiler::gain_input`]) to raw
/// heads.
///
/// # Errors
/// [`GraphError`] when the tiler was made for another feature map.
pub fn server_graph(tail: &Graph, tiler: &dyn AutoTiler) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new();
    let plane = builder.input_u8(tiler.spec().plane());
    let gain = builder.input(GAIN_SHAPE);
    let feature = builder.append(&tiler.decoder()?, &[plane, gain])?;
    let heads = builder.append(tail, &feature)?;
    Ok(builder.finish(&heads))
}

fn input_shapes(graph: &Graph) -> Vec<autotiler_core::Shape> {
    graph.inputs.iter().filter_map(|&id| graph.node(id)).map(|node| node.shape).collect()
}
