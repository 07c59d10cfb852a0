"""The networks, by name: from raw pixels to class probabilities.

Every network here takes images as they come from a camera or a file, float32 (N, H, W, channels) with values
0..255, RGB but for ``digits``, which takes gray ones, and gives softmax probabilities, float32 (N, classes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesqz.errors import EdgesqzError
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

if TYPE_CHECKING:
    import keras

Body = Callable[[Graph, Node, int], Node]  # a graph, its normalized pixels and the number of classes, to the logits


@dataclass(frozen=True)
class Architecture:
    """A network by its layers.

    Attributes:
        body: adds the layers between the normalized pixels and the logits.
        side: height and width of the images it was made for, in pixels.
        classes: it was made for.
        note: where it comes from, in a line.
        channels: of its images: 3 for RGB, 1 for gray.
    """

    body: Body
    side: int
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
    """Add a fire module: 1x1 convolutions squeeze the channels, 1x1 and 3x3 convolutions expand them side by side.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    2016, section 3.2; the bypass is its section 6.

    Args:
        graph: to add it to.
        x: its input, of 2 * expand channels if ``bypass``.
        name: its layers' names begin with it.
        squeeze: channels after the squeeze.
        expand: channels of each of the two expanding branches; the module gives twice as many.
        norm: batch norm after every convolution, in place of a bias.
        bypass: add the input to the output before the last ReLU.
        pool: name of a max pooling of the branches, in place of one behind the module: it gives the same values, and
            leaves a quarter to put together. Not for one with a bypass.
    """
    squeezed = graph.add(Convolution(name=f"{name}_squeeze", channels=squeeze, kernel=1, norm=norm), x)
    # Without a bypass each branch has its own ReLU, which converters fuse into the convolution.
    branches = [
        graph.add(
            Convolution(name=f"{name}_expand{kernel}", channels=expand, kernel=kernel, norm=norm, relu=not bypass),
            squeezed,
        )
        for kernel in (1, 3)
    ]
    if pool:
        branches = [
            graph.add(MaxPool(name=f"{pool}_expand{kernel}", size=2, stride=2), branch)
            for kernel, branch in zip((1, 3), branches, strict=True)
        ]
    expanded = graph.add(Concatenate(name=f"{name}_concat"), *branches)
    return graph.add(AddRelu(name=f"{name}_add"), x, expanded) if bypass else expanded


def small_squeezenet(stem: int, pool_stem: bool, *stages: tuple[tuple[int, int], ...]) -> Body:
    """A SqueezeNet for small images: a stem, then stages of fire modules at halving resolution.

    Args:
        stem: channels of the first 3x3 convolution.
        pool_stem: halve the resolution before the first stage; if not, that works at full resolution.
        stages: (squeeze, expand) of each fire module of each stage; from the second of a stage on with a bypass.
    """

    def body(graph: Graph, x: Node, classes: int) -> Node:
        x = graph.add(Convolution(name="stem", channels=stem, kernel=3, norm=True), x)
        pooled = not pool_stem
        for number, fires in enumerate(stages, start=1):
            if not pooled:
                x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
            pooled = len(fires) == 1 and number < len(stages)  # within its one fire module, which has no bypass
            pool = f"pool{number + 1}" if pooled else None
            for place, (squeeze, expand) in enumerate(fires, start=1):
                x = fire(graph, x, f"fire{number}{place}", squeeze, expand, norm=True, bypass=place > 1, pool=pool)
        x = graph.add(Convolution(name="classifier", channels=classes, kernel=1, relu=False), x)
        return graph.add(Average(name=LOGITS), x)

    return body


def published_squeezenet(stem: tuple[int, int], pools_before: tuple[int, ...]) -> Body:
    """SqueezeNet as published, without batch norm.

    Args:
        stem: channels and kernel of the first convolution.
        pools_before: the numbers of the fire modules, from 2, with a pooling before them.
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
    """The SqueezeNet that courses build for CIFAR-10: a stem and four fire modules, without batch norm."""
    x = graph.add(Convolution(name="stem", channels=64, kernel=3), x)
    for number, (squeeze, expand) in enumerate(((32, 64), (32, 64), (32, 128), (32, 128)), start=1):
        if number in (1, 3):
            x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
        x = fire(graph, x, f"fire{number}", squeeze, expand, norm=False)
    x = graph.add(Dropout(name="dropout", rate=0.5), x)
    x = graph.add(Convolution(name="classifier", channels=classes, kernel=1, relu=False), x)
    return graph.add(Average(name=LOGITS), x)


def alexnet(groups: int) -> Body:
    """AlexNet: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep CNNs", 2012, without its LRN.

    Args:
        groups: 2 as published, for two graphics cards; 1 as it is drawn today.
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
    """The digit recognizer that tutorials build for MNIST."""
    for number, channels in enumerate((32, 64), start=1):
        x = graph.add(Convolution(name=f"conv{number}", channels=channels, kernel=5), x)
        x = graph.add(MaxPool(name=f"pool{number}", size=2, stride=2), x)
    x = graph.add(Dense(name="dense", units=1024), x)
    x = graph.add(Dropout(name="dropout", rate=0.4), x)
    return graph.add(Dense(name=LOGITS, units=classes, relu=False), x)


PREPROCESSING = ("scale", "course")

ARCHITECTURES = {
    "squeezenet": Architecture(
        small_squeezenet(32, False, ((16, 48),), ((32, 96), (32, 96), (24, 96)), ((40, 160),) * 4),
        32,
        10,
        "for 32x32 images",
    ),
    "squeezenet-nano": Architecture(
        small_squeezenet(16, True, ((16, 48),) * 2, ((16, 80),) * 3), 32, 10, "the smallest that is still useful"
    ),
    "squeezenet-course": Architecture(course_squeezenet, 32, 10, "as courses build it for CIFAR-10"),
    "squeezenet-1.0": Architecture(published_squeezenet((96, 7), (2, 5, 9)), 227, 1000, "as published in 2016"),
    "squeezenet-1.1": Architecture(published_squeezenet((64, 3), (2, 4, 6)), 227, 1000, "its authors' lighter one"),
    "digits": Architecture(digits, 28, 10, "as tutorials build it for MNIST", channels=1),
    "alexnet": Architecture(alexnet(groups=1), 227, 1000, "2012's, ungrouped"),
    "alexnet-grouped": Architecture(alexnet(groups=2), 227, 1000, "2012's, with its groups"),
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
    """A network of this package, as a builder.

    Attributes:
        original_dim: size of the images that come in: an ``ImageSize``, or the side of a square in pixels.
        resize_dim: size the network works at, likewise; where it differs, the graph resizes.
        output_size: number of classes.
        name: which of ``ARCHITECTURES``.
        preprocessing: ``scale``, pixels to about -2..2, and images of another size scaled; or ``course``, the middle
            of the image, standardized by itself.
    """

    original_dim: ImageSizeLike = 32
    resize_dim: ImageSizeLike = 32
    output_size: int = 10
    name: str = "squeezenet"
    preprocessing: str = "scale"

    def graph(self) -> Graph:
        """The network as data.

        Raises:
            EdgesqzError: an unknown architecture, an image too small for it, fewer than two classes.
        """
        plan = architecture(self.name)
        if self.output_size < 2:
            raise EdgesqzError(f"a classifier needs at least 2 classes, got output_size={self.output_size}")
        taken, processed = ImageSize.parse(self.original_dim), ImageSize.parse(self.resize_dim)
        graph = Graph(self.name)
        try:
            x = graph.add(Pixels(name="pixels", size=taken, channels=plan.channels))
            logits = plan.body(graph, self._preprocessed(graph, x, taken, processed), self.output_size)
        except EdgesqzError as error:
            raise EdgesqzError(f"{error}; got images of {taken}, processed at {processed}") from error
        graph.add(Softmax(name="probabilities"), logits)
        return graph

    def _preprocessed(self, graph: Graph, x: Node, taken: ImageSize, processed: ImageSize) -> Node:
        fits = taken == processed
        match self.preprocessing:
            case "scale":
                x = graph.add(Normalize(name=NORMALIZE), x)
                return x if fits else graph.add(Resize(name="resize", size=processed), x)
            case "course":
                if processed.height > taken.height or processed.width > taken.width:
                    raise EdgesqzError("cannot cut out more pixels than there are; try --preprocessing scale")
                x = x if fits else graph.add(Crop(name="crop", size=processed), x)
                return graph.add(Standardize(name=NORMALIZE), x)
        raise EdgesqzError(f"unknown preprocessing {self.preprocessing!r}; the known are {', '.join(PREPROCESSING)}")

    def build(self, batch_normalization: Callable[..., Any] | None = None) -> keras.Model:
        """Make the Keras model, with random weights.

        Args:
            batch_normalization: a layer class to use in place of ``keras.layers.BatchNormalization``; training
                gives a faster one.

        Returns:
            A functional model, float32 (N, H, W, channels) in 0..255 to float32 (N, output_size).

        Raises:
            EdgesqzError: as for ``graph``.
        """
        graph = self.graph()
        from keras import layers

        return graph.to_keras(batch_normalization or layers.BatchNormalization)
