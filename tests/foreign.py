"""Models as other tools write them. They predict the color of the generated images without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES, SIDE = ("blue", "green", "red"), 32  # of the generated images

MEAN, STD = "0.485,0.456,0.406", "0.229,0.224,0.225"


def color_onnx(
    path: Path, *, batch: int | str = "batch", size: int | str = SIDE, names: str = "", has_map: bool = False
) -> Path:
    """Write an ONNX model from standardized images, float32 NCHW, to three logits.

    With ``has_map``, the values of the last layer before pooling are a second output, (N, 8, 16, 16).
    """
    rng = np.random.default_rng(0)
    stem = rng.normal(0, 0.05, (8, 3, 3, 3))
    for channel in range(3):
        stem[channel, channel] += 1 / 9
    depthwise = np.zeros((8, 1, 3, 3))
    depthwise[:, :, 1, 1] = 1
    classifier = rng.normal(0, 0.05, (3, 8))
    classifier[[0, 1, 2], [2, 1, 0]] += 4  # blue, green and red
    weights = {"stem": stem, "depthwise": depthwise, "pointwise": np.eye(8)[..., None, None], "classifier": classifier}
    nodes = [
        helper.make_node("Conv", ["images", "stem"], ["a"], "stem", strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "depthwise"], ["c"], "depthwise", group=8, pads=[1] * 4),
        helper.make_node("Conv", ["c", "pointwise"], ["d"], "pointwise"),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "classifier"], ["logits"], "classifier", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, size, size])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, len(CLASSES)]),
            *([helper.make_tensor_value_info("e", TensorProto.FLOAT, [batch, 8, SIDE // 2, SIDE // 2])] * has_map),
        ],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if names:
        helper.set_model_props(model, {"names": names})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def mixed_onnx(path: Path, *, length: int | str = 4) -> Path:
    """Write an ONNX model from an image, five numbers and the numbers of some words to four scores and a map."""
    rng = np.random.default_rng(0)
    shapes = {"stem": (8, 3, 3, 3), "dense": (5, 8), "words": (20, 8), "head": (8, 4)}
    weights = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["a"], "stem", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("MatMul", ["numbers", "dense"], ["d"], "dense"),
        helper.make_node("Gather", ["words", "ids"], ["e"]),
        helper.make_node("ReduceMean", ["e"], ["f"], axes=[1], keepdims=0),
        helper.make_node("Add", ["c", "d"], ["g"]),
        helper.make_node("Add", ["g", "f"], ["h"]),
        helper.make_node("MatMul", ["h", "head"], ["scores"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", 5]),
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 12]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", length]),
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 8, 8, 12]),
        ],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
