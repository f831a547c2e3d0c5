//! Multiply-accumulates: the usual measure of a network's work.

use crate::{
    graph::{Graph, NodeId},
    op::Op,
};

/// Multiply-accumulates of one node for one picture: those of convolutions; all else counts as nothing,
/// as in the literature. 0 for a node that is not there.
pub fn node(graph: &Graph, id: NodeId) -> u64 {
    let Some(node) = graph.node(id) else { return 0 };
    match node.op {
        Op::Conv { weight, out, .. } => {
            let taps = graph.weight(weight).map_or(0, |kernel| kernel.values.len() / out.max(1));
            node.shape.len() as u64 * taps as u64
        }
        // Every input value is spread over the taps of every output map.
        Op::ConvTranspose { weight, .. } => {
            let from =
                node.inputs.first().and_then(|&id| graph.node(id)).map_or(0, |x| x.shape.h * x.shape.w);
            from as u64 * graph.weight(weight).map_or(0, |kernel| kernel.values.len()) as u64
        }
        _ => 0,
    }
}

/// Multiply-accumulates of a whole graph for one picture.
pub fn total(graph: &Graph) -> u64 {
    (0..graph.nodes.len()).map(|id| node(graph, NodeId(id))).sum()
}

#[cfg(test)]
mod tests {
    use autotiler_core::Shape;

    use super::*;
    use crate::GraphBuilder;

    #[test]
    fn a_grouped_convolution_counts_the_taps_of_its_group() {
        let mut b = GraphBuilder::new();
        let x = b.input(Shape::new(8, 6, 6));
        let weight = b.weight("w", vec![16, 2, 3, 3], vec![0.0; 288]).unwrap();
        let conv =
            Op::Conv { weight, bias: None, out: 16, size: 3, stride: 1, pad: 1, dilation: 1, groups: 4 };
        let y = b.push(conv, &[x]).unwrap();
        let graph = b.finish(&[y]);
        assert_eq!(total(&graph), 16 * 36 * 2 * 9);
        assert_eq!((node(&graph, x), node(&graph, NodeId(9))), (0, 0));
    }

    #[test]
    fn a_transposed_convolution_counts_the_taps_of_its_input() {
        let mut b = GraphBuilder::new();
        let x = b.input(Shape::new(8, 6, 5));
        let weight = b.weight("w", vec![8, 4, 5, 5], vec![0.0; 800]).unwrap();
        let y = b.push(Op::ConvTranspose { weight, bias: None, out: 4, size: 5, stride: 2 }, &[x]).unwrap();
        assert_eq!(b.shape(y), Shape::new(4, 12, 10));
        assert_eq!(total(&b.finish(&[y])), 30 * 800);
    }
}
