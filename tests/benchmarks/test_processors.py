"""Compare model files on this processor and on one without VNNI, emulated by QEMU. Takes three minutes.

LiteRT computes the same bytes on both. Without VNNI, ONNX Runtime multiplies uint8 activations by int8 weights with
another instruction (VPMADDUBSW), which adds pairs of products in 16 bits, with saturation. Needs Debian's qemu-user and
an x86-64 machine. If EDGESQZ_DATA_DIR contains CIFAR-10, 8-bit weights are tried with its images. Run it with:
python -m pytest -s tests/benchmarks/test_processors.py
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from edgesqz import backend, data, plugins
from edgesqz.artifact import ZOO
from edgesqz.models.loading import load_keras

QEMU = shutil.which("qemu-x86_64")
IMAGES = 100
DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs an x86-64 machine"),
    pytest.mark.skipif(QEMU is None, reason="needs qemu-x86_64 from Debian's package qemu-user"),
]

LITERT = """
import sys, numpy
from ai_edge_litert.interpreter import Interpreter
model, inputs, outputs = sys.argv[1:]
interpreter = Interpreter(model, num_threads=1)
interpreter.allocate_tensors()
(taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
results = []
for each in numpy.load(inputs):
    interpreter.set_tensor(taken["index"], each[None].astype(taken["dtype"]))
    interpreter.invoke()
    results.append(interpreter.get_tensor(given["index"]))
numpy.save(outputs, numpy.concatenate(results))
"""

ONNX = """
import sys, numpy, onnxruntime
model, inputs, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
results = [session.run(None, {name: each[None]})[0] for each in numpy.load(inputs)]
numpy.save(outputs, numpy.concatenate(results))
"""


def outputs(model: Path, inputs: np.ndarray, folder: Path, *emulator: str) -> np.ndarray:
    """Run a model on float32 inputs, one at a time, in its own process. Return the outputs (N, classes)."""
    given, found = folder / "inputs.npy", folder / "outputs.npy"
    np.save(given, inputs.astype(np.float32))
    program = LITERT if model.suffix == ".tflite" else ONNX
    command = [*emulator, sys.executable, "-c", program, str(model), str(given), str(found)]
    subprocess.run(command, check=True, capture_output=True)
    loaded: np.ndarray = np.load(found)
    return loaded


def here_and_on_haswell(model: Path, inputs: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    haswell = outputs(model, inputs, folder, str(QEMU), "-cpu", "Haswell")
    return outputs(model, inputs, folder), haswell


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return data.draw(IMAGES, 32, seed=0).images


@pytest.mark.parametrize("name", ["squeezenet", "squeezenet-nano"])
def test_litert_computes_the_same_bytes(name: str, images: np.ndarray, tmp_path: Path) -> None:
    pixels = images.astype(np.float32) - 128  # int8 files take byte - 128, because their input has a zero point of 0
    here, haswell = here_and_on_haswell(ZOO / f"{name}.int8.tflite", pixels, tmp_path)
    np.testing.assert_array_equal(here, haswell)


@pytest.mark.parametrize("name", ["squeezenet", "squeezenet-nano"])
def test_the_files_in_the_zoo_predict_the_same(name: str, images: np.ndarray, tmp_path: Path) -> None:
    here, haswell = here_and_on_haswell(ZOO / f"{name}.int8.onnx", images, tmp_path)
    print(f"{name}: {np.mean(here.argmax(1) == haswell.argmax(1)):.1%}, off by at most {np.abs(here - haswell).max()}")
    np.testing.assert_array_equal(here.argmax(1), haswell.argmax(1))
    np.testing.assert_allclose(here, haswell, atol=1e-3)


def test_a_dynamic_file_predicts_the_same(images: np.ndarray, tmp_path: Path) -> None:
    model = tmp_path / "dynamic.onnx"
    model.write_bytes(plugins.converter("onnx").convert(load_keras(ZOO / "squeezenet-nano.keras"), "dynamic", None))
    here, haswell = here_and_on_haswell(model, images, tmp_path)
    np.testing.assert_allclose(here, haswell, atol=1e-3)


@pytest.mark.skipif(not DATA_DIR, reason="needs CIFAR-10 in EDGESQZ_DATA_DIR")
def test_a_file_with_8_bit_weights_predicts_other_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantize ``squeezenet-nano`` to all 8 bits instead of 7, and classify training images."""
    train, other = data.holdout_split(data.load("cifar10", Path(str(DATA_DIR))).train(), seed=0)
    calibration, photos = data.sample(train, 500, seed=0), data.sample(other, 200, seed=0)
    pixels = calibration.images.astype(np.float32)
    pixels[0, 0, :2, 0] = 0, 255  # as in an export, the input spans all bytes
    full_range = functools.partial(_quantize_all_bits, quantization.quantize_static)
    monkeypatch.setattr(quantization, "quantize_static", full_range)
    model = tmp_path / "int8.onnx"
    with backend.hush():
        content = plugins.converter("onnx").convert(
            load_keras(ZOO / "squeezenet-nano.keras"), "int8", [pixels[:, None]]
        )
    model.write_bytes(content)
    here, haswell = (each.argmax(1) for each in here_and_on_haswell(model, photos.images, tmp_path))
    print(f"8-bit weights: {np.mean(here != haswell):.1%} of {len(photos)} images get another class")
    assert np.mean(here != haswell) > 0.05


def _quantize_all_bits(quantize: Any, *arguments: Any, **options: Any) -> None:
    quantize(*arguments, **{**options, "reduce_range": False})


@pytest.mark.parametrize("weight", [-128, -65, -64, 64, 65, 127])
def test_8_bit_weights_saturate_and_7_bit_weights_do_not(weight: int, tmp_path: Path) -> None:
    model = tmp_path / "product.onnx"
    model.write_bytes(product(np.full((64, 32), weight, np.int8)))
    here, haswell = here_and_on_haswell(model, np.full((1, 64), 255), tmp_path)
    assert np.all(here == 64 * 255 * weight)
    assert np.all(here == haswell) == (abs(weight) <= 64)


@pytest.mark.parametrize("weight", [0, 255])
def test_unsigned_8_bit_weights_do_not_saturate(weight: int, tmp_path: Path) -> None:
    model = tmp_path / "product.onnx"
    model.write_bytes(product(np.full((64, 32), weight, np.uint8)))
    here, haswell = here_and_on_haswell(model, np.full((1, 64), 255), tmp_path)
    assert np.all(here == 64 * 255 * (weight - 128))
    assert np.all(here == haswell)


def product(weights: np.ndarray) -> bytes:
    """Return a model that multiplies its input, float32 (1, K) in 0..255, by int8 or uint8 weights (K, N).

    The zero point of uint8 weights is 128.
    """
    zero_points = {"zero": np.uint8(0), "weight_zero": weights.dtype.type(128 * (weights.dtype == np.uint8))}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("MatMulInteger", ["bytes", "weights", *zero_points], ["sums"]),
        helper.make_node("Cast", ["sums"], ["products"], to=TensorProto.FLOAT),
    ]
    values = {"weights": weights, **zero_points}
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, len(weights)])],
        [helper.make_tensor_value_info("products", TensorProto.FLOAT, [1, weights.shape[1]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
