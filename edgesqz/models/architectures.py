"""The networks, from raw pixels to class probabilities.

Every network takes raw images, float32 (N, H, W, channels) with values 0..255, in RGB except for ``digits``, which is
for grayscale images. It returns softmax probabilities, float32 (N, classes).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgesqz import backend
from edgesqz.errors import EdgesqzError, option, suggestion
from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.models.graph import (
    LOGITS,
    NORMALIZE,
    AddRelu,
    Average,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Dropout,
    Graph,
    MaxPool,
    Node,
    Normalize,
    Pixels,
    Resize,
    Softmax,
    Standardize,
)
from edgesqz.models.specification import Specification

if TYPE_CHECKING:
    import keras

Body = Callable[[Graph, Node, int], Node]  # (graph, normalized pixels, number of classes) -> logits

FULL_RESOLUTION_PIXELS = 64 * 64  # largest images that the stem of a small SqueezeNet keeps at full resolution


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any input size and number of classes.

    Attributes:
        body: Function that adds the layers between the normalized pixels and the logits.
        input_size: Height and width of the input images that it was designed for, in pixels.
        classes: Number of classes that it was designed for.
        note: Origin of the network, in a few words.
        channels: Number of channels of the images: 3 for RGB, 1 for grayscale.
    """

    body: Body
    input_size: int
    classes: int
    note: str
    channels: int = 3


def fire(
    graph: Graph,
    x: Node,
    name: str,
    squeeze: int,
    expand: int,
    *,
    norm: bool,
    bypass: bool = False,
    pool: str | None = None,
) -> Node:
    """Add a fire module: a 1x1 convolution squeezes the channels, parallel 1x1 and 3x3 convolutions expand them.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    2016, section 3.2, and section 6 for the bypass.

    Args:
        graph: The graph to add it to.
        x: The input of the module, with 2 * expand channels if ``bypass``.
        name: Prefix of the layers' names.
        squeeze: Number of channels after the squeeze.
        expand: Number of channels of each of the two expanding branches; the output has twice as many.
        norm: Whether batch normalization follows every convolution, instead of a bias.
        bypass: Whether to add the input to the output before the last ReLU.
        pool: Prefix of the names of max-pooling layers, one for each branch, that replace one after the module. The
            result is the same, but only a quarter of the values are concatenated. Cannot be combined with ``bypass``.
    """
    squeezed = graph.add(Convolution(name=f"{name}_squeeze", channels=squeeze, kernel=1, norm=norm), x)

    def branch(kernel: int) -> Node:
        # Without a bypass each branch has its own ReLU, which converters fuse into the convolution.
        layer = Convolution(name=f"{name}_expand{kernel}", channels=expand, kernel=kernel, norm=norm, relu=not bypass)
        expanded = graph.add(layer, squeezed)
        return graph.add(MaxPool(name=f"{pool}_expand{kernel}", size=2, stride=2), expanded) if pool else expanded

    # As in a .tflite file, a branch is pooled before the next one is computed, which saves memory.
    expanded = graph.add(Concatenate(name=f"{name}_concat"), branch(1), branch(3))
    return graph.add(AddRelu(name=f"{name}_add"), x, expanded) if bypass else expanded


def small_squeezenet(stem: int, pool_stem: bool, *stages: tuple[tuple[int, int], ...]) -> Body:
    """Return a SqueezeNet for small images: a stem, then stages of fire modules, each at half the resolution.

    For images of more than 64x64 pixels, the stem halves the resolution until about 64x64 pixels or fewer remain, which
    bounds the costs of the stages.

    Args:
        stem: Number of channels of the first 3x3 convolution.
        pool_stem: Whether to halve the resolution before the first stage, instead of after it.
        stages: (squeeze, expand) of each fire module of each stage; all but the first of a stage have a bypass.
    """

    def body(graph: Graph, x: Node, classes: int) -> Node:
        halvings = _stem_halvings(ImageSize(*x.shape[:2]))
        x = graph.add(Convolution(name="stem", channels=stem, kernel=3, stride=2 if halvings else 1, norm=True), x)
        for number in range(2, halvings + 1):  # a larger stride would skip pixels
            x = graph.add(MaxPool(name=f"stem_pool{number}", size=2, stride=2), x)
        pooled = not pool_stem
        for number, fires in enumerate(stages, start=1):
            if not pooled:
                x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
            pooled = len(fires) == 1 and number < len(stages)  # within the only fire module, which has no bypass
            pool = f"pool{number + 1}" if pooled else None
            for place, (squeeze, expand) in enumerate(fires, start=1):
                bypass = place > 1 and x.shape[2] == 2 * expand
                x = fire(graph, x, f"fire{number}{place}", squeeze, expand, norm=True, bypass=bypass, pool=pool)
        x = graph.add(Convolution(name="classifier", channels=classes, kernel=1, relu=False), x)
        return graph.add(Average(name=LOGITS), x)

    return body


def _stem_halvings(size: ImageSize) -> int:
    """Return how many times the stem of a small SqueezeNet halves the resolution of images of this size."""
    return max(0, math.ceil(math.log2(size.height * size.width / FULL_RESOLUTION_PIXELS) / 2))


def published_squeezenet(stem: tuple[int, int], pools_before: tuple[int, ...]) -> Body:
    """Return SqueezeNet as published, without batch normalization.

    Args:
        stem: Number of channels and kernel size of the first convolution.
        pools_before: Numbers of the fire modules, from 2, that follow a pooling.
    """
    channels, kernel = stem
    fires = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128)}
    fires |= {6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}

    def body(graph: Graph, x: Node, classes: int) -> Node:
        x = graph.add(Convolution(name="conv1", channels=channels, kernel=kernel, stride=2, padding="valid"), x)
        for number, (squeeze, expand) in fires.items():
            if number in pools_before:
                x = graph.add(MaxPool(name=f"pool{number}", size=3, stride=2), x)
            x = fire(graph, x, f"fire{number}", squeeze, expand, norm=False)
        x = graph.add(Dropout(name="dropout", rate=0.5), x)
        x = graph.add(Convolution(name="conv10", channels=classes, kernel=1), x)
        return graph.add(Average(name=LOGITS), x)

    return body


def course_squeezenet(graph: Graph, x: Node, classes: int) -> Node:
    """Add the SqueezeNet that courses build for CIFAR-10: a stem and four fire modules, no batch normalization."""
    x = graph.add(Convolution(name="stem", channels=64, kernel=3), x)
    for number, (squeeze, expand) in enumerate(((32, 64), (32, 64), (32, 128), (32, 128)), start=1):
        if number in (1, 3):
            x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
        x = fire(graph, x, f"fire{number}", squeeze, expand, norm=False)
    x = graph.add(Dropout(name="dropout", rate=0.5), x)
    x = graph.add(Convolution(name="classifier", channels=classes, kernel=1, relu=False), x)
    return graph.add(Average(name=LOGITS), x)


def alexnet(groups: int) -> Body:
    """Return AlexNet: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep CNNs", 2012, without LRN.

    Args:
        groups: Number of groups in the grouped convolutions: 2 as published, for two GPUs, or 1 as usual today.
    """

    def body(graph: Graph, x: Node, classes: int) -> Node:
        def convolution(x: Node, name: str, channels: int, kernel: int, groups: int = 1) -> Node:
            return graph.add(Convolution(name=name, channels=channels, kernel=kernel, groups=groups), x)

        x = graph.add(Convolution(name="conv1", channels=96, kernel=11, stride=4, padding="valid"), x)
        x = graph.add(MaxPool(name="pool1", size=3, stride=2), x)
        x = convolution(x, "conv2", 256, 5, groups)
        x = graph.add(MaxPool(name="pool2", size=3, stride=2), x)
        x = convolution(x, "conv3", 384, 3)
        x = convolution(x, "conv4", 384, 3, groups)
        x = convolution(x, "conv5", 256, 3, groups)
        x = graph.add(MaxPool(name="pool5", size=3, stride=2), x)
        for name in ("fc6", "fc7"):
            x = graph.add(Dense(name=name, units=4096), x)
            x = graph.add(Dropout(name=f"{name}_dropout", rate=0.5), x)
        return graph.add(Dense(name=LOGITS, units=classes, relu=False), x)

    return body


def digits(graph: Graph, x: Node, classes: int) -> Node:
    """Add the digit classifier that tutorials build for MNIST."""
    for number, channels in enumerate((32, 64), start=1):
        x = graph.add(Convolution(name=f"conv{number}", channels=channels, kernel=5), x)
        x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
    x = graph.add(Dense(name="dense", units=1024), x)
    x = graph.add(Dropout(name="dropout", rate=0.4), x)
    return graph.add(Dense(name=LOGITS, units=classes, relu=False), x)


def teacher(graph: Graph, x: Node, classes: int) -> Node:
    """Add a wide residual network, which learns fast and is far too large for a device.

    Each of its three stages is a 3x3 convolution, a pooling layer and a residual pair of 3x3 convolutions, similar to
    those of airbench96 (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, section 4).
    """
    x = graph.add(Convolution(name="stem", channels=64, kernel=3, norm=True), x)
    for number, channels in enumerate((128, 384, 512), start=1):
        x = graph.add(Convolution(name=f"conv{number}1", channels=channels, kernel=3, norm=True), x)
        x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
        y = graph.add(Convolution(name=f"conv{number}2", channels=channels, kernel=3, norm=True), x)
        y = graph.add(Convolution(name=f"conv{number}3", channels=channels, kernel=3, norm=True, relu=False), y)
        x = graph.add(AddRelu(name=f"add{number}"), x, y)
    x = graph.add(Convolution(name="classifier", channels=classes, kernel=1, relu=False), x)
    return graph.add(Average(name=LOGITS), x)


PREPROCESSING = ("scale", "course")

ARCHITECTURES = {
    "squeezenet": Architecture(
        small_squeezenet(32, False, ((16, 48),), ((32, 96), (32, 96), (24, 96)), ((40, 160),) * 4),
        32,
        10,
        "for 32x32 images",
    ),
    "squeezenet-nano": Architecture(
        small_squeezenet(16, True, ((16, 48),) * 2, ((16, 80),) * 3), 32, 10, "the smallest useful one"
    ),
    "squeezenet-course": Architecture(course_squeezenet, 32, 10, "as built in courses for CIFAR-10"),
    "squeezenet-1.0": Architecture(published_squeezenet((96, 7), (2, 5, 9)), 227, 1000, "as published in 2016"),
    "squeezenet-1.1": Architecture(published_squeezenet((64, 3), (2, 4, 6)), 227, 1000, "its lighter successor"),
    "teacher": Architecture(teacher, 32, 10, "a teacher for distillation, too large for devices"),
    "digits": Architecture(digits, 28, 10, "as built in tutorials for MNIST", channels=1),
    "alexnet": Architecture(alexnet(groups=1), 227, 1000, "from 2012, without groups"),
    "alexnet-grouped": Architecture(alexnet(groups=2), 227, 1000, "from 2012, with groups"),
}


def architecture(name: str) -> Architecture:
    """Look up an architecture by name.

    Raises:
        EdgesqzError: The name is unknown.
    """
    if specification := Specification.parse(name):
        body = small_squeezenet(specification.stem, specification.pool_stem, *specification.stages)
        return Architecture(body, 32, 10, "defined by its name")
    if name not in ARCHITECTURES:
        hint = suggestion(name, ARCHITECTURES, cutoff=0.75)
        raise EdgesqzError(f"unknown model {name!r}; {hint}choose from {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def network_graph(
    name: str,
    *,
    classes: int | None = None,
    input_size: ImageSizeLike | None = None,
    image_size: ImageSizeLike | None = None,
    preprocessing: str = "scale",
) -> Graph:
    """Return a network as a graph; see ``build_model`` for the arguments and errors."""
    plan = architecture(name)
    classes = plan.classes if classes is None else classes
    if classes < 2:
        raise EdgesqzError(f"a classifier needs at least 2 classes, got {classes}")
    processed = ImageSize.parse(plan.input_size if input_size is None else input_size)
    taken = processed if image_size is None else ImageSize.parse(image_size)
    graph = Graph(name)
    try:
        x = graph.add(Pixels(name="pixels", size=taken, channels=plan.channels))
        logits = plan.body(graph, _preprocessed(graph, x, taken, processed, preprocessing), classes)
    except EdgesqzError as error:
        raise EdgesqzError(f"{error}; got images of {taken}, processed at {processed}") from error
    graph.add(Softmax(name="probabilities"), logits)
    return graph


def _preprocessed(graph: Graph, x: Node, taken: ImageSize, processed: ImageSize, preprocessing: str) -> Node:
    """Add the layers between the raw pixels and the network's body."""
    fits = taken == processed
    match preprocessing:
        case "scale":
            x = graph.add(Normalize(name=NORMALIZE), x)
            return x if fits else graph.add(Resize(name="resize", size=processed), x)
        case "course":
            if processed.height > taken.height or processed.width > taken.width:
                raise EdgesqzError(f"cannot crop images to a larger size; try {option('preprocessing')} scale")
            x = x if fits else graph.add(Crop(name="crop", size=processed), x)
            return graph.add(Standardize(name=NORMALIZE), x)
    raise EdgesqzError(f"unknown {option('preprocessing')} {preprocessing!r}; choose from {', '.join(PREPROCESSING)}")


def build_model(
    name: str,
    *,
    classes: int | None = None,
    input_size: ImageSizeLike | None = None,
    image_size: ImageSizeLike | None = None,
    preprocessing: str = "scale",
) -> keras.Model:
    """Build a network as a Keras model with random weights.

    Args:
        name: Name of the network, as listed by ``edgesqz.list_models()``.
        classes: Number of classes. By default, the number that the network was designed for.
        input_size: Size of the images that the network's layers work on: pixels, or ``WIDTHxHEIGHT``. By default, the
            size that the network was designed for.
        image_size: Size of the images that the model accepts, if it differs. The model resizes them.
        preprocessing: ``scale`` maps pixels to about -2..2 and resizes images of another size. ``course`` crops the
            center of larger images and standardizes each image separately.

    Returns:
        A functional model, from float32 (N, H, W, channels) in 0..255 to probabilities, float32 (N, classes).

    Raises:
        EdgesqzError: The name is unknown, there are fewer than two classes, or the images are too small.
    """
    graph = network_graph(
        name, classes=classes, input_size=input_size, image_size=image_size, preprocessing=preprocessing
    )
    backend.start_keras()
    return graph.to_keras()


@dataclass(frozen=True)
class SqueezeNetModel:
    """A SqueezeNet that can be built as a Keras model. ``build_model`` builds the other networks.

    Attributes:
        original_dim: Size of the images that the model accepts: an ``ImageSize``, or height and width in pixels.
        resize_dim: Size that the network's layers work on. The model resizes images of another size.
        output_size: Number of classes.
        name: Name of the SqueezeNet, as listed by ``edgesqz.list_models()``.
        preprocessing: ``scale`` or ``course``; see ``build_model``.
    """

    original_dim: ImageSizeLike = 32
    resize_dim: ImageSizeLike = 32
    output_size: int = 10
    name: str = "squeezenet"
    preprocessing: str = "scale"

    def build(self) -> keras.Model:
        """Build the Keras model with random weights; see ``build_model`` for its shapes.

        Raises:
            EdgesqzError: The network is not a SqueezeNet, there are fewer than two classes, or the images are too
                small.
        """
        architecture(self.name)
        if not self.name.startswith("squeezenet"):
            raise EdgesqzError(f"{self.name} is not a SqueezeNet; build it with edgesqz.build_model({self.name!r})")
        return build_model(
            self.name,
            classes=self.output_size,
            input_size=self.resize_dim,
            image_size=self.original_dim,
            preprocessing=self.preprocessing,
        )
