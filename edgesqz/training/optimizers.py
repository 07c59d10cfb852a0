"""The optimizers: stochastic gradient descent, and Muon for convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from edgesqz.training.recipe import Recipe

MUON_MOMENTUM = 0.6  # with 0.9, squeezenet-nano reached 78.3 instead of 83.1 % after six epochs on CIFAR-10
NEWTON_SCHULZ_STEPS = 3
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the quintic iteration by Jordan et al., "Muon", 2024


def build_optimizer(recipe: Recipe, variables: Sequence[keras.Variable]) -> keras.optimizers.Optimizer:
    """Build the optimizer of a recipe for the variables that it updates."""
    momentum = MUON_MOMENTUM if recipe.optimizer == "muon" else recipe.momentum
    averaging = {"use_ema": recipe.average > 0, "ema_momentum": recipe.average or 0.99}
    kind = Muon if recipe.optimizer == "muon" else keras.optimizers.SGD
    optimizer = kind(recipe.learning_rate, momentum=momentum, nesterov=True, **averaging)
    optimizer.build(variables)
    return optimizer


class Muon(keras.optimizers.SGD):
    """Muon for the kernels of convolutions that batch normalization follows, and SGD for all other variables.

    The momentum of a kernel, flattened to a matrix (height * width * in, out), is replaced by the nearest matrix with
    orthonormal columns or rows. Because batch normalization cancels the scale of these kernels, each update first
    restores their initial scale, at which every output channel has norm 1; L2 penalties have no effect on them.

    ``keras.optimizers.Muon`` updates convolution kernels with AdamW, because they are not matrices. Source: Jordan et
    al., "Muon: An optimizer for hidden layers in neural networks", 2024, and its use in airbench94_muon.
    """

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the state, and note which variables are kernels without a bias."""
        super().build(variables)
        paths = {variable.path for variable in variables}
        self._is_orthogonalized = [
            len(variable.shape) == 4 and variable.path.replace("kernel", "bias") not in paths for variable in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        index = self._get_variable_index(variable)
        if not self._is_orthogonalized[index]:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self.momentums[index]
        momentum.assign(self.momentum * momentum + gradient)
        direction = gradient + self.momentum * momentum
        matrix = tf.reshape(direction, (-1, variable.shape[-1]))
        update = tf.reshape(orthogonalized(matrix), variable.shape)
        scale = variable.shape[-1] ** 0.5 / (tf.norm(variable) + 1e-7)
        variable.assign(scale * variable - learning_rate * update)


def orthogonalized(matrix: Any) -> Any:
    """Approximate the nearest matrix with orthonormal columns or rows, by a Newton-Schulz iteration.

    Args:
        matrix: float32 (M, N).
    """
    a, b, c = NEWTON_SCHULZ
    is_wide = matrix.shape[0] < matrix.shape[1]
    x = matrix / (tf.norm(matrix) + 1e-7)
    x = x if is_wide else tf.transpose(x)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * gram + c * tf.matmul(gram, gram), x)
    return x if is_wide else tf.transpose(x)
