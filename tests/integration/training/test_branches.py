"""Branches during training, folded in the finished network."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz import backend
from edgesqz.models.architectures import network_graph
from edgesqz.training.branches import branched, finished
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
