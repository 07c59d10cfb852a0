"""One step of training, and the check on held-back pictures: the part of training that is TensorFlow.

It is TensorFlow's rather than Keras's for speed on a CPU: the fused batch normalization, and a step that augments,
differentiates and updates in one graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgesqz import data
from edgesqz.graph import LOGITS
from edgesqz.recipe import Recipe

VALIDATION_BATCH = 500


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization through TensorFlow's fused kernel, for NHWC pictures.

    Keras 3's own layer computes the moments op by op while training, which dominates a step on a CPU. The weights
    are those of the stock layer, in the same order, so ``set_weights`` moves them over; a saved model never holds
    this class.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize (N, H, W, C) over N, H and W; moves the moving averages while training."""
        if not training:
            return super().call(inputs, training=False)
        outputs, moving_mean, moving_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            exponential_avg_factor=1 - self.momentum,
            is_training=True,
        )
        self.moving_mean.assign(moving_mean)
        self.moving_variance.assign(moving_variance)
        return outputs


def training_step(
    network: keras.Model, split: data.Split, recipe: Recipe
) -> tuple[keras.optimizers.Optimizer, Callable[[np.ndarray, int], Any]]:
    """Build the optimizer and the step: indices of pictures and the step's number to loss and number correct."""
    pictures, labels = tf.constant(split.pictures), tf.constant(split.labels)
    side = network.input_shape[1]
    # Cut out of a larger picture, or moved over its border.
    offsets = (0, split.side - side) if side < split.side else (-recipe.shift, recipe.shift)
    scores = keras.Model(network.inputs, network.get_layer(LOGITS).output)
    variables = network.trainable_variables
    kernels = [variable for variable in variables if variable.name == "kernel"]
    optimizer = keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum, nesterov=True)
    optimizer.build(variables)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int32)])
    def take_step(indices: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = augment(tf.gather(pictures, indices), side, offsets, recipe.mirrored, seed=(recipe.seed, number))
        truth = tf.gather(labels, indices)
        with tf.GradientTape() as tape:
            logits = scores(tf.cast(batch, tf.float32), training=True)
            loss = loss_of(tf.one_hot(truth, logits.shape[-1]), logits)
            penalty = recipe.weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            objective = loss + penalty
        optimizer.apply(tape.gradient(objective, variables), variables)
        return loss, tf.math.count_nonzero(tf.argmax(logits, axis=1) == truth)

    return optimizer, take_step


def augment(pictures: Any, side: int, offsets: tuple[int, int], mirrored: bool, seed: Any) -> Any:
    """Cut a square out of each picture at random, and mirror half of them if ``mirrored``.

    The same seed gives the same pictures. All of it is one choice of rows and columns, so no padded copy is made.

    Args:
        pictures: (N, H, W, C) of any dtype.
        side: of the squares, in pixels.
        offsets: the least and the greatest of a square's upper left corner; what lies outside is reflected in.
        mirrored: whether any are mirrored at all.
        seed: two integers.

    Returns:
        (N, side, side, C).
    """
    count, height, width = tf.shape(pictures)[0], pictures.shape[1], pictures.shape[2]
    moved = tf.random.stateless_uniform([2, count, 1], seed, offsets[0], offsets[1] + 1, tf.int32)
    turned = tf.random.stateless_uniform([count, 1], (seed[1], seed[0]), 0, 1 + mirrored, tf.int32) == 1
    rows = _reflected(tf.range(side) + moved[0], height)
    columns = _reflected(tf.range(side) + moved[1], width)
    columns = tf.where(turned, columns[:, ::-1], columns)
    return tf.gather(tf.gather(pictures, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def _reflected(index: Any, size: int) -> Any:
    """Indices beyond 0..size-1, folded back at the border."""
    return size - 1 - tf.abs(size - 1 - tf.abs(index))


def evaluation(network: keras.Model) -> Callable[[data.Split], float]:
    """Build the count of pictures whose top-1 is right; NaN if the network answers with values that are no numbers."""

    @tf.function(reduce_retracing=True)
    def correct_in(pictures: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        probabilities = network(tf.cast(pictures, tf.float32), training=False)
        correct = tf.math.count_nonzero(tf.argmax(probabilities, axis=1) == labels, dtype=tf.float32)
        return tf.where(tf.reduce_all(tf.math.is_finite(probabilities)), correct, np.nan)

    side = network.input_shape[1]

    def correct_in_all(split: data.Split) -> float:
        margin = (split.side - side) // 2  # of what is cropped, the middle is what the finished model sees
        middle = slice(margin, margin + side)
        split = data.Split(split.pictures[:, middle, middle], split.labels)
        starts = range(0, len(split), VALIDATION_BATCH)
        batches = (split.take(np.arange(at, min(at + VALIDATION_BATCH, len(split)))) for at in starts)
        return sum(float(correct_in(batch.pictures, batch.labels)) for batch in batches)

    return correct_in_all
