"""Keras models from users: each is exported, or rejected with one clear line."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import edgesqz
from edgesqz import backend, data, plugins
from edgesqz.artifact import PixelRange
from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.image_size import ImageSize
from edgesqz.models import keras_config
from edgesqz.models.normalization import without_normalization
from edgesqz.predicting import predict

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def keras() -> Any:
    """Keras, on TensorFlow."""
    backend.start_keras()
    import keras

    return keras


def head(keras: Any, features: Any, classes: int = 3) -> Any:
    """Add a small convolution and a classifier."""
    features = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(features)
    return keras.layers.Dense(classes, activation="softmax")(keras.layers.GlobalAveragePooling2D()(features))


def sequential(keras: Any, *front: Any) -> Any:
    layers = keras.layers
    tail = [layers.Conv2D(4, 3, strides=2), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.Input(SHAPE), *front, *tail])


def augmented(keras: Any) -> Any:
    layers = keras.layers
    nested = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    return sequential(keras, nested, layers.RandomZoom(0.1), layers.Rescaling(1 / 127.5, offset=-1))


def two_branches(keras: Any) -> Any:
    images = keras.Input(SHAPE)
    brightest = keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(images))
    rescaled = head(keras, keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.Softmax()(keras.layers.Add()([rescaled, brightest])))


def branches_behind_the_rescaling(keras: Any) -> Any:
    images = keras.Input(SHAPE)
    rescaled = keras.layers.Rescaling(1 / 255)(images)
    both = [keras.layers.Conv2D(4, size, padding="same")(rescaled) for size in (1, 3)]
    return keras.Model(images, head(keras, keras.layers.Concatenate()(both)))


def divided(keras: Any) -> Any:
    images = keras.Input(SHAPE)
    return keras.Model(images, head(keras, images / 255.0))


def per_channel(keras: Any) -> Any:
    return sequential(keras, keras.layers.Rescaling([1 / 58, 1 / 57, 1 / 56], offset=[-2.1, -2, -1.8]))


def within_a_model(keras: Any) -> Any:
    images = keras.Input(SHAPE)
    inner = keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images)))
    layers = keras.layers
    return keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), inner, layers.Dense(3)])


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (augmented, "-1..1"),
        (lambda keras: sequential(keras, keras.layers.Rescaling(1 / 255)), "0..1"),
        (lambda keras: sequential(keras, keras.layers.Normalization(mean=127.5, variance=127.5**2)), "-1..1"),
        (divided, "0..1"),
        (within_a_model, "0..1"),
        (branches_behind_the_rescaling, "0..1"),
        (two_branches, "0..255"),
        (per_channel, "0..255"),
        (sequential, "0..255"),
    ],
)
def test_per_pixel_normalization_is_split_off(build: Callable[[Any], Any], expected: str, keras: Any) -> None:
    model = build(keras)
    model = keras.Model(model.inputs[0], model.outputs[0])
    network, pixels = without_normalization(model, PixelRange())
    assert str(pixels) == expected
    images = data.draw(4, 32, seed=0).images
    found, wanted = network(pixels.values(images)), model(images.astype(np.float32), training=False)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_split_starts_from_the_pixels_that_the_model_expects(keras: Any) -> None:
    model = sequential(keras, keras.layers.Rescaling(2, offset=-1))
    _, pixels = without_normalization(keras.Model(model.inputs, model.outputs), PixelRange.parse("0..1"))
    assert str(pixels) == "-1..1"


@pytest.mark.parametrize("build", [augmented, two_branches, per_channel, within_a_model])
def test_int8_takes_each_pixel_as_a_byte(build: Callable[[Any], Any], keras: Any, images: Path) -> None:
    keras.utils.set_random_seed(1)
    build(keras).save("mine.keras")
    options: dict[str, Any] = {"dataset": str(images), "pixel_range": "0..255", "workspace": Path("ws")}
    (artifact,) = edgesqz.export("mine.keras", quantize=True, **options)
    manifest = artifact.manifest
    assert manifest and manifest.input.scale and manifest.input.zero_point is not None
    stored = np.round(manifest.pixels.values(np.arange(256)) / manifest.input.scale) + manifest.input.zero_point
    assert stored.tolist() == list(range(-128, 128))


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_exports_do_not_augment(format: str, keras: Any) -> None:
    augmented(keras).save("mine.keras")
    (artifact,) = edgesqz.export("mine.keras", format, workspace=Path("ws"))
    assert artifact.manifest and artifact.manifest.verification and artifact.manifest.verification.agreement == 1


# Pixel ranges


@pytest.fixture(scope="module")
def from_0_to_1(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that classifies ``images`` if pixels become 0..1, and otherwise sees only white."""
    colors = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.ReLU(max_value=1), keras.layers.GlobalMaxPooling2D(), colors]
    )
    colors.set_weights([20 * np.eye(3)[::-1], np.zeros(3)])  # blue, green, red
    path = tmp_path_factory.mktemp("mine") / "mine.keras"
    model.save(path)
    return path


def test_the_pixel_range_of_the_source_model_is_that_of_its_exports(
    from_0_to_1: Path, images: Path, tmp_path: Path
) -> None:
    artifacts = edgesqz.export(
        from_0_to_1,
        ["tflite", "onnx"],
        variant=["fp32", "int8"],
        dataset=str(images),
        pixel_range="0..1",
        workspace=tmp_path,
    )
    test = data.load(str(images)).test()
    for artifact in artifacts:
        manifest = artifact.manifest
        assert manifest and manifest.verification
        assert str(manifest.pixels) == "0..1"
        assert manifest.labels == ("blue", "green", "red")
        assert manifest.verification.source_accuracy == 1
        assert (
            manifest.verification.mean_error is not None
            and manifest.verification.mean_error <= manifest.verification.max_error < 0.05
        )
        with edgesqz.load(artifact.path) as engine:
            assert (engine.predict(test.images).argmax(axis=1) == test.labels).all()
    int8 = artifacts.artifacts[1].manifest
    assert int8 and int8.input.scale == pytest.approx(1 / 255) and int8.input.zero_point == -128


def test_a_source_model_that_guesses_gets_a_hint_about_the_pixel_range(
    from_0_to_1: Path, images: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"dataset": str(images), "workspace": tmp_path}
    message = r"no better than guessing on 27 training images of .* \(33.3%\)"
    with pytest.raises(EdgesqzError, match=message + "; try pixel_range 0..1, which gives an accuracy of 100.0%"):
        edgesqz.export(from_0_to_1, **options)
    assert not list(tmp_path.glob("*.tflite"))
    shown = io.StringIO()
    (artifact,) = Export(from_0_to_1, pixel_range="0..255", **options).run(Console(file=shown, width=1000))
    assert "warning: " in shown.getvalue() and "no better than guessing" in shown.getvalue()
    assert artifact.manifest and artifact.manifest.verification
    assert artifact.manifest.verification.source_accuracy == pytest.approx(1 / 3)


def test_a_model_with_other_classes_than_the_dataset_gets_a_warning(keras: Any, images: Path, tmp_path: Path) -> None:
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, activation="softmax")]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    model.set_weights([0.1 * np.eye(3, 4), np.zeros(4)])
    model.save(tmp_path / "four.keras")
    shown = io.StringIO()
    options: dict[str, Any] = {"dataset": str(images), "pixel_range": "0..255", "workspace": tmp_path}
    Export(tmp_path / "four.keras", "onnx", **options).run(Console(file=shown, width=1000))
    assert f"four.keras are not the 3 classes of {images}" in shown.getvalue()


def test_labels_name_the_classes_of_a_model_from_another_tool(from_0_to_1: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("sky\ngreen grass\r\n  fire \n", "utf-8")
    options: dict[str, Any] = {"pixel_range": "0..1", "workspace": tmp_path}
    (artifact,) = edgesqz.export(from_0_to_1, labels=tmp_path / "labels.txt", **options)
    assert artifact.manifest and artifact.manifest.labels == ("sky", "green grass", "fire")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    (prediction,) = predict(artifact.path, [tmp_path / "red.png"]).images
    assert prediction.guesses[0].label == "fire"


def test_labels_in_another_order_than_the_datasets_give_no_accuracy(
    from_0_to_1: Path, images: Path, tmp_path: Path
) -> None:
    (artifact,) = edgesqz.export(
        from_0_to_1, labels=["red", "green", "blue"], dataset=str(images), pixel_range="0..1", workspace=tmp_path
    )
    assert artifact.manifest and artifact.manifest.labels == ("red", "green", "blue")
    assert artifact.manifest.verification and artifact.manifest.verification.source_accuracy is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n", "expected 3 labels, one for each class of .*mine.keras; got 2"),
        (b"a\n\nc\n", "line 2 is blank"),
        (b"a\nb\na\n", "lines 1 and 3 are 'a'"),
        (b"", "found none"),
        (b"a\n\xff\nc\n", "labels as UTF-8 text"),
        (None, "names.txt"),
    ],
)
def test_labels_that_do_not_match_the_model_are_rejected(
    content: bytes | None, message: str, from_0_to_1: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(EdgesqzError, match=message) as error:
        edgesqz.export(from_0_to_1, labels=tmp_path / "names.txt", workspace=tmp_path)
    assert "\n" not in str(error.value) and not list(tmp_path.glob("*.tflite"))


def test_labels_that_contradict_the_manifest_are_rejected(trained: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"names its classes blue, green, red; remove labels"):
        edgesqz.export("colors", labels=["red", "green", "blue"], workspace=trained)


def test_a_pixel_range_that_contradicts_the_manifest_is_rejected(trained: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"expects pixels 0\.\.255; remove pixel_range 0\.\.1"):
        edgesqz.export("colors", pixel_range="0..1", workspace=trained)
    with pytest.raises(EdgesqzError, match=r"untrained, expects pixels 0\.\.255"):
        edgesqz.export("squeezenet-nano", untrained=True, pixel_range="0..1", workspace=trained)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("0..1", 0, 1), ("0..255", 0, 255), ("-1..1", -128 / 127.5, 127 / 127.5), ("1..2", 1, 2)],
)
def test_an_aligned_pixel_range_has_a_pixel_that_is_0(text: str, low: float, high: float) -> None:
    ends = PixelRange.parse(text).aligned().values(np.array([0, 255]))
    assert ends.tolist() == pytest.approx([low, high])


# Sizes, precisions and operators


def test_a_model_for_any_image_size_uses_the_given_size(keras: Any) -> None:
    images = keras.Input((None, None, 3))
    keras.Model(images, head(keras, images)).save("any.keras")
    with pytest.raises(EdgesqzError, match=r"takes images of any size; specify one with input_size"):
        edgesqz.export("any.keras", workspace=Path("ws"))
    for artifact in edgesqz.export("any.keras", ["tflite", "onnx"], input_size="24x16", workspace=Path("ws")):
        assert artifact.manifest and artifact.manifest.input.image_format[0] == ImageSize(height=16, width=24)
    sequential(keras).save("fixed.keras")
    with pytest.raises(EdgesqzError, match="takes images of 32x32; remove input_size 24x24"):
        edgesqz.export("fixed.keras", input_size=24, workspace=Path("ws"))


@pytest.mark.parametrize("policy", ["float16", "mixed_bfloat16"])
def test_half_floats_are_exported_as_a_float32_copy(policy: str, keras: Any) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        within_a_model(keras).save("half.keras")
    finally:
        keras.config.set_dtype_policy(before)
    artifacts = [
        *edgesqz.export("half.keras", "tflite", workspace=Path("ws")),
        *edgesqz.export("half.keras", "onnx", variant="dynamic", workspace=Path("ws")),
    ]
    assert [artifact.manifest and artifact.manifest.input.dtype for artifact in artifacts] == ["float32", "float32"]


def test_a_network_without_convolutions_is_quantized_in_onnx(keras: Any) -> None:
    layers = keras.layers
    hidden = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(64, activation="relu")]
    model = keras.Sequential([keras.Input((16, 16, 3)), *hidden, layers.Dense(10, activation="softmax")])
    images = data.draw(8, 16, seed=0).images.astype(np.float32)
    with backend.hush():
        network = keras.Model(model.inputs[0], model.outputs[0])
        content = plugins.converter("onnx").convert(network, "int8", [images[:, None]])
    assert model.count_params() < len(content) < 1.5 * model.count_params()  # bytes; float32 has 4 for each


def test_a_transformer_with_gelu_is_exported(keras: Any, images: Path) -> None:
    layers = keras.layers
    pixels = keras.Input(SHAPE)
    tokens = layers.Reshape((-1, 8))(layers.Conv2D(8, 8, strides=8)(layers.Rescaling(1 / 255)(pixels)))
    tokens = layers.Add()([tokens, layers.MultiHeadAttention(2, 4)(tokens, tokens)])
    tokens = layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(tokens)))
    classes = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(tokens))
    keras.Model(pixels, classes).save("transformer.keras")
    options: dict[str, Any] = {"dataset": str(images), "pixel_range": "0..255", "workspace": Path("ws")}
    for artifact in edgesqz.export("transformer.keras", ["tflite", "onnx"], **options):
        assert artifact.manifest and artifact.manifest.verification and artifact.manifest.verification.agreement == 1


def test_images_of_bytes_and_batches_of_a_fixed_size_are_exported(keras: Any) -> None:
    images = keras.Input(batch_shape=(8, *SHAPE), dtype="uint8")
    keras.Model(images, head(keras, keras.layers.Rescaling(1 / 255)(images))).save("bytes.keras")
    (artifact,) = edgesqz.export("bytes.keras", workspace=Path("ws"))
    assert artifact.manifest and artifact.manifest.input.shape == (1, *SHAPE)


# Outputs


@pytest.mark.usefixtures("tensorflow_in_process")
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_is_measured_against_two_classes(activation: str | None, keras: Any, images: Path) -> None:
    layers = keras.layers
    two = Path("two")
    for split in ("train", "test"):
        for name in ("blue", "red"):
            shutil.copytree(images / split / name, two / split / name)
    red_less_blue = layers.Dense(1, activation=activation)
    model = keras.Sequential([keras.Input(SHAPE), layers.GlobalAveragePooling2D(), red_less_blue])
    red_less_blue.set_weights([np.array([[0.05], [0], [-0.05]]), np.zeros(1)])
    model.save("mine.keras")
    (fp32,) = edgesqz.export("mine.keras", workspace=Path())
    report = edgesqz.bench([fp32.path], dataset=str(two), rounds=1)
    evaluations = [row.evaluation for row in report.measured]
    found = [(each.accuracy, each.confusion, each.top5) for each in evaluations if each]
    assert found == [(1, ((10, 0), (0, 10)), None)] * 2
    comparison = report.measured[1].comparison
    assert comparison and (comparison.agreement, comparison.mcnemar_p) == (1, 1)
    (prediction,) = predict(fp32.path, [next((two / "test" / "red").iterdir())]).images
    assert [guess.label for guess in prediction.guesses] == ["class 1", "class 0"]


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_source_model_without_a_manifest_is_measured_with_the_pixel_range_of_its_export(
    from_0_to_1: Path, images: Path, tmp_path: Path
) -> None:
    mine = Path(shutil.copy(from_0_to_1, tmp_path))
    options: dict[str, Any] = {"dataset": str(images), "workspace": tmp_path}
    (int8,) = edgesqz.export(mine, quantize=True, pixel_range="0..1", **options)
    report = edgesqz.bench([int8.path], rounds=1, **options)
    assert [(Path(row.artifact).suffix, row.accuracy) for row in report.measured] == [(".keras", 1), (".tflite", 1)]
    edgesqz.export(mine, pixel_range="0..255", **options)
    source_model = edgesqz.bench(rounds=1, **options).failed[0]
    assert "its exports expect different pixel ranges, 0..255 and 0..1; set" in source_model.error


# Rejected models


def two_inputs(keras: Any) -> Any:
    images = [keras.Input(SHAPE), keras.Input(SHAPE)]
    return keras.Model(images, head(keras, keras.layers.Add()(images)))


def two_outputs(keras: Any) -> Any:
    images = keras.Input(SHAPE)
    return keras.Model(images, [head(keras, images), head(keras, images)])


def channels_first(keras: Any) -> Any:
    return keras.Sequential([keras.Input((3, 32, 32)), keras.layers.Flatten(), keras.layers.Dense(2)])


def mask(keras: Any) -> Any:
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 1)])


def with_a_lambda(keras: Any) -> Any:
    return sequential(keras, keras.layers.Lambda(lambda images: images / 255))


def with_a_class(keras: Any) -> Any:
    class Halved(keras.layers.Layer):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            return images / 2

    return sequential(keras, Halved())


def quantized(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(3, dtype="int8_from_float32")])


REFUSED = [
    (
        channels_first,
        r"its input \(None, 3, 32, 32\) has channels first; rebuild it with data_format='channels_last",
    ),
    (with_a_lambda, "its Lambda layer is Python code; replace it with Keras's own layers"),
    (with_a_class, "its class 'Halved' is not Keras's own; rebuild the model"),
    (quantized, "the model was quantized by Keras; export the float model"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_a_model_that_cannot_be_exported_is_rejected_with_advice(
    build: Callable[[Any], Any], message: str, keras: Any
) -> None:
    build(keras).save("bad.keras")
    with pytest.raises(EdgesqzError, match=rf"bad\.keras.*{message}"):
        edgesqz.export("bad.keras", workspace=Path("ws"))
    assert not list(Path().rglob("*.tflite"))


@pytest.mark.usefixtures("tensorflow_in_process")
@pytest.mark.parametrize("build", [two_inputs, two_outputs, mask])
def test_a_model_that_is_not_an_image_classifier_is_verified_by_its_outputs(
    build: Callable[[Any], Any], keras: Any
) -> None:
    build(keras).save("other.keras")
    (artifact,) = edgesqz.export("other.keras", workspace=Path("ws"))
    assert artifact.manifest and artifact.manifest.verification
    assert min(artifact.manifest.verification.sqnr_db or ()) > 100
    assert not artifact.manifest.is_classifier
    assert not edgesqz.bench(["other.keras", artifact.path], rounds=1).failed


@pytest.mark.parametrize(("format", "formats_name"), [("tflite", "TensorFlow Lite"), ("onnx", "ONNX")])
def test_an_operator_that_a_format_lacks_is_named_in_one_line(format: str, formats_name: str, keras: Any) -> None:
    images = keras.Input(SHAPE)
    keras.Model(images, keras.ops.erfinv(keras.layers.GlobalAveragePooling2D()(images))).save("bad.keras")
    with pytest.raises(EdgesqzError) as error:
        edgesqz.export("bad.keras", format, workspace=Path("ws"))
    cannot = f"{format} fp32: the converter cannot convert bad.keras"
    assert str(error.value) == f"{cannot}: {formats_name} has no operator for Erfinv"


@pytest.mark.parametrize("build", [channels_first, with_a_lambda, with_a_class])
def test_models_with_unsupported_configurations_are_rejected_before_keras_is_loaded(
    build: Callable[[Any], Any], keras: Any, tmp_path: Path
) -> None:
    build(keras).save("bad.keras")
    program = """
import sys
import edgesqz
try:
    edgesqz.export("bad.keras")
except edgesqz.EdgesqzError:
    sys.exit("keras" in sys.modules or "tensorflow" in sys.modules)
sys.exit(2)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == 0


def test_built_in_layers_are_not_mistaken_for_custom_ones(keras: Any) -> None:
    for build in (augmented, two_branches, divided, within_a_model):
        build(keras).save("good.keras")
        config = keras_config.read(Path("good.keras"))
        assert config and keras_config.foreign_code(config) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"config": 3}', '{"config": {"layers": [{}]}}'])
def test_a_damaged_configuration_is_left_to_keras(content: str) -> None:
    with zipfile.ZipFile("damaged.keras", "w") as archive:
        archive.writestr("config.json", content)
    config = keras_config.read(Path("damaged.keras"))
    keras_config.check_form(Path("damaged.keras"), config)
    assert keras_config.foreign_code(config) is None


def test_the_configuration_of_functions_and_other_packages() -> None:
    function = {"module": "builtins", "class_name": "function", "config": "swish2", "registered_name": "function"}
    config = json.loads(json.dumps({"class_name": "Functional", "module": "keras", "config": {"layers": [function]}}))
    assert "its function 'swish2' is not Keras's own" in str(keras_config.foreign_code(config))
    hub = {"module": "keras_hub.src", "class_name": "Backbone", "registered_name": "keras_hub>Backbone", "config": {}}
    assert "its class 'Backbone' is not Keras's own" in str(keras_config.foreign_code(hub))
    assert keras_config.foreign_code({**config, "config": {}, "compile_config": function}) is None
