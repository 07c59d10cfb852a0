"""The networks, by name: Keras functional models from raw pixels to class probabilities.

Every network here takes RGB pictures as they come from a camera or a file, float32 (N, side, side, 3) with
values 0..255, and gives softmax probabilities, float32 (N, classes). The layers a caller may want to reach
have fixed names: ``normalize`` (the pixels' normalization), ``logits`` (the scores before the softmax).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesqz.errors import EdgesqzError

if TYPE_CHECKING:
    import keras

# The network sees (pixel - 128) / 64. An int8 input of scale 1/64 and zero point 0 is then pixel - 128 exactly.
PIXEL_SCALE = 1 / 64
PIXEL_OFFSET = -2.0

NORMALIZE = "normalize"
LOGITS = "logits"


@dataclass(frozen=True)
class Fire:
    """A fire module: 1x1 convolutions squeeze the channels, 1x1 and 3x3 convolutions expand them side by side.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
    size", 2016, section 3.2; the bypass is its section 6.
    """

    squeeze: int  # channels after the squeeze
    expand: int  # channels of each of the two expanding branches; the module gives twice as many


@dataclass(frozen=True)
class Architecture:
    """A SqueezeNet: a 3x3 stem, then stages of fire modules at halving resolution, then a 1x1 classifier."""

    stem: int  # channels of the first convolution
    pool_stem: bool  # halve the resolution before the first stage
    stages: tuple[tuple[Fire, ...], ...]  # the resolution halves between stages


ARCHITECTURES = {
    # Sized for 32x32 pictures: the first stage works at full resolution ("late pooling").
    "squeezenet": Architecture(48, False, ((Fire(16, 48),), (Fire(32, 96),) * 3, (Fire(48, 160),) * 3)),
    # The smallest that is still useful: 45 thousand parameters.
    "squeezenet-nano": Architecture(16, True, ((Fire(16, 48),) * 2, (Fire(16, 64),) * 2)),
}


def architecture(name: str) -> Architecture:
    """Look an architecture up by name.

    Raises:
        EdgesqzError: the name is unknown; the message lists the known ones.
    """
    if name not in ARCHITECTURES:
        raise EdgesqzError(f"unknown model {name!r}; the known models are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


@dataclass(frozen=True)
class SqueezeNetModel:
    """The SqueezeNet of this package, as a builder.

    Attributes:
        original_dim: side of the square pictures that come in, in pixels.
        resize_dim: side the network works at, in pixels; where it differs, the graph resizes.
        output_size: number of classes.
        name: which of ``ARCHITECTURES``.
    """

    original_dim: int = 32
    resize_dim: int = 32
    output_size: int = 10
    name: str = "squeezenet"

    def build(self, batch_normalization: Callable[..., Any] | None = None) -> keras.Model:
        """Build the network with random weights.

        Args:
            batch_normalization: a layer class to use in place of ``keras.layers.BatchNormalization``; training
                gives a faster one.

        Returns:
            A functional model, float32 (N, original_dim, original_dim, 3) in 0..255 to float32 (N, output_size).

        Raises:
            EdgesqzError: an unknown architecture, a picture too small for it, fewer than two classes.
        """
        from keras import Model, layers

        plan = architecture(self.name)
        self._check(plan)
        block = _Blocks(batch_normalization or layers.BatchNormalization)

        pixels = layers.Input((self.original_dim, self.original_dim, 3), name="pixels")
        x = layers.Rescaling(PIXEL_SCALE, PIXEL_OFFSET, name=NORMALIZE)(pixels)
        if self.resize_dim != self.original_dim:
            x = layers.Resizing(self.resize_dim, self.resize_dim, name="resize")(x)
        x = block.convolution(x, plan.stem, 3, "stem", activation=True)
        for number, fires in enumerate(plan.stages, start=1):
            if number > 1 or plan.pool_stem:
                x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
            for position, fire in enumerate(fires, start=1):
                x = block.fire(x, fire, f"fire{number}{position}", bypass=position > 1)
        x = layers.Conv2D(self.output_size, 1, name="classifier")(x)
        logits = layers.GlobalAveragePooling2D(name=LOGITS)(x)
        return Model(pixels, layers.Softmax(name="probabilities")(logits), name=self.name)

    def _check(self, plan: Architecture) -> None:
        halvings = len(plan.stages) - 1 + plan.pool_stem
        if self.original_dim < 1 or self.resize_dim < 2**halvings:
            raise EdgesqzError(
                f"{self.name} needs pictures of at least {2**halvings} pixels a side, "
                f"got original_dim={self.original_dim}, resize_dim={self.resize_dim}"
            )
        if self.output_size < 2:
            raise EdgesqzError(f"a classifier needs at least 2 classes, got output_size={self.output_size}")


@dataclass(frozen=True)
class _Blocks:
    """The blocks the networks are made of, around one kind of batch normalization."""

    batch_normalization: Callable[..., Any]

    def convolution(self, x: Any, channels: int, kernel: int, name: str, *, activation: bool) -> Any:
        """Convolution and batch norm side by side, so that a converter folds the second into the first."""
        from keras import layers

        x = layers.Conv2D(channels, kernel, padding="same", use_bias=False, name=name)(x)
        x = self.batch_normalization(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x) if activation else x

    def fire(self, x: Any, fire: Fire, name: str, *, bypass: bool) -> Any:
        """One fire module; with ``bypass`` its input, which must have 2 * expand channels, is added to its output."""
        from keras import layers

        squeezed = self.convolution(x, fire.squeeze, 1, f"{name}_squeeze", activation=True)
        # Without a bypass each branch has its own ReLU, which converters fuse into the convolution.
        expanded = layers.Concatenate(name=f"{name}_concat")(
            [
                self.convolution(squeezed, fire.expand, 1, f"{name}_expand1", activation=not bypass),
                self.convolution(squeezed, fire.expand, 3, f"{name}_expand3", activation=not bypass),
            ]
        )
        if not bypass:
            return expanded
        return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, expanded]))
