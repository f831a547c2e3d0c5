use proptest::prelude::*;

use super::*;
use crate::{
    Engine, Tensor,
    darknet::{BatchNorm, COCO_ANCHORS, Cfg, WidthMultiplier, init, yolov3},
    reference::Reference,
};

fn network(text: &str) -> Network {
    let cfg = Cfg::parse(text).unwrap();
    Network::build(&cfg, &init(&cfg, 2).unwrap(), BatchNorm::Folded).unwrap()
}

fn layers(network: &Network) -> Vec<u16> {
    points(network).iter().map(|point| point.layer.0).collect()
}

const CONV: &str = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";

fn net(layers: &[&str]) -> Network {
    network(&format!("[net]\nwidth=8\nheight=8\n{}", layers.concat()))
}

#[test]
fn a_chain_can_be_cut_everywhere_but_at_its_end() {
    assert_eq!(layers(&net(&[CONV, CONV, "[dropout]\n", CONV])), [0, 1, 2]);
}

#[test]
fn no_cut_inside_a_residual_block_or_beside_a_skip() {
    let shortcut = "[shortcut]\nfrom=-3\n";
    assert_eq!(layers(&net(&[CONV, CONV, CONV, shortcut, CONV])), [0, 3]);
    let skip = "[route]\nlayers=-1,1\n";
    assert_eq!(layers(&net(&[CONV, CONV, CONV, CONV, skip, CONV])), [0, 1, 4]);
}

#[test]
fn what_nothing_needs_does_not_hinder_a_cut() {
    // Layer 1 is read by nothing that leaves the network.
    let back = "[route]\nlayers=0\n";
    assert_eq!(layers(&net(&[CONV, CONV, back, CONV, CONV])), [0, 2, 3]);
}

#[test]
fn a_cut_elsewhere_is_refused() {
    let network = net(&[CONV, CONV, CONV, "[shortcut]\nfrom=-3\n"]);
    let not_single = |layer, alive| PartitionError::NotSingle { layer: LayerIndex(layer), alive };
    assert_eq!(split(&network, LayerIndex(1)), Err(not_single(1, 2)));
    assert_eq!(split(&network, LayerIndex(3)), Err(not_single(3, 1)));
    assert_eq!(split(&network, LayerIndex(4)), Err(PartitionError::NoLayer(LayerIndex(4))));
}

#[test]
fn a_part_must_be_given_what_it_needs() {
    let graph = net(&[CONV, CONV]).graph;
    let (first, last) = (graph.layer(LayerIndex(0)).unwrap(), graph.outputs[0]);
    assert_eq!(extract(&graph, &[], &[last]), Err(PartitionError::Open(0)));
    assert_eq!(extract(&graph, &[first], &[NodeId(99)]), Err(GraphError::UnknownNode(99).into()));
    assert_eq!(extract(&graph, &[NodeId(99)], &[]), Err(GraphError::UnknownNode(99).into()));
    let tail = extract(&graph, &[first], &[last]).unwrap();
    assert_eq!((tail.weights.len(), tail.layer(LayerIndex(1))), (2, Some(tail.outputs[0])));
}

fn run(graph: &Graph, input: &Tensor) -> Vec<Tensor> {
    Reference.load(graph).unwrap().run(std::slice::from_ref(input)).unwrap()
}

/// Head then tail yields exactly what the whole does: the same operators in the same order.
fn check_all_cuts(network: &Network) {
    let ramp = (0..network.input.len()).map(|i| (i * 7919 % 256) as f32 / 255.0).collect();
    let picture = Tensor::f32(network.input, ramp);
    let whole = run(&network.graph, &picture);
    let live = extract(&network.graph, &network.graph.inputs, &network.graph.outputs).unwrap();
    for point in points(network) {
        let (head, tail) = split(network, point.layer).unwrap();
        assert_eq!((macs::total(&head), macs::total(&tail)), (point.head_macs, point.tail_macs));
        assert_eq!(point.head_macs + point.tail_macs, macs::total(&live));
        let map = run(&head, &picture);
        assert_eq!(map[0].shape, point.shape);
        assert_eq!(run(&tail, &map[0]), whole, "layer {}", point.layer);
    }
}

#[test]
fn head_then_tail_is_the_whole_of_a_narrow_yolov3() {
    let text = yolov3(WidthMultiplier::try_new(0.05).unwrap(), 32, 2, &COCO_ANCHORS).unwrap();
    let network = network(&text);
    let cuts = layers(&network);
    assert!([4, 11, 15, 24, 36].iter().all(|layer| cuts.contains(layer)), "{cuts:?}");
    assert_eq!(cuts.last(), Some(&36));
    check_all_cuts(&network);
}

#[test]
fn head_and_tail_share_the_values_of_the_network() {
    let network = net(&[CONV, CONV]);
    let (head, tail) = split(&network, LayerIndex(0)).unwrap();
    for part in [head, tail] {
        for weight in &part.weights {
            let whole = network.graph.weights.iter().find(|whole| whole.name == weight.name).unwrap();
            assert!(std::sync::Arc::ptr_eq(&whole.values, &weight.values));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Points found by liveness are those through which every path from the picture to an output goes.
    #[test]
    fn points_are_what_all_paths_share(kinds in prop::collection::vec((0_u8..4, 1_usize..6), 1..14)) {
        let mut text = format!("[net]\nwidth=8\nheight=8\n{CONV}");
        for (layer, (kind, back)) in (1..).zip(&kinds) {
            let back = layer - (*back).min(layer);
            text += &match kind {
                0 | 1 => CONV.to_owned(),
                // Back to four maps, so that shortcuts always fit.
                2 => format!("[shortcut]\nfrom={back}\n"),
                _ => format!("[route]\nlayers={back}\n"),
            };
        }
        let network = network(&text);
        let graph = &network.graph;
        let mut expected = Vec::new();
        for layer in &network.layers {
            // With its node taken out, no output can be reached from the picture any more.
            let mut reached = vec![false; graph.nodes.len()];
            reached[0] = true;
            for (index, node) in graph.nodes.iter().enumerate().skip(1) {
                reached[index] = NodeId(index) != layer.node && node.inputs.iter().any(|input| reached[input.0]);
            }
            let separates = !graph.outputs.iter().any(|output| reached[output.0]);
            if separates && !graph.outputs.contains(&layer.node) {
                expected.push(layer.node);
            }
        }
        expected.dedup();
        let mut found: Vec<NodeId> =
            points(&network).iter().map(|point| network.layer(point.layer).unwrap().node).collect();
        found.dedup();
        expected.sort();
        expected.dedup();
        prop_assert_eq!(found, expected);
        check_all_cuts(&network);
    }
}
