use super::*;
use crate::{
    Engine, Tensor,
    darknet::{Normalization, init},
    reference::Reference,
};
use std::sync::Arc;

const CFG: &str = "[net]\nwidth=12\nheight=8\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=mish\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\ngroups=4\nbatch_normalize=1\nactivation=leaky\n\
    [shortcut]\nfrom=-2\nactivation=relu\n\
    [dropout]\nprobability=.5\n\
    [route]\nlayers=-1,0\ngroups=2\ngroup_id=1\n\
    [maxpool]\nsize=2\nstride=2\n\
    [upsample]\nstride=2\n\
    [route]\nlayers=-1,-4\n\
    [convolutional]\nfilters=7\nactivation=linear\n\
    [yolo]\nclasses=2\nanchors=1,2,3,4\nmask=1\nnum=2\nscale_x_y=1.1\n\
    [route]\nlayers=2\n\
    [avgpool]\n\
    [convolutional]\nfilters=14\nactivation=linear\n\
    [yolo]\nclasses=2\nanchors=1,2,3,4\nnum=2\n";

fn parts() -> (Cfg, Weights) {
    let cfg = Cfg::parse(CFG).unwrap();
    let mut weights = init(&cfg, 5).unwrap();
    // Fresh batch normalisation changes nothing, so that folding it would prove nothing.
    for layer in &mut weights.layers {
        let array = |seed: f32| Arc::new((0..layer.dims[0]).map(|c| seed + c as f32 * 0.1).collect());
        if layer.norm.is_some() {
            layer.bias = array(-0.3);
            layer.norm = Some(Normalization { scale: array(0.5), mean: array(-0.2), variance: array(0.01) });
        }
    }
    (cfg, weights)
}

fn run(graph: &Graph, seed: u64) -> Vec<Tensor> {
    let shape = graph.node(graph.inputs[0]).unwrap().shape;
    let mut state = seed;
    let picture = (0..shape.len()).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1_u32 << 24) as f32
    });
    let picture = Tensor::f32(shape, picture.collect());
    Reference.load(graph).unwrap().run(&[picture]).unwrap()
}

#[test]
fn layers_have_their_nodes_shapes_and_heads() {
    let (cfg, weights) = parts();
    let network = Network::build(&cfg, &weights, BatchNorm::Folded).unwrap();
    let shapes: Vec<String> = network.layers.iter().map(|layer| layer.shape.to_string()).collect();
    let expected = [
        "8x12x8", "8x12x8", "8x12x8", "8x12x8", "8x12x8", "4x6x8", "8x12x8", "8x12x16", "8x12x7", "8x12x7",
        "8x12x8", "1x1x8", "1x1x14", "1x1x14",
    ];
    assert_eq!(shapes, expected);
    for layer in &network.layers {
        assert_eq!(network.graph.node(layer.node).unwrap().shape, layer.shape, "layer {}", layer.index);
    }
    // A dropout and a route of one layer have no node of their own.
    assert_eq!(network.layers[3].node, network.layers[2].node);
    assert_eq!(network.layers[10].node, network.layers[2].node);
    assert_eq!(network.graph.layer(LayerIndex(2)), Some(network.layers[2].node));
    assert_eq!(network.graph.layer(LayerIndex(3)), None);

    let heads: Vec<_> =
        network.heads.iter().map(|head| (head.layer.0, head.node, head.mask.clone())).collect();
    let [a, b] = [network.layers[8].node, network.layers[12].node];
    assert_eq!(heads, [(9, a, vec![1]), (13, b, vec![0, 1])]);
    assert_eq!(network.graph.outputs, [a, b]);
    assert_eq!((network.heads[0].scale_x_y, network.heads[1].scale_x_y), (1.1, 1.0));
    assert_eq!(network.heads[0].anchors[1], Anchor { w: 3.0, h: 4.0 });
}

#[test]
fn macs_are_those_of_the_layers() {
    let (cfg, weights) = parts();
    for mode in [BatchNorm::Folded, BatchNorm::Kept] {
        let network = Network::build(&cfg, &weights, mode).unwrap();
        assert_eq!(network.layers[0].macs, 96 * 8 * 27);
        assert_eq!(network.layers[1].macs, 96 * 8 * 2 * 9);
        assert_eq!(network.layers[2].macs, 0);
        assert_eq!(network.macs(), macs::total(&network.graph));
    }
}

#[test]
fn folded_and_kept_batch_normalisation_yield_the_same() {
    let (cfg, weights) = parts();
    let kept = Network::build(&cfg, &weights, BatchNorm::Kept).unwrap().graph;
    assert!(kept.nodes.iter().any(|node| matches!(node.op, Op::BatchNorm { .. })));
    let folded = Network::build(&cfg, &weights, BatchNorm::Folded).unwrap().graph;
    let stored = Network::build(&cfg.folded(), &weights.fold(), BatchNorm::Kept).unwrap().graph;
    assert_eq!(stored, folded);
    for (a, b) in run(&kept, 1).iter().zip(run(&folded, 1)) {
        for (a, b) in a.as_f32().unwrap().iter().zip(b.as_f32().unwrap()) {
            assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{a} {b}");
        }
    }
}

#[test]
fn weights_of_another_cfg_are_refused() {
    let (cfg, weights) = parts();
    let error = |weights: &Weights| Network::build(&cfg, weights, BatchNorm::Folded).unwrap_err();
    let other = |layer| BuildError::OtherWeights { layer: LayerIndex(layer) };
    assert_eq!(error(&weights.fold()), other(0));
    let mut missing = weights.clone();
    missing.layers.pop();
    assert_eq!(error(&missing), other(12));
    let mut wrong = weights.clone();
    wrong.layers[1].dims = vec![8, 2, 9];
    assert_eq!(error(&wrong), other(1));
    wrong.layers[1].dims = vec![8, 2, 3, 3];
    wrong.layers[1].kernel = Arc::new(vec![0.0; 8]);
    assert!(matches!(error(&wrong), BuildError::Graph { layer: LayerIndex(1), .. }));
    let mut more = weights.clone();
    more.layers.push(ConvWeights { layer: LayerIndex(99), ..weights.layers[0].clone() });
    assert_eq!(error(&more), other(99));
}

#[test]
fn a_network_without_yolo_yields_its_last_layer() {
    let cfg = Cfg::parse("[net]\nwidth=4\nheight=4\n[convolutional]\nfilters=2\n[avgpool]\n").unwrap();
    let network = Network::build(&cfg, &init(&cfg, 1).unwrap(), BatchNorm::Folded).unwrap();
    assert_eq!((network.graph.outputs.len(), network.heads.len()), (1, 0));
    let [out] = &run(&network.graph, 1)[..] else { panic!("one output") };
    assert_eq!(out.shape, Shape::new(2, 1, 1));
}
