"""Names of the layers in a converted network."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def kernel_layers(model: keras.Model) -> set[str]:
    """Return the names of the layers that have a kernel, including those of nested models."""
    paths = [weight.path.split("/") for weight in model.weights]
    return {path[-2] for path in paths if path[-1].endswith("kernel")}


def layer_name(texts: Iterable[str], names: Collection[str]) -> str | None:
    """Return the layer that the names of an operator and its tensors mention, or None if they mention none.

    TensorFlow names tensors by path, such as ``functional_1/stem_1/convolution`` for a tensor of layer ``stem``. It may
    append a number to the name of the layer. The last part of the path that names a layer counts.

    Args:
        texts: The names, in the order in which to search them.
        names: Names of the layers.
    """
    for text in texts:
        for part in reversed(text.split("/")):
            for name in (re.sub(r"_\d+$", "", part), part):
                if name in names:
                    return name
    return None
