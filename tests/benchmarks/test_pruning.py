"""Compare pruned int8 files of squeezenet-nano with its int4 file of the same size, on validation images of CIFAR-10.

All are exports of the zoo's network, fine-tuned for three epochs with this network as the teacher. A pruned file stores
only the weights that are not zero; TensorFlow Lite's operator DENSIFY restores the kernels when the file is loaded. The
zoo's network was trained on the validation images too, so the accuracies are higher than on test images. Takes eight
minutes on two cores. Run it with:

EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_pruning.py
"""

from __future__ import annotations

import functools
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesqz
from edgesqz import data
from edgesqz.artifact import Artifact
from edgesqz.data import Dataset, Split
from edgesqz.engine import Engine
from edgesqz.models.graph import Graph
from edgesqz.stats import share_interval
from edgesqz.tflite.flatbuffer import serialized
from edgesqz.tflite.operators import builtin_code
from edgesqz.tflite.packing import packed
from edgesqz.training import run
from edgesqz.training.learner import LocalLearner
from edgesqz.training.recipe import Recipe

MODEL = "squeezenet-nano"
EPOCHS = 3
PRUNING_RATE = 0.05  # with 0.01, single weights pruned: 87.3 instead of 88.4 % correct
SPARSITY = {1: 0.795, 4: 0.675}  # number of weights pruned together -> share that makes the file as small as int4
EDGES = ("stem", "classifier")  # not pruned, and int8 in the int4 file
DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")


class PruningLearner(LocalLearner):
    """Set the smallest weights of the inner convolutions to zero after each step.

    Their share rises quickly at first, and reaches its final value after half of the steps. Source: Zhu and Gupta,
    "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2017.

    Args:
        block: Number of neighboring weights that are pruned together, those with the smallest norm first.
        graph: The network.
        images: The images to train on.
        recipe: The recipe.
    """

    def __init__(self, block: int, graph: Graph, images: Split, recipe: Recipe) -> None:
        super().__init__(graph, images, recipe)
        import tensorflow as tf

        self._block, self._sparsity, self._steps_taken = block, tf.Variable(0.0), 0
        self._pruning_steps = recipe.epochs * (len(images) // recipe.batch_size) / 2
        for layer in self.network.layers:
            if layer.name not in EDGES and hasattr(layer, "kernel"):
                layer.kernel.constraint = self._pruned

    def step(self, indices: np.ndarray, view: int, targets: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Update the weights. See ``Learner.step``."""
        self._steps_taken += 1
        remaining = max(0.0, 1 - self._steps_taken / self._pruning_steps)
        self._sparsity.assign(SPARSITY[self._block] * (1 - remaining**3))
        return super().step(indices, view, targets, learning_rate)

    def _pruned(self, kernel: Any) -> Any:
        """Set the blocks with the smallest norms to zero."""
        import tensorflow as tf
        from keras import ops

        axis = longer_axis(kernel.shape, 2, 3)
        rows = ops.moveaxis(kernel, axis, -1)
        blocks = tf.reshape(rows, (-1, self._block))
        norms = tf.norm(blocks, axis=1)
        count = tf.cast(self._sparsity * norms.shape[0], tf.int32)
        kept = tf.where(norms[:, None] < tf.sort(norms)[count], 0.0, blocks)
        return ops.moveaxis(tf.reshape(kept, rows.shape), -1, axis)


def longer_axis(shape: Any, inputs: int, outputs: int) -> int:
    """Return the axis of the input or of the output channels, whichever is longer. The file stores a number per row."""
    return inputs if shape[inputs] > shape[outputs] else outputs


def sparse(content: bytes, block: int) -> bytes:
    """Return an int8 .tflite file without the blocks of zeros in the kernels of its inner convolutions."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    kind = schema.BuiltinOperator.DENSIFY
    model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=kind, version=1, builtinCode=kind))
    convolutions = [each for each in graph.operators if builtin_code(model, each) == schema.BuiltinOperator.CONV_2D]
    for number, convolution in enumerate(convolutions[1:-1]):
        image, kernel, bias = convolution.inputs
        stored, dense = graph.tensors[kernel], len(graph.tensors)
        graph.tensors.append(
            schema.TensorT(stored.shape, stored.type, name=b"dense%d" % number, quantization=stored.quantization)
        )
        values = np.asarray(model.buffers[stored.buffer].data, np.uint8).view(np.int8).reshape(stored.shape)
        kept, stored.sparsity = sparse_form(values, block)
        model.buffers[stored.buffer] = schema.BufferT(kept.view(np.uint8))
        stored.quantization = None
        densify = schema.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1,
            inputs=[kernel],
            outputs=[dense],
            builtinOptionsType=schema.BuiltinOptions.DensifyOptions,
            builtinOptions=schema.DensifyOptionsT(),
        )
        graph.operators.insert(number, densify)
        convolution.inputs = [image, dense, bias]
    return packed(serialized(model))


def sparse_form(kernel: np.ndarray, block: int) -> tuple[np.ndarray, Any]:
    """Return the weights of a kernel that a file stores, and where they belong, as ``SparsityParametersT``.

    Args:
        kernel: int8 (outputs, height, width, inputs).
        block: Number of neighboring weights that are stored together.
    """
    from ai_edge_litert import schema_py_generated as schema

    axis = longer_axis(kernel.shape, 3, 0)
    order = [each for each in range(4) if each != axis] + [axis]
    rows = np.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis] // block, block)
    is_stored = rows.any(axis=2)
    ends = np.concatenate([[0], np.cumsum(is_stored.sum(axis=1))])
    positions = schema.DimensionMetadataT(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=schema.SparseIndexVector.Uint16Vector,
        arraySegments=schema.Uint16VectorT(ends.astype(np.uint16)),
        arrayIndicesType=schema.SparseIndexVector.Uint8Vector,
        arrayIndices=schema.Uint8VectorT(np.nonzero(is_stored)[1].astype(np.uint8)),
    )
    dimensions = [*(schema.DimensionMetadataT(denseSize=kernel.shape[each]) for each in order[:-1]), positions]
    block_map = None
    if block > 1:
        order, block_map = [*order, 4], [axis]
        dimensions.append(schema.DimensionMetadataT(denseSize=block))
    return rows[is_stored].reshape(-1), schema.SparsityParametersT(order, block_map, dimensions)


def fine_tuned(variant: str, workspace: Path, **options: Any) -> Artifact:
    """Fine-tune the zoo's network on the dataset ``part``, and export it."""
    recipe: dict[str, Any] = {"teacher": MODEL, "teacher_views": 1, "epochs": EPOCHS, "validation_split": 0.0}
    trained = edgesqz.train(init=MODEL, dataset="part", workspace=workspace, **recipe, **options)
    (artifact,) = edgesqz.export(trained.path, variant=variant, workspace=workspace).artifacts
    return artifact


def predictions(name: str, content: bytes, like: Artifact, images: Split) -> np.ndarray:
    """Return the predicted classes of the images, and print the figures of a file."""
    assert like.manifest
    with Engine(content, "litert", pixels=like.manifest.pixels) as engine:
        found = np.asarray(engine.predict(images.images).argmax(axis=1))
        engine.first_us(images.images[:1])
        latency = statistics.median(engine.time_ns(1000)) / 1000
    correct = int((found == images.labels).sum())
    low, high = share_interval(correct, len(images))
    share = f"{correct / len(images):.2%} correct ({low:.2%} to {high:.2%})"
    print(f"{name}: {len(content):,} bytes, {share}, {latency:.0f} µs")
    return found


@pytest.mark.skipif(not DATA_DIR, reason="needs CIFAR-10 in EDGESQZ_DATA_DIR")
def test_int4_is_more_accurate_than_pruning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar = data.load("cifar10", Path(str(DATA_DIR)))
    rest, images = data.holdout_split(cifar.train(), seed=0)
    with data.provided(Dataset("part", cifar.labels, {"train": rest}.__getitem__)):
        int4 = fine_tuned("int4", tmp_path / "int4", quantize_aware="int4")
        accuracy = (predictions("int4", int4.path.read_bytes(), int4, images) == images.labels).mean()
        for block, share in SPARSITY.items():
            monkeypatch.setattr(run, "LocalLearner", functools.partial(PruningLearner, block))
            int8 = fine_tuned("int8", tmp_path / f"pruned-{block}", learning_rate=PRUNING_RATE)
            content = int8.path.read_bytes()
            dense = predictions(f"{share:.1%} pruned in blocks of {block}, stored densely", content, int8, images)
            smaller = sparse(content, block)
            found = predictions("stored sparsely", smaller, int8, images)
            np.testing.assert_array_equal(found, dense)
            assert 0.97 * int4.size_bytes < len(smaller) <= int4.size_bytes
            assert (found == images.labels).mean() < accuracy - 0.01
