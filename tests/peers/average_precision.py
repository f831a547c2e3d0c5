"""Scores sets of pictures with object-detection-metrics from PyPI, for services/core/tests/peer_scorer.rs.

Standard input: one JSON array of sets; a set is an array of pictures `{"found": [[class, score, x0, y0, x1, y1]],
"truth": [[class, x0, y0, x1, y1]]}`. Standard output: for each set an object of class to average precision (IoU 0.5,
all points), of the classes that occur in its truth.
"""

import json
import sys
import types

# podm.metrics imports podm.coco, which imports shapely for outlines. Boxes need none of it.
geometry = types.ModuleType("shapely.geometry")
geometry.Polygon = geometry.Point = object
sys.modules["shapely"] = types.ModuleType("shapely")
sys.modules["shapely.geometry"] = geometry

from podm.metrics import BoundingBox, get_pascal_voc_metrics  # noqa: E402


def score(pictures):
    truth = [
        BoundingBox.of_bbox(at, kind, *box) for at, picture in enumerate(pictures) for kind, *box in picture["truth"]
    ]
    found = [
        BoundingBox.of_bbox(at, kind, *box, sureness)
        for at, picture in enumerate(pictures)
        for kind, sureness, *box in picture["found"]
    ]
    metrics = get_pascal_voc_metrics(truth, found, iou_threshold=0.5)
    return {kind: float(metric.ap) for kind, metric in metrics.items() if metric.num_groundtruth > 0}


json.dump([score(pictures) for pictures in json.load(sys.stdin)], sys.stdout)
