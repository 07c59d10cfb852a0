"""Costs of networks: counts match Keras and the papers, and sizes match real files."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import edgesqz
from edgesqz import backend, plugins
from edgesqz.artifact import Artifact
from edgesqz.engine import Engine
from edgesqz.exporting import images, precision
from edgesqz.exporting.job import Job
from edgesqz.image_size import ImageSize
from edgesqz.models import ARCHITECTURES, build_model, loading
from edgesqz.models.costs import network_costs
from tests import small
from tests.engine_environments import environment_or_skip


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_the_total_is_what_keras_counts(model: str) -> None:
    backend.start_keras()
    plan = ARCHITECTURES[model]
    network = build_model(model)
    assert network_costs(model).parameters == network.count_params()
    assert network.input_shape == (None, plan.input_size, plan.input_size, plan.channels)
    assert network.output_shape == (None, plan.classes)


@pytest.mark.parametrize("model", ["squeezenet", "squeezenet-1.1", "alexnet"])
def test_images_that_are_not_square_have_the_shapes_of_keras(model: str) -> None:
    backend.start_keras()
    size = ImageSize(height=67, width=99)
    network = build_model(model, classes=2, input_size=size)
    found = {layer.name: layer.shape for layer in network_costs(model, classes=2, input_size="99x67").layers}
    keras_shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in network.layers}
    assert found["pixels"] == (67, 99, 3)
    assert {name: keras_shapes[name] for name in found} == found


def within_five_percent(predicted: int, real: int) -> bool:
    return abs(predicted - real) <= 0.05 * real


# The variants with the largest overhead. Those of the small networks matter most.
FILES = {
    "squeezenet-nano": ["int8.tflite", "int4.tflite", "int16x8.tflite", "int8.onnx", "dynamic.onnx", "fp16.onnx"],
    "squeezenet": ["int8.tflite", "int8.onnx"],
    "digits": ["fp32.tflite", "int8.tflite", "int4.tflite", "int8.onnx"],
}


@pytest.mark.parametrize(("model", "file"), [(model, file) for model, files in FILES.items() for file in files])
def test_the_predicted_size_matches_the_file(model: str, file: str) -> None:
    variant, format = file.split(".")
    job = Job.parse(format, variant)
    assert within_five_percent(network_costs(model).file_bytes(job.file_kind), len(converted(model, job)))


@functools.lru_cache(maxsize=1)  # the files of a network follow each other
def untrained(model: str) -> loading.SourceModel:
    """Build a network, which takes longer than converting it."""
    return loading.untrained(model)


def converted(model: str, job: Job) -> bytes:
    """Convert a network whose weights all differ, as those of a trained network do, because equal ones take less."""
    source = untrained(model)
    network, pixels = source.network(takes_bytes=job.kind.takes_bytes)
    assert not isinstance(network, bytes)
    generator = np.random.default_rng(0)
    for weight in network.weights:
        if not weight.path.endswith("kernel"):
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    size, channels = source.image_format
    calibration = None
    if job.kind.needs_calibration:
        calibration = [pixels.values(generator.integers(0, 256, (2, 1, *size, channels))).astype(np.float32)]
    if job.variant == "int4":
        assert calibration is not None
        with backend.hush():
            layerwise = cast(plugins.LayerwiseConverter, job.converter).layerwise(network, calibration, plugins.MIN_MAX)
            return layerwise.quantize(precision.choose_bits(layerwise.layers, 4, precision.Keep()))
    with backend.hush():
        return job.converter.convert(network, job.variant, calibration)


def test_the_predicted_size_matches_a_trained_file(exported: Path) -> None:
    costs = network_costs(small.NETWORK, classes=3)
    assert within_five_percent(costs.tflite_fp32_bytes, (exported / "colors.fp32.tflite").stat().st_size)
    assert within_five_percent(costs.tflite_int8_bytes, (exported / "colors.int8.tflite").stat().st_size)


LARGE = "150x130"  # the stem halves these images twice, with a strided convolution and a pooling


@pytest.fixture(scope="module")
def for_large_images(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An int8 file of a network for large images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "UNTRAINED_VERIFICATION_IMAGES", 2)
        (artifact,) = edgesqz.export(
            small.NETWORK,
            untrained=True,
            variant="int8",
            input_size=LARGE,
            calibration=2,
            workspace=tmp_path_factory.mktemp("large"),
        )
    return artifact


def test_the_predicted_size_and_macs_for_large_images_match_the_file(for_large_images: Artifact) -> None:
    costs = network_costs(small.NETWORK, input_size=LARGE)
    assert within_five_percent(costs.tflite_int8_bytes, for_large_images.size_bytes)
    interpreter = Interpreter(model_path=str(for_large_images.path))
    shapes = {detail["index"]: tuple(map(int, detail["shape"])) for detail in interpreter.get_tensor_details()}
    operators = [
        (operator["op_name"], *(shapes[number] for number in (*operator["inputs"][:2], *operator["outputs"])))
        for operator in interpreter._get_ops_details()
    ]
    assert operators[0] == ("CONV_2D", (1, 130, 150, 3), (16, 3, 3, 3), (1, 65, 75, 16))
    convolutions = [shapes for name, *shapes in operators if name == "CONV_2D"]
    assert sum(math.prod(kernel) * math.prod(output[1:3]) for _, kernel, output in convolutions) == costs.macs


def test_the_arena_for_large_images_is_hardly_larger_than_the_tensors(for_large_images: Artifact) -> None:
    environment_or_skip("tflite-micro")
    peak = network_costs(small.NETWORK, input_size=LARGE).peak_activation_bytes
    artifact = for_large_images
    assert artifact.manifest
    with Engine(artifact.path.read_bytes(), "tflite-micro", pixels=artifact.manifest.pixels) as engine:
        assert engine.arena_bytes and peak < engine.arena_bytes < 1.5 * peak


def test_no_tensorflow_is_needed() -> None:
    program = (
        "import sys; from edgesqz.models.costs import network_costs; network_costs('alexnet');"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
