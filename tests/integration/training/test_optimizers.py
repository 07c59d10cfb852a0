"""Muon, and the moving average of the weights."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz import backend, data
from edgesqz.models.architectures import network_graph
from edgesqz.training.learner import LocalLearner
from edgesqz.training.recipe import Recipe
from tests import small

BATCH = 16


@pytest.fixture(scope="module", autouse=True)
def keras_on_tensorflow() -> None:
    backend.start_keras()


@pytest.fixture(scope="module")
def images() -> data.Split:
    rng = np.random.default_rng(0)
    return data.Split(rng.integers(0, 256, (64, 32, 32, 3), np.uint8), rng.integers(0, 10, 64))


def learner(images: data.Split, **recipe: object) -> LocalLearner:
    return LocalLearner(network_graph(small.NETWORK), images, Recipe(small.NETWORK, **recipe))  # type: ignore[arg-type]


def train(learner: LocalLearner, images: data.Split, step: int) -> None:
    indices = np.arange(BATCH) + step
    learner.step(indices, step, np.eye(10, dtype=np.float32)[images.labels[indices]], 0.1)


@pytest.mark.parametrize("shape", [(20, 8), (8, 20), (8, 8)])
def test_a_matrix_becomes_nearly_orthonormal(shape: tuple[int, int]) -> None:
    import tensorflow as tf

    from edgesqz.training.optimizers import orthogonalized

    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    found = orthogonalized(tf.constant(matrix)).numpy()
    assert np.linalg.svd(found, compute_uv=False) == pytest.approx(np.ones(8), abs=0.5)
    # The same rotation: nearly all of the matrix lies along the nearest orthonormal one.
    assert np.sum(found * (left @ right)) > 0.9 * np.linalg.norm(found) * 8**0.5


def test_muon_updates_only_kernels_before_batch_normalization(images: data.Split) -> None:
    trained = learner(images, optimizer="muon")
    from edgesqz.training.optimizers import MUON_MOMENTUM

    compared = learner(images, optimizer="sgd", momentum=MUON_MOMENTUM)
    for each in (trained, compared):
        train(each, images, 0)
    variables = trained.network.trainable_variables
    for variable, by_sgd in zip(variables, compared.network.trainable_variables, strict=True):
        is_same = np.allclose(variable.numpy(), by_sgd.numpy(), atol=1e-6)
        is_kernel = variable.name == "kernel" and not variable.path.startswith("classifier")
        assert is_same is not is_kernel, variable.path


def test_muon_keeps_the_norm_of_every_output_channel_near_one(images: data.Split) -> None:
    trained = learner(images, optimizer="muon")
    for step in range(3):
        train(trained, images, step)
    kernel = trained.network.get_layer("stem").kernel.numpy()
    channels = kernel.shape[-1]
    assert np.linalg.norm(kernel) == pytest.approx(channels**0.5, rel=0.2)


def test_the_average_of_the_weights_is_the_moving_average_of_all_steps(images: data.Split) -> None:
    averaged = learner(images, average=0.5)
    expected: list[np.ndarray] = []
    for step in range(4):
        train(averaged, images, step)
        now = [variable.numpy() for variable in averaged.network.trainable_variables]
        expected = [(a + b) / 2 for a, b in zip(expected, now, strict=True)] if expected else now
    averaged.use_average()
    for variable, value in zip(averaged.network.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=1e-5)


def test_estimated_statistics_are_those_of_the_batches_for_the_current_weights(images: data.Split) -> None:
    import keras

    trained = learner(images)
    train(trained, images, 0)
    before = [variable.numpy() for variable in trained.network.trainable_variables]
    batches = np.arange(2 * BATCH).reshape(2, BATCH)
    trained.estimate_statistics(batches, 0)

    norm = trained.network.get_layer("stem_norm")
    convolved = keras.Model(trained.network.input, norm.input)
    outputs = [convolved(trained.views.pixels(batch, 0)).numpy() for batch in batches]
    means, variances = ([of(each, axis=(0, 1, 2)) for each in outputs] for of in (np.mean, np.var))
    np.testing.assert_allclose(norm.moving_mean.numpy(), np.mean(means, axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(norm.moving_variance.numpy(), np.mean(variances, axis=0), rtol=1e-2)
    for variable, value in zip(trained.network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
