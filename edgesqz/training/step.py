"""One step of training, and the check on validation images: the part of training that is TensorFlow.

It is TensorFlow's rather than Keras's for speed on a CPU: the fused batch normalization, and a step that augments,
differentiates and updates in one graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgesqz import data
from edgesqz.image_size import ImageSize
from edgesqz.models.graph import LOGITS
from edgesqz.training.recipe import Recipe

INFERENCE_BATCH = 500
BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"  # TensorFlow's name of the rewrite


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization through TensorFlow's fused kernel, for NHWC images.

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


class Views:
    """The training images as each epoch sees them; the same view shows an image in the same way each time.

    Attributes:
        labels: int64 (N,).
    """

    def __init__(self, split: data.Split, size: ImageSize, recipe: Recipe) -> None:
        self._images, self._size, self._seed = tf.constant(split.images), size, recipe.seed
        self.labels = tf.constant(split.labels)
        # The least corner, and how many there are from there on each axis: cropped out of a larger image, or shifted
        # over its border.
        self._least = 0 if size != split.size else -recipe.shift
        self._corners = [theirs - ours - 2 * self._least + 1 for theirs, ours in zip(split.size, size, strict=True)]
        # Mirrored in every other view rather than by chance: an image is never seen the same way round for long.
        # Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, section 3.6.
        first = np.random.default_rng(recipe.seed).random(len(split)) < 0.5
        self._mirrored_first, self._mirrored = tf.constant(first), recipe.mirrored

    def __call__(self, indices: Any, view: Any) -> Any:
        """Augment the images at ``indices`` (B,): (B, H, W, C) of their dtype; ``view`` is a number from 0."""
        bits = tf.random.stateless_uniform([len(self.labels), 2], (self._seed, view), None, None, tf.uint32)
        corners = tf.cast(bits % tf.constant(self._corners, tf.uint32), tf.int32) + self._least
        mirrored = tf.gather(self._mirrored_first, indices) ^ (view % 2 == 1)
        return augment(
            tf.gather(self._images, indices), self._size, tf.gather(corners, indices), mirrored & self._mirrored
        )


def augment(images: Any, size: ImageSize, corners: Any, mirrored: Any) -> Any:
    """Crop each image, and mirror some of them.

    All of it is one choice of rows and columns, so no padded copy is made.

    Args:
        images: (N, H, W, C) of any dtype.
        size: of the crops.
        corners: row and column of each crop's upper left corner, int32 (N, 2); what lies outside is reflected in.
        mirrored: which to mirror, bool (N,).

    Returns:
        (N, height, width, C).
    """
    rows = _reflected(tf.range(size.height) + corners[:, :1], images.shape[1])
    columns = _reflected(tf.range(size.width) + corners[:, 1:], images.shape[2])
    columns = tf.where(mirrored[:, None], columns[:, ::-1], columns)
    return tf.gather(tf.gather(images, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def training_step(
    network: keras.Model, views: Views, recipe: Recipe
) -> tuple[keras.optimizers.Optimizer, Callable[[np.ndarray, int, np.ndarray], Any]]:
    """Build the optimizer and the step.

    The step takes indices of images (B,), the number of the view, and what is to be learned as probabilities,
    float32 (B, classes); it gives the loss and the number of images that it had right.
    """
    scores = keras.Model(network.inputs, network.get_layer(LOGITS).output)
    variables = network.trainable_variables
    kernels = [variable for variable in variables if variable.name == "kernel"]
    optimizer = keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum, nesterov=True)
    optimizer.build(variables)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, network.output_shape[-1]], tf.float32),
        ]
    )
    def update(indices: tf.Tensor, view: tf.Tensor, wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = scores(tf.cast(views(indices, view), tf.float32), training=True)
            loss = divergence(wanted, logits, recipe.softness)
            penalty = recipe.weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            objective = loss + penalty
        optimizer.apply(tape.gradient(objective, variables), variables)
        return loss, tf.math.count_nonzero(tf.argmax(logits, axis=1) == tf.gather(views.labels, indices))

    def take_step(indices: np.ndarray, view: int, wanted: np.ndarray) -> Any:
        with arithmetic(recipe.precision):
            return update(indices, view, wanted)

    return optimizer, take_step


def divergence(wanted: Any, logits: Any, temperature: float) -> Any:
    """The mean Kullback-Leibler divergence of what is answered from what is wanted, in nats.

    With labels and a temperature of 1 it is the cross-entropy. Source of the temperature and of its square, which
    keeps the gradients' size: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.

    Args:
        wanted: probabilities at that temperature, (N, classes).
        logits: (N, classes).
        temperature: what logits are divided by.
    """
    cross_entropy = tf.nn.softmax_cross_entropy_with_logits(wanted, logits / temperature)
    entropy = -tf.reduce_sum(tf.math.xlogy(wanted, wanted), axis=-1)
    return temperature**2 * tf.reduce_mean(cross_entropy - entropy)


def taught(teacher: keras.Model, views: Views, recipe: Recipe) -> Callable[[int], np.ndarray]:
    """Build the teacher's answers to all images of a view: its number to probabilities, float32 (N, classes)."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int32)])
    def answer(indices: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        probabilities = teacher(tf.cast(views(indices, view), tf.float32), training=False)
        return tf.nn.softmax(tf.math.log(probabilities + 1e-12) / recipe.temperature)

    def answer_all(view: int) -> np.ndarray:
        with arithmetic(recipe.precision):
            return np.concatenate([answer(batch, view).numpy() for batch in _batches(len(views.labels))])

    return answer_all


def _reflected(index: Any, size: int) -> Any:
    """Indices beyond 0..size-1, folded back at the border."""
    return size - 1 - tf.abs(size - 1 - tf.abs(index))


def evaluation(network: keras.Model) -> Callable[[data.Split], float]:
    """Build the count of images whose top-1 is right; NaN if the network answers with values that are no numbers."""

    @tf.function(reduce_retracing=True)
    def correct_in(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        probabilities = network(tf.cast(images, tf.float32), training=False)
        correct = tf.math.count_nonzero(tf.argmax(probabilities, axis=1) == labels, dtype=tf.float32)
        return tf.where(tf.reduce_all(tf.math.is_finite(probabilities)), correct, np.nan)

    size = ImageSize(*network.input_shape[1:3])

    def correct_in_all(split: data.Split) -> float:
        # Of what is cropped, the middle is what the finished model sees.
        top, left = (split.size.height - size.height) // 2, (split.size.width - size.width) // 2
        middle = split.images[:, top : top + size.height, left : left + size.width]
        split = data.Split(middle, split.labels)
        batches = (split.take(indices) for indices in _batches(len(split)))
        return sum(float(correct_in(batch.images, batch.labels)) for batch in batches)

    return correct_in_all


def _batches(count: int) -> Iterator[np.ndarray]:
    """The numbers below ``count`` in order, a batch at a time."""
    for start in range(0, count, INFERENCE_BATCH):
        yield np.arange(start, min(start + INFERENCE_BATCH, count))


@contextlib.contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Compute what is called in the block in ``float32`` or, where TensorFlow deems it safe, in ``bfloat16``.

    The variables stay float32 either way, and so do the sums in which small terms would be lost. It is a rewrite of
    the graph: Keras's policy ``mixed_bfloat16`` casts at every layer, which costs on a CPU what the convolutions gain.
    """
    before = tf.config.optimizer.get_experimental_options().get(BFLOAT16, False)
    tf.config.optimizer.set_experimental_options({BFLOAT16: precision == "bfloat16"})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({BFLOAT16: before})
