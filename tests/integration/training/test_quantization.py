"""Quantization-aware training: weights on the grid of the exported file, exact resumption, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest

import edgesqz
from edgesqz import EdgesqzError, backend
from edgesqz.image_size import ImageSize
from edgesqz.models import loading
from edgesqz.models.architectures import network_graph
from edgesqz.models.graph import Dense, Graph, Pixels
from edgesqz.quantization import quantize_kernel
from edgesqz.training import fine_tuning, forms
from edgesqz.training.recipe import Recipe
from edgesqz.training.result import TrainResult
from edgesqz.workspace import Workspace
from tests import small

LABELS = ("blue", "green", "red")
INNER = ("fire11_squeeze", "fire11_expand1", "fire11_expand3", "fire21_squeeze", "fire21_expand1", "fire21_expand3")


@pytest.fixture(scope="module", autouse=True)
def keras_on_tensorflow() -> None:
    backend.start_keras()


@pytest.fixture(scope="module")
def tuned(trained: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return fine_tune(trained / "colors.keras", images, tmp_path_factory.mktemp("tuned"))


def fine_tune(init: Path, images: Path, workspace: Path, **options: Any) -> TrainResult:
    chosen: dict[str, Any] = {"epochs": 1, "batch_size": 32, "learning_rate": 0.01, "name": "tuned"} | options
    return edgesqz.train(dataset=images, init=init, quantize_aware="int4", workspace=workspace, **chosen)


def test_before_the_first_step_the_network_computes_with_quantized_weights(trained: Path) -> None:
    graph = network_graph(small.NETWORK, classes=3)
    recipe = Recipe(small.NETWORK, quantize_aware="int4")
    source = loading.find(trained / "colors.keras", Workspace(trained))
    weights = fine_tuning.initial_weights(graph, recipe, source, LABELS)
    network = forms.trained_form(graph, recipe).to_keras()
    network.set_weights(weights)
    finished = forms.finished(graph, recipe, weights)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)
    float_, quantized, stored = (each.predict(images, verbose=0) for each in (source.model, network, finished))
    np.testing.assert_allclose(stored, quantized, atol=1e-5)
    assert 1e-4 < np.abs(quantized - float_).max() < 0.5


def test_the_finished_network_has_standard_layers_with_weights_on_the_grid(tuned: TrainResult) -> None:
    model = loading.find(tuned.path, Workspace(tuned.path.parent)).model
    assert [type(each).__module__.split(".")[0] for each in model.layers] == ["keras"] * len(model.layers)
    for name in INNER:
        kernel, _ = model.get_layer(name).get_weights()  # the bias takes the place of batch normalization
        integers, scales = quantize_kernel(kernel)
        np.testing.assert_array_equal(integers * scales, kernel)
        assert len(np.unique(integers)) <= 15
    stem, classifier = (model.get_layer(name).get_weights()[0] for name in ("stem", "classifier"))
    assert all(len(np.unique(each[..., 0])) > 15 for each in (stem, classifier))
    assert tuned.manifest.training
    assert tuned.manifest.training["recipe"]["quantize_aware"] == "int4"


def test_training_can_continue_from_it_with_and_without_quantization(
    tuned: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = network_graph(small.NETWORK, classes=3)
    source = loading.find(tuned.path, Workspace(tuned.path.parent))
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)
    expected = source.model.predict(images, verbose=0)
    for quantize_aware in (None, "int4"):
        recipe = Recipe(small.NETWORK, quantize_aware=quantize_aware)
        network = forms.trained_form(graph, recipe).to_keras()
        with monkeypatch.context() as patch:
            patch.setattr(Graph, "to_keras", built := create_autospec(Graph.to_keras, side_effect=Graph.to_keras))
            weights = fine_tuning.initial_weights(graph, recipe, source, LABELS)
        built.assert_called_once()  # building a network takes a second
        network.set_weights(weights)
        np.testing.assert_allclose(network.predict(images, verbose=0), expected, atol=1e-4)


def test_without_a_trained_network_it_is_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="quantize_aware starts from a trained network; set init"):
        edgesqz.train(small.NETWORK, images, quantize_aware="int4", workspace=tmp_path)


def test_an_unknown_variant_is_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="quantize_aware must be int4, got 'int2'"):
        edgesqz.train(small.NETWORK, images, init="squeezenet", quantize_aware="int2", workspace=tmp_path)


def test_a_network_without_inner_convolutions_is_refused() -> None:
    graph = Graph("flat")
    pixels = graph.add(Pixels(name="pixels", size=ImageSize(8, 8), channels=3))
    graph.add(Dense(name="logits", units=2, relu=False), graph.add(Dense(name="hidden", units=4), pixels))
    with pytest.raises(EdgesqzError, match="quantize_aware expects a network with convolutions .*; flat has none"):
        forms.trained_form(graph, Recipe(small.NETWORK, quantize_aware="int4"))
