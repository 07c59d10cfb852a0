"""Keras layers that only training uses."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


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
