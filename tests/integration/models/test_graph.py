"""The networks: their sizes, their shapes, and the properties that the rest of the package relies on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from edgesqz import EdgesqzError, SqueezeNetModel, backend, build_model
from edgesqz.image_size import ImageSize
from edgesqz.models.architectures import fire, network_graph
from edgesqz.models.graph import LOGITS, NORMALIZE, Graph, MaxPool, Pixels

each_architecture = pytest.mark.parametrize("name", ["squeezenet", "squeezenet-nano"])


@pytest.fixture(scope="module", autouse=True)
def keras_on_tensorflow() -> None:
    backend.start_keras()


def noise(count: int, side: int) -> np.ndarray:
    """Return random images for a network."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.float32)


def predict(model: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(images, training=False))


@pytest.mark.parametrize(("name", "count"), [("squeezenet", 421_642), ("squeezenet-nano", 67_322)])
def test_a_network_for_ten_classes_has_as_many_parameters_as_promised(name: str, count: int) -> None:
    assert SqueezeNetModel(original_dim=32, resize_dim=32, output_size=10, name=name).build().count_params() == count


def test_the_network_without_a_name_is_the_full_squeezenet() -> None:
    model = SqueezeNetModel(original_dim=32, resize_dim=32, output_size=10).build()
    assert model.name == "squeezenet"
    assert model.count_params() == 421_642


def test_build_model_builds_every_network_and_squeezenet_model_only_squeezenets() -> None:
    digits = build_model("digits")
    assert (digits.input_shape, digits.output_shape) == ((None, 28, 28, 1), (None, 10))
    small = build_model("alexnet", classes=2, input_size="80x67", image_size=96)
    assert (small.input_shape, small.output_shape) == ((None, 96, 96, 3), (None, 2))
    with pytest.raises(
        EdgesqzError, match=r"digits is not a SqueezeNet; build it with edgesqz\.build_model\('digits'\)"
    ):
        SqueezeNetModel(name="digits").build()


def test_pooling_the_branches_equals_pooling_the_module() -> None:
    def network(early: bool) -> Any:
        graph = Graph("fire")
        x = graph.add(Pixels(name="pixels", size=ImageSize(8, 8), channels=3))
        x = fire(graph, x, "fire", 4, 6, norm=True, pool="pool" if early else None)
        if not early:
            graph.add(MaxPool(name="pool", size=2, stride=2), x)
        return graph.to_keras()

    early, late = network(True), network(False)
    early.set_weights(late.get_weights())
    assert early.output_shape == (None, 4, 4, 12)
    np.testing.assert_array_equal(predict(early, noise(2, 8)), predict(late, noise(2, 8)))


@each_architecture
def test_images_become_probabilities(name: str) -> None:
    model = build_model(name)
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 10)
    probabilities = predict(model, noise(4, 32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities.min() >= 0
    assert len(np.unique(probabilities.round(7), axis=0)) == 4  # each image has a distinct prediction


@each_architecture
def test_the_logits_are_the_scores_before_the_softmax(name: str) -> None:
    import keras

    model = SqueezeNetModel(output_size=7, name=name).build()
    scores = predict(keras.Model(model.input, model.get_layer(LOGITS).output), noise(2, 32))
    raised = np.exp(scores)
    np.testing.assert_allclose(predict(model, noise(2, 32)), raised / raised.sum(axis=1, keepdims=True), rtol=1e-4)


def test_normalization_comes_first_and_is_exact() -> None:
    import keras

    model = SqueezeNetModel(original_dim=48, name="squeezenet-nano").build()
    first = model.layers[1]  # after the input
    assert isinstance(first, keras.layers.Rescaling)
    assert (first.name, first.scale, first.offset) == (NORMALIZE, 1 / 64, -2)
    pixels = np.arange(256, dtype=np.float32)
    np.testing.assert_array_equal(np.asarray(first(pixels)), (pixels - 128) / 64)


def test_images_of_another_size_are_resized_inside() -> None:
    shrinking = SqueezeNetModel(original_dim=48, resize_dim=32, name="squeezenet-nano").build()
    plain = SqueezeNetModel(original_dim=32, resize_dim=32, name="squeezenet-nano").build()
    assert shrinking.input_shape == (None, 48, 48, 3)
    assert shrinking.get_layer("stem").output.shape[1:3] == (32, 32)
    plain.set_weights(shrinking.get_weights())
    colors = noise(5, 1)
    of_48, of_32 = (np.tile(colors, (1, side, side, 1)) for side in (48, 32))
    np.testing.assert_allclose(predict(shrinking, of_48), predict(plain, of_32), atol=1e-5)


def test_images_of_the_right_size_are_not_resized() -> None:
    import keras

    model = SqueezeNetModel(name="squeezenet-nano").build()
    assert not any(isinstance(layer, keras.layers.Resizing) for layer in model.layers)


@pytest.mark.parametrize(
    ("name", "bypassed"),
    [
        ("squeezenet", {"fire22", "fire23", "fire32", "fire33", "fire34"}),
        ("squeezenet-nano", {"fire12", "fire22", "fire23"}),
    ],
)
def test_every_fire_module_but_the_first_of_a_stage_has_a_bypass(name: str, bypassed: set[str]) -> None:
    import keras

    model = build_model(name)
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert {add.name.removesuffix("_add") for add in adds} == bypassed


@pytest.mark.parametrize(("name", "last"), [("squeezenet", "fire34"), ("squeezenet-nano", "fire23")])
def test_a_bypassed_fire_module_that_adds_nothing_returns_its_input(name: str, last: str) -> None:
    import keras

    model = build_model(name)
    before = model.get_layer(f"{last[:-1]}1_concat").output
    ends = keras.Model(model.input, [before, model.get_layer(f"{last}_add_relu").output])
    for layer in model.layers:
        if re.fullmatch(rf"{last[:-1]}[2-9]_expand\d_norm", layer.name):
            layer.gamma.assign(np.zeros(layer.gamma.shape))
            layer.beta.assign(np.zeros(layer.beta.shape))
    handed_in, handed_on = (np.asarray(values) for values in ends(noise(2, 32), training=False))
    assert handed_in.any()
    np.testing.assert_array_equal(handed_on, handed_in)


def test_the_caller_chooses_the_batch_normalization() -> None:
    import keras

    given: list[Any] = []

    def recorded(name: str) -> Any:
        given.append(keras.layers.BatchNormalization(name=name))
        return given[-1]

    model = network_graph("squeezenet-nano").to_keras(recorded)
    of_model = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert given
    assert {id(layer) for layer in of_model} == {id(layer) for layer in given}


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EdgesqzError, match=r"'resnet'.* squeezenet, squeezenet-nano, .*alexnet"):
        SqueezeNetModel(name="resnet").build()


@each_architecture
def test_four_by_four_pixels_are_enough(name: str) -> None:
    model = SqueezeNetModel(original_dim=4, resize_dim=4, output_size=2, name=name).build()
    assert predict(model, noise(1, 4)).shape == (1, 2)


@each_architecture
@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"original_dim": 3, "resize_dim": 3}, "needs larger images.*; got images of 3x3, processed at 3x3"),
        ({"original_dim": 32, "resize_dim": 3}, "needs larger images.*; got images of 32x32, processed at 3x3"),
        ({"original_dim": 0, "resize_dim": 32}, "expected an image size .*, got 0"),
        ({"resize_dim": 40, "preprocessing": "course"}, "cannot crop images to a larger size"),
        ({"preprocessing": "none"}, "unknown preprocessing 'none'; choose from scale, course"),
        ({"output_size": 1}, "at least 2 classes, got 1"),
    ],
)
def test_impossible_networks_are_rejected(name: str, sizes: dict[str, Any], problem: str) -> None:
    with pytest.raises(EdgesqzError, match=problem):
        SqueezeNetModel(**sizes, name=name).build()
