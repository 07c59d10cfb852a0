"""The network during training: its weights, its optimizer, a step, and the evaluation on validation images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from edgesqz import backend
from edgesqz.data import Split
from edgesqz.image_size import ImageSize
from edgesqz.models.graph import Graph
from edgesqz.training import fine_tuning, forms
from edgesqz.training.recipe import Recipe

Average = Callable[[Any], Any]  # averages a list of gradients over all workers


class Learner(Protocol):
    """A network that is trained in this process or on workers."""

    def step(self, indices: np.ndarray, view: int, targets: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Update the weights.

        Args:
            indices: Positions of the batch's images in the training images, int (B,).
            view: Number of the view that augments them.
            targets: Target probabilities, float32 (B, classes).
            learning_rate: Learning rate of this step.

        Returns:
            The loss, and the number of correctly classified images.
        """

    def use_average(self) -> None:
        """Replace the weights with their moving average. The statistics of batch normalization then no longer match."""

    def estimate_statistics(self, batches: np.ndarray, view: int) -> None:
        """Estimate the statistics of batch normalization for the current weights.

        Args:
            batches: Batches to estimate them from, as positions in the training images, int (batches, B).
            view: Number of the view that augments them.
        """

    def count_correct(self, split: Split) -> float:
        """Return the number of correctly classified images, or NaN if a prediction is NaN or infinity."""

    def weights(self) -> list[np.ndarray]:
        """Return the weights, in the order of the Keras model."""

    def optimizer_state(self) -> list[np.ndarray]:
        """Return the state of the optimizer."""

    def restore(self, weights: Sequence[np.ndarray], optimizer_state: Sequence[np.ndarray]) -> None:
        """Replace the weights, and the state of the optimizer unless that is empty."""


class LocalLearner:
    """A network that is trained in this process.

    Args:
        graph: The network, for images at the size of the training crops.
        images: The images to train on.
        recipe: The recipe.
        average: Function that averages gradients over all workers, or None if there are no others.
    """

    def __init__(self, graph: Graph, images: Split, recipe: Recipe, average: Average | None = None) -> None:
        backend.start_keras()
        from keras import utils

        from edgesqz.training import step

        utils.set_random_seed(recipe.seed)
        self.network = forms.trained_form(graph, recipe).to_keras(step.FusedBatchNormalization)
        fine_tuning.freeze(self.network, fine_tuning.frozen_modules(graph, recipe.freeze))
        self.views = step.Views(images, ImageSize(*self.network.input_shape[1:3]), recipe)
        arguments = (self.network, self.views, recipe)
        self.optimizer, self._take_step = step.training_step(*arguments, *([average] if average else []))
        self._estimate_statistics = step.statistics_estimation(*arguments)
        self._count_correct = step.evaluation(self.network)

    def step(self, indices: np.ndarray, view: int, targets: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Update the weights. See ``Learner.step``."""
        self.optimizer.learning_rate = learning_rate
        loss, correct = self._take_step(indices, view, targets)
        return float(loss), int(correct)

    def use_average(self) -> None:
        """Replace the weights with their moving average. See ``Learner.use_average``."""
        self.optimizer.finalize_variable_values(self.network.trainable_variables)

    def estimate_statistics(self, batches: np.ndarray, view: int) -> None:
        """Estimate the statistics of batch normalization. See ``Learner.estimate_statistics``."""
        self._estimate_statistics(batches, view)

    def count_correct(self, split: Split) -> float:
        """Return the number of correctly classified images, or NaN if a prediction is NaN or infinity."""
        return self._count_correct(split)

    def weights(self) -> list[np.ndarray]:
        """Return the weights, in the order of the Keras model."""
        found: list[np.ndarray] = self.network.get_weights()
        return found

    def optimizer_state(self) -> list[np.ndarray]:
        """Return the state of the optimizer."""
        return [variable.numpy() for variable in self.optimizer.variables]

    def restore(self, weights: Sequence[np.ndarray], optimizer_state: Sequence[np.ndarray]) -> None:
        """Replace the weights, and the state of the optimizer unless that is empty."""
        self.network.set_weights(weights)
        if optimizer_state:
            for variable, value in zip(self.optimizer.variables, optimizer_state, strict=True):
                variable.assign(value)
