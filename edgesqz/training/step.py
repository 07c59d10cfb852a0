"""The training step and the evaluation on validation images, which are the parts of training that run in TensorFlow.

They use TensorFlow rather than Keras for speed on CPUs: the batch normalization is fused, and one graph augments,
differentiates and updates.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgesqz.data.splits import Split
from edgesqz.image_size import ImageSize
from edgesqz.models.graph import LOGITS
from edgesqz.training.optimizers import build_optimizer
from edgesqz.training.recipe import Recipe
from edgesqz.training.teacher import Teacher

INFERENCE_BATCH = 500
BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"  # TensorFlow's name for the graph rewrite


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization through TensorFlow's fused kernel, for NHWC images.

    During training, Keras 3's own layer computes the moments op by op, which dominates a step on CPUs. The weights are
    those of Keras's layer, in the same order, so that ``set_weights`` copies them over. A saved model never contains
    this class.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize (N, H, W, C) over N, H and W; during training, unless frozen, update the moving averages."""
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        outputs, moving_mean, moving_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs if _in_bfloat16() else _as_small_images(inputs),
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
        return tf.reshape(outputs, tf.shape(inputs))


def _as_small_images(inputs: Any) -> Any:
    """Arrange the positions of (N, H, W, C) as images of at most 8 pixels, which batch normalization treats alike.

    On so few pixels, TensorFlow's kernel is up to four times as fast in float32 on processors without AVX-512, and
    about as fast on others. In bfloat16, this does not pay off: TensorFlow no longer fuses the normalization with ReLU,
    which costs 6 % of a step.
    """
    height, width, channels = inputs.shape[1:]
    return tf.reshape(inputs, [-1, 1, math.gcd(height * width, 8), channels])


class Views:
    """The augmented training images, in numbered views. A view always augments an image in the same way.

    Attributes:
        labels: Labels of the images, int64 (N,).
    """

    def __init__(self, split: Split, size: ImageSize, recipe: Recipe) -> None:
        self._images, self._size, self._seed = tf.constant(split.images), size, recipe.seed
        self._light = (recipe.contrast, recipe.brightness)
        self.labels = tf.constant(split.labels)
        # The first possible corner of a crop, and the number of corners per axis. Crops are taken from within larger
        # images; images of the network's input size are shifted across their border.
        self._first_corner = 0 if size != split.size else -recipe.shift
        self._corners = [
            theirs - ours - 2 * self._first_corner + 1 for theirs, ours in zip(split.size, size, strict=True)
        ]
        # Mirrored in every other view instead of at random, so that an image soon appears both ways.
        # Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, section 3.6.
        mirrored_first = np.random.default_rng(recipe.seed).random(len(split)) < 0.5
        self._mirrored_first, self._mirrors = tf.constant(mirrored_first), recipe.mirrors

    def __call__(self, indices: Any, view: Any) -> Any:
        """Return the images at ``indices`` (B,) in view number ``view``: (B, H, W, C), 0..255."""
        bits = tf.random.stateless_uniform([len(self.labels), 2], (self._seed, view), None, None, tf.uint32)
        corners = tf.cast(bits % tf.constant(self._corners, tf.uint32), tf.int32) + self._first_corner
        mirrored = tf.gather(self._mirrored_first, indices) ^ (view % 2 == 1)
        images = augment(
            tf.gather(self._images, indices), self._size, tf.gather(corners, indices), mirrored & self._mirrors
        )
        if not any(self._light):
            return images
        # Another seed than that of the corners, which is never negative.
        changes = tf.random.stateless_uniform([len(self.labels), 2], (self._seed, -1 - view), -1.0, 1.0)
        return relit(images, tf.gather(changes, indices) * self._light)

    def pixels(self, indices: np.ndarray, view: int) -> np.ndarray:
        """Return the images at ``indices`` (B,) in view number ``view``, rounded to uint8 (B, H, W, C)."""
        return np.asarray(np.rint(self(indices, view)), np.uint8)


def augment(images: Any, size: ImageSize, corners: Any, mirrored: Any) -> Any:
    """Crop each image, and mirror some of them.

    The rows and columns of each crop are gathered directly, without a padded copy.

    Args:
        images: (N, H, W, C) of any dtype.
        size: Size of the crops.
        corners: Row and column of each crop's upper left corner, int32 (N, 2); pixels outside the image are reflected.
        mirrored: Whether to mirror each image, bool (N,).

    Returns:
        The crops, (N, height, width, C).
    """
    rows = _reflected(tf.range(size.height) + corners[:, :1], images.shape[1])
    columns = _reflected(tf.range(size.width) + corners[:, 1:], images.shape[2])
    columns = tf.where(mirrored[:, None], columns[:, ::-1], columns)
    return tf.gather(tf.gather(images, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def relit(images: Any, changes: Any) -> Any:
    """Change the contrast and the brightness of each image.

    Args:
        images: (N, H, W, C) of any dtype, 0..255.
        changes: Relative change of the contrast, and change of the brightness relative to white, float32 (N, 2).

    Returns:
        The images, float32 (N, H, W, C), clipped to 0..255.
    """
    images = tf.cast(images, tf.float32)
    contrast, brightness = tf.unstack(changes[:, :, None, None, None], axis=1)
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value(mean + (1 + contrast) * (images - mean) + 255 * brightness, 0, 255)


def training_step(
    network: keras.Model, views: Views, recipe: Recipe, average: Callable[[Any], Any] | None = None
) -> tuple[keras.optimizers.Optimizer, Callable[[np.ndarray, int, np.ndarray], Any]]:
    """Build the optimizer and the training step.

    The step takes the indices of a batch of images (B,), the number of the view, and the target probabilities, float32
    (B, classes). It returns the loss and the number of correctly classified images. With ``average``, a list of
    gradients is replaced by its average over all workers before the update.
    """
    scores = keras.Model(network.inputs, network.get_layer(LOGITS).output)
    variables = network.trainable_variables
    optimizer = build_optimizer(recipe, variables)
    kernels = [variable for variable in variables if variable.name == "kernel"]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, network.output_shape[-1]], tf.float32),
        ]
    )
    def update(indices: tf.Tensor, view: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = scores(tf.cast(views(indices, view), tf.float32), training=True)
            loss = divergence(targets, logits, recipe.loss_temperature)
            penalty = recipe.weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            objective = loss + penalty
        gradients = tape.gradient(objective, variables)
        optimizer.apply(average(gradients) if average else gradients, variables)
        return loss, tf.math.count_nonzero(tf.argmax(logits, axis=1) == tf.gather(views.labels, indices))

    def take_step(indices: np.ndarray, view: int, targets: np.ndarray) -> Any:
        with arithmetic(recipe.precision):
            return update(indices, view, targets)

    return optimizer, take_step


def statistics_estimation(network: keras.Model, views: Views, recipe: Recipe) -> Callable[[np.ndarray, int], None]:
    """Build the function that sets the statistics of batch normalization to their averages over some batches.

    The function takes the indices of the images, int (batches, B), and the number of the view. It does not change the
    weights.
    """
    layers = [layer for layer in network.layers if isinstance(layer, FusedBatchNormalization)]
    statistics = [(each, layer.momentum) for layer in layers for each in (layer.moving_mean, layer.moving_variance)]

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)]
    )
    def include(indices: tf.Tensor, view: tf.Tensor, count: tf.Tensor) -> None:
        before = [tf.identity(statistic.value) for statistic, _ in statistics]
        network(tf.cast(views(indices, view), tf.float32), training=True)
        for (statistic, momentum), old in zip(statistics, before, strict=True):
            # The layer moved by 1 - momentum of the distance to this batch's statistics; the mean moves by 1 / count.
            statistic.assign(old + (statistic.value - old) / (1 - momentum) / count)

    def estimate(batches: np.ndarray, view: int) -> None:
        if not statistics:  # the network has no batch normalization
            return
        with arithmetic(recipe.precision):
            for count, indices in enumerate(batches, start=1):
                include(indices, view, count)

    return estimate


def divergence(targets: Any, logits: Any, temperature: float) -> Any:
    """Return the mean Kullback-Leibler divergence of the predictions from the targets, in nats.

    With labels as targets and a temperature of 1, it is the cross-entropy. The square of the temperature preserves the
    magnitude of the gradients. Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.

    Args:
        targets: Target probabilities at this temperature, (N, classes).
        logits: Logits of the network, (N, classes).
        temperature: Divisor of the logits.
    """
    cross_entropy = tf.nn.softmax_cross_entropy_with_logits(targets, logits / temperature)
    entropy = -tf.reduce_sum(tf.math.xlogy(targets, targets), axis=-1)
    return temperature**2 * tf.reduce_mean(cross_entropy - entropy)


def soft_targets(teacher: Teacher, views: Views, temperature: float) -> Callable[[int], np.ndarray]:
    """Build the function from the number of a view to the teacher's predictions of its images, float32 (N, classes)."""

    def predict_all(view: int) -> np.ndarray:
        batches = _batches(len(views.labels))
        return np.concatenate([teacher.predict(views.pixels(batch, view), temperature) for batch in batches])

    return predict_all


def _reflected(index: Any, size: int) -> Any:
    """Reflect indices outside 0..size-1 at the border of the image."""
    return size - 1 - tf.abs(size - 1 - tf.abs(index))


def evaluation(network: keras.Model) -> Callable[[Split], float]:
    """Build the function that counts the correctly classified images, or returns NaN for NaN or infinity."""

    @tf.function(reduce_retracing=True)
    def count_correct(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        probabilities = network(tf.cast(images, tf.float32), training=False)
        correct = tf.math.count_nonzero(tf.argmax(probabilities, axis=1) == labels, dtype=tf.float32)
        return tf.where(tf.reduce_all(tf.math.is_finite(probabilities)), correct, np.nan)

    size = ImageSize(*network.input_shape[1:3])

    def count_correct_in_split(split: Split) -> float:
        # If training crops at random, the finished model sees the center.
        top, left = (split.size.height - size.height) // 2, (split.size.width - size.width) // 2
        center = split.images[:, top : top + size.height, left : left + size.width]
        split = Split(center, split.labels)
        batches = (split.take(indices) for indices in _batches(len(split)))
        return sum(float(count_correct(batch.images, batch.labels)) for batch in batches)

    return count_correct_in_split


def _batches(count: int) -> Iterator[np.ndarray]:
    """Yield the numbers below ``count`` in order, in batches."""
    for start in range(0, count, INFERENCE_BATCH):
        yield np.arange(start, min(start + INFERENCE_BATCH, count))


def _in_bfloat16() -> bool:
    return bool(tf.config.optimizer.get_experimental_options().get(BFLOAT16, False))


@contextlib.contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Compute in ``float32`` within the block or, where TensorFlow considers it safe, in ``bfloat16``.

    Variables stay float32 either way, and so do sums in which small terms would be lost. TensorFlow rewrites the graph
    for this. Keras's policy ``mixed_bfloat16`` casts at every layer, which on CPUs costs what the convolutions gain.
    """
    before = _in_bfloat16()
    tf.config.optimizer.set_experimental_options({BFLOAT16: precision == "bfloat16"})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({BFLOAT16: before})
