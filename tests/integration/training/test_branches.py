"""Branches during training, folded in the finished network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgesqz
from edgesqz import EdgesqzError, backend
from edgesqz.models import loading
from edgesqz.models.architectures import network_graph
from edgesqz.training.branches import branched, finished
from edgesqz.workspace import Workspace
from tests import small


@pytest.fixture(scope="module", autouse=True)
def keras_on_tensorflow() -> None:
    backend.start_keras()


def test_the_folded_network_computes_the_same() -> None:
    graph, rng = network_graph(small.NETWORK), np.random.default_rng(0)
    trained = branched(graph).to_keras()
    weights = [each + rng.uniform(0.1, 0.5, each.shape).astype(np.float32) for each in trained.get_weights()]
    trained.set_weights(weights)
    model = finished(graph, weights)
    images = rng.integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    expected, found = (each.predict(images, verbose=0) for each in (trained, model))
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert [layer.name for layer in model.layers] == [layer.name for layer in graph.to_keras().layers]


def test_a_run_with_branches_writes_a_network_without_them(images: Path, tmp_path: Path) -> None:
    result = edgesqz.train(small.NETWORK, images, branches=True, epochs=1, batch_size=32, workspace=tmp_path)
    model = loading.find(result.path, Workspace(tmp_path)).model
    standard = network_graph(small.NETWORK, classes=3).to_keras()
    assert [layer.name for layer in model.layers] == [layer.name for layer in standard.layers]
    assert result.validation_accuracy is not None


def test_branches_and_trained_weights_are_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="branches start from random weights; remove init"):
        edgesqz.train(small.NETWORK, images, branches=True, init="squeezenet", workspace=tmp_path)
