"""Files whose convolutions have int4 weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from rich.console import Console

import edgesqz
from edgesqz import backend, data
from edgesqz.artifact import Artifact
from edgesqz.converters import onnx as converters_onnx
from edgesqz.converters import tflite
from edgesqz.converters.layerwise import LayerwiseTflite
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.inspecting import inspect
from edgesqz.models import loading
from edgesqz.quantization import quantize_kernel
from edgesqz.workspace import Workspace
from tests.engine_environments import environment_or_skip

EDGES = ("stem", "classifier")


@pytest.fixture(scope="module")
def int4(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, str]:
    """The trained network with int4 weights, and what the export printed."""
    shown = io.StringIO()
    workspace = tmp_path_factory.mktemp("int4")
    plan = Export(trained / "colors.keras", variant="int4", calibration=20, workspace=workspace)
    (artifact,) = plan.run(Console(file=shown, width=200))
    return artifact, shown.getvalue()


def graph(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]


def kernels(content: bytes) -> list[tuple[np.ndarray, Any]]:
    """The kernel of each operator that has one, as integers or floats, and the tensor that describes it."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    found = []
    for operator in model.subgraphs[0].operators:
        tensor = model.subgraphs[0].tensors[operator.inputs[1]] if len(operator.inputs) == 3 else None
        if tensor is not None:
            found.append((_values(tensor, model.buffers[tensor.buffer].data), tensor))
    return found


def _values(tensor: Any, data: np.ndarray) -> np.ndarray:
    if tensor.type == schema.TensorType.INT4:  # two values in each byte, the first one in the low bits
        halves = np.stack([data << 4, data], axis=-1).astype(np.int8) >> 4
        return np.asarray(halves.reshape(-1)[: tensor.shape.prod()].reshape(tensor.shape))
    kind = np.float32 if tensor.type == schema.TensorType.FLOAT32 else np.int8
    return np.asarray(np.frombuffer(data, kind).reshape(tensor.shape))


def layerwise(*layers: Any) -> LayerwiseTflite:
    """A network of Keras layers behind an input of 8 by 8 pixels, converted and calibrated on random values."""
    import keras

    backend.start_keras()
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    values = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    with backend.hush():
        return tflite.layerwise(model, [values[:, None]])


def quantized(found: LayerwiseTflite, **bits: int) -> bytes:
    with backend.hush():
        return found.quantize(bits)


def test_inner_convolutions_have_int4_weights(int4: tuple[Artifact, str], exported: Path) -> None:
    artifact, shown = int4
    manifest = artifact.manifest
    assert manifest and manifest.weight_bits and manifest.verification
    assert (manifest.verification.agreement or 0) >= 0.9
    assert {name for name, bits in manifest.weight_bits.items() if bits == 8} == set(EDGES)
    types = [tensor.type for _, tensor in kernels(artifact.path.read_bytes())]
    assert types == [
        schema.TensorType.INT4 if bits == 4 else schema.TensorType.INT8 for bits in manifest.weight_bits.values()
    ]
    assert artifact.size_bytes < (exported / "colors.int8.tflite").stat().st_size
    assert "8-bit weights in the first and the last layer (stem, classifier)" in shown


def test_the_input_is_the_pixel_byte_as_for_int8(int4: tuple[Artifact, str]) -> None:
    artifact, _ = int4
    manifest = artifact.manifest
    assert manifest
    assert (manifest.input.dtype, manifest.input.scale, manifest.input.zero_point) == ("int8", 1 / 64, 0)
    assert (manifest.output.dtype, manifest.output.scale, manifest.output.zero_point) == ("int8", 1 / 256, -128)
    found = graph(artifact.path.read_bytes())
    assert list(found.operators[0].inputs)[0] == found.inputs[0]
    assert len(found.operators[0].inputs) == 3  # a convolution
    assert not [tensor.name for tensor in found.tensors if tensor.type == schema.TensorType.FLOAT32]


def test_the_oldest_runtime_of_the_float_file_is_not_copied(int4: tuple[Artifact, str]) -> None:
    assert "min_runtime_version" not in inspect(int4[0].path).metadata


def test_the_weights_are_those_of_the_grid_in_the_core(int4: tuple[Artifact, str], exported: Path) -> None:
    artifact, _ = int4
    folded = kernels((exported / "colors.fp32.tflite").read_bytes())
    for (values, tensor), (wanted, _) in zip(kernels(artifact.path.read_bytes()), folded, strict=True):
        bits = 4 if tensor.type == schema.TensorType.INT4 else 8
        integers, scales = quantize_kernel(wanted, bits, axis=0)
        np.testing.assert_array_equal(values, integers)
        np.testing.assert_array_equal(np.asarray(tensor.quantization.scale, np.float32), scales)


def test_tflite_micro_predicts_the_same(int4: tuple[Artifact, str], images: Path) -> None:
    environment_or_skip("tflite-micro")
    artifact, _ = int4
    assert artifact.manifest
    test_images, outputs = data.load(str(images)).test().images, []
    for runtime in ("litert", "tflite-micro"):
        with Engine(artifact.path.read_bytes(), runtime, pixels=artifact.manifest.pixels) as engine:
            outputs.append(engine.predict(test_images))
    assert engine.arena_bytes
    assert np.abs(outputs[0] - outputs[1]).max() < 0.2  # the two round differently


def test_weights_on_the_grid_are_exported_bit_for_bit() -> None:
    from keras import layers

    convolution = layers.Conv2D(16, 3, activation="relu", name="inner")
    stack = (layers.Conv2D(8, 3, name="stem"), convolution, layers.Conv2D(2, 1, name="last"))
    convolution.build((None, 6, 6, 8))
    integers, scales = quantize_kernel(convolution.get_weights()[0])
    convolution.set_weights([integers * scales, np.linspace(-1, 1, 16)])
    content = quantized(layerwise(*stack), stem=8, inner=4, last=8)
    values, tensor = kernels(content)[1]
    np.testing.assert_array_equal(np.moveaxis(values, 0, -1), integers)
    np.testing.assert_array_equal(np.asarray(tensor.quantization.scale, np.float32), scales)


def test_a_network_trained_for_int4_is_exported_bit_for_bit(trained: Path, images: Path, tmp_path: Path) -> None:
    tuned = edgesqz.train(
        dataset=images,
        init=trained / "colors.keras",
        quantize_aware="int4",
        epochs=1,
        learning_rate=0.01,
        workspace=tmp_path,
    )
    (artifact,) = edgesqz.export(tuned.path, variant="int4", calibration=20, workspace=tmp_path).artifacts
    assert artifact.manifest and artifact.manifest.weight_bits
    stored = dict(zip(artifact.manifest.weight_bits, kernels(artifact.path.read_bytes()), strict=True))
    model = loading.find(tuned.path, Workspace(tmp_path)).model
    inner = [name for name, bits in artifact.manifest.weight_bits.items() if bits == 4]
    assert len(inner) > 3
    for name in inner:
        values, tensor = stored[name]
        kernel = values * np.asarray(tensor.quantization.scale, np.float32)[:, None, None, None]
        np.testing.assert_array_equal(np.moveaxis(kernel, 0, -1), model.get_layer(name).get_weights()[0])


def test_layers_have_the_names_of_the_source_model() -> None:
    from keras import layers

    found = layerwise(
        layers.Conv2D(4, 3, name="conv"),
        layers.DepthwiseConv2D(3, name="conv_1"),
        layers.SeparableConv2D(4, 1, name="both"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="dense"),
        layers.Dense(2, name="dense_1"),
    )
    names = ["conv", "conv_1", "both", "both.2", "dense", "dense_1"]
    assert [layer.name for layer in found.layers] == names
    assert [layer.fewest_bits for layer in found.layers] == [4, 8, 8, 4, 8, 8]
    content = quantized(found, **{layer.name: layer.fewest_bits for layer in found.layers})
    types = [tensor.type == schema.TensorType.INT4 for _, tensor in kernels(content)]
    assert types == [True, False, False, True, False, False]


def test_a_layer_that_is_used_twice_has_one_kernel() -> None:
    from keras import layers

    twice = layers.Conv2D(3, 3, padding="same", name="twice")
    found = layerwise(twice, layers.ReLU(), twice, layers.Conv2D(2, 1, name="last"))
    assert [layer.name for layer in found.layers] == ["twice", "last"]
    content = quantized(found, twice=4, last=8)
    assert [values.shape for values, _ in kernels(content)] == [(3, 3, 3, 3), (3, 3, 3, 3), (2, 1, 1, 3)]


def test_an_operator_without_an_int8_form_is_refused() -> None:
    from keras import layers

    found = layerwise(layers.Conv2D(4, 3, name="stem"), layers.LeakyReLU(), layers.Conv2D(4, 3, name="last"))
    with pytest.raises(EdgesqzError, match="^LiteRT's quantizer has no int8 form of LEAKY_RELU"):
        quantized(found, stem=8, last=8)


def test_layers_can_be_kept_float_and_the_input_is_still_the_pixel_byte(trained: Path, tmp_path: Path) -> None:
    (artifact,) = edgesqz.export(
        trained / "colors.keras", variant="int8", keep_float=["stem", "*_squeeze"], calibration=20, workspace=tmp_path
    )
    assert artifact.manifest and artifact.manifest.weight_bits
    expected = [32 if name == "stem" or name.endswith("squeeze") else 8 for name in artifact.manifest.weight_bits]
    assert list(artifact.manifest.weight_bits.values()) == expected
    found = kernels(artifact.path.read_bytes())
    assert [32 if tensor.type == schema.TensorType.FLOAT32 else 8 for _, tensor in found] == expected
    assert artifact.manifest.input.scale == 1 / 64


def test_onnx_layers_can_be_kept_float(trained: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"keep_float": "classifier", "calibration": 20, "calibration_method": "percentile"}
    (artifact,) = edgesqz.export(trained / "colors.keras", "onnx", variant="int8", workspace=tmp_path, **options)
    assert artifact.manifest and artifact.manifest.calibration_method == "percentile"
    nodes = onnx.load(artifact.path).graph.node
    makers = {output: node.op_type for node in nodes for output in node.output}
    weights = [makers.get(node.input[1]) for node in nodes if node.op_type == "Conv"]
    assert weights[-1] is None
    assert set(weights[:-1]) == {"DequantizeLinear"}
    assert artifact.manifest and artifact.manifest.weight_bits
    assert [name for name, bits in artifact.manifest.weight_bits.items() if bits == 32] == ["classifier"]


def test_a_network_that_int4_weights_ruin_is_refused_with_advice(trained: Path, images: Path, tmp_path: Path) -> None:
    model = loading.find(trained / "colors.keras", Workspace(tmp_path)).model
    # If one weight is a hundred times as large as the others, the others are rounded to zero. It multiplies a channel
    # of zeros, because the batch normalization before it, followed by ReLU, only subtracts one.
    *_, squeeze, expand = (layer.name for layer in model.layers if layer.name.endswith(("_squeeze", "_expand3")))
    norm = model.get_layer(f"{squeeze}_norm")
    gamma, beta, *statistics = norm.get_weights()
    gamma[0], beta[0] = 0, -1
    norm.set_weights([gamma, beta, *statistics])
    first = expand.replace("3", "1")
    for layer in (model.get_layer(expand), model.get_layer(first)):
        (kernel,) = layer.get_weights()
        kernel[:, :, 0] = 100 * np.abs(kernel).max()
        layer.set_weights([kernel])
    model.save(tmp_path / "outliers.keras")
    options: dict[str, Any] = {"dataset": images, "calibration": 60, "workspace": tmp_path}
    origin = rf"the error starts at \S*{first}\S*, with an SQNR of \S+ dB"
    with pytest.raises(
        EdgesqzError, match=f"clearly below 95%; {origin}; fine-tune with train init outliers quantize_aware int4$"
    ):
        edgesqz.export(tmp_path / "outliers.keras", variant="int4", **options)
    assert not list(tmp_path.glob("*.tflite"))


@pytest.mark.parametrize(("limit", "bits"), [("max_size", {4, 8}), ("max_accuracy_drop", {4})])
def test_the_layers_of_a_mixed_file_are_chosen_for_its_limit(
    limit: str, bits: set[int], int4: tuple[Artifact, str], exported: Path, tmp_path: Path
) -> None:
    halfway = (int4[0].size_bytes + (exported / "colors.int8.tflite").stat().st_size) // 2
    limits: dict[str, Any] = {limit: {"max_size": halfway, "max_accuracy_drop": 100}[limit]}
    result = edgesqz.export(exported / "colors.keras", variant="mixed", calibration=20, workspace=tmp_path, **limits)
    (artifact,), (record,) = result, result.records
    assert artifact.manifest and artifact.manifest.weight_bits
    chosen = {layer["layer"]: layer["bits"] for layer in record["layers"]}
    assert set(chosen.values()) == bits
    assert artifact.manifest.weight_bits == {name: chosen.get(name, 8) for name in artifact.manifest.weight_bits}
    assert set(artifact.manifest.weight_bits) - set(chosen) == set(EDGES)
    assert limit != "max_size" or int4[0].size_bytes < artifact.size_bytes <= halfway


@pytest.mark.parametrize(("converter", "bits", "method"), [(converters_onnx, 8, "percentile"), (tflite, 4, "mse")])
def test_a_calibration_method_changes_the_file(converter: Any, bits: int, method: str) -> None:
    import keras
    from keras import layers

    backend.start_keras()
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, layers.Conv2D(2, 1, name="last")(layers.Conv2D(4, 3, name="stem")(pixels)))
    values = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    with backend.hush():
        default, other = (
            converter.layerwise(model, [values[:, None]], name).quantize({"stem": bits, "last": 8})
            for name in ("min-max", method)
        )
    assert default != other
