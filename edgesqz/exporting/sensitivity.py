"""Choose 8 or 4 bits for each layer, by the loss that 4 bits cause per byte saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting.precision import INT8_BITS, Limit
from edgesqz.outputs import sqnr_db
from edgesqz.plugins import WeightedLayer
from edgesqz.quantization import quantize_kernel
from edgesqz.workspace.sizes import format_size

INT4_BITS = 4
Bits = Mapping[str, int]


@dataclass(frozen=True)
class Score:
    """How well a file performs on training images.

    Attributes:
        loss: Mean squared difference of its outputs from the source model's.
        accuracy: Top-1 accuracy, 0..1; without labels, agreement with the source model.
    """

    loss: float
    accuracy: float


@dataclass(frozen=True)
class LayerChoice:
    """A layer that can have 8 or 4 bits.

    Attributes:
        layer: Name of the layer.
        int8_bytes: Size of its weights with 8 bits.
        int4_bytes: Size of its weights with 4 bits.
        sqnr_db: Signal-to-quantization-noise ratio of its weights with 4 bits.
        loss: Increase of the loss if only this layer has 4 bits. See ``Score``.
        bits: The number of bits chosen.
    """

    layer: str
    int8_bytes: int
    int4_bytes: int
    sqnr_db: float
    loss: float
    bits: int = INT8_BITS

    @property
    def loss_per_kb(self) -> float:
        """Increase of the loss per 1,000 bytes saved."""
        return 1000 * self.loss / (self.int8_bytes - self.int4_bytes)


class Search:
    """Measures the layers of a network and chooses their bits. It converts no file twice.

    Args:
        layers: The layers of the network.
        int4: The number of bits of each layer when every layer that can have 4 bits has them.
        quantize: Returns the file with these bits.
        score: Measures a file.
    """

    def __init__(
        self,
        layers: Sequence[WeightedLayer],
        int4: Bits,
        quantize: Callable[[Bits], bytes],
        score: Callable[[bytes], Score],
    ) -> None:
        self._quantize_all, self._score_file = quantize, score
        self._sizes, self._scores = dict[frozenset[str], int](), dict[frozenset[str], Score]()
        self._layers = [layer for layer in layers if int4[layer.name] == INT4_BITS]
        self._int8 = {**int4, **{layer.name: INT8_BITS for layer in self._layers}}

    def choose(self, limit: Limit, source_accuracy: float) -> tuple[LayerChoice, ...]:
        """Return the layers in execution order, with bits that keep the file within the limit.

        Layers get 4 bits in the order of their loss per byte saved.

        Args:
            limit: The limit.
            source_accuracy: Accuracy of the source model on the images of ``score``, 0..1.

        Raises:
            EdgesqzError: No choice meets the limit, or 8 bits for every layer already do.
        """
        int8_loss = self._score([]).loss
        if limit.size_bytes is not None:
            self._check_size(limit.size_bytes)
        measured = self._measure(int8_loss)
        names = [choice.layer for choice in sorted(measured, key=lambda choice: choice.loss_per_kb)]
        if limit.size_bytes is not None:
            chosen = self._fitting(names, limit.size_bytes)
        else:
            assert limit.accuracy_drop_pp is not None
            chosen = self._accurate(names, limit.accuracy_drop_pp, source_accuracy)
        return tuple(replace(each, bits=INT4_BITS if each.layer in chosen else INT8_BITS) for each in measured)

    def _quantize(self, four: frozenset[str]) -> bytes:
        content = self._quantize_all({**self._int8, **dict.fromkeys(four, INT4_BITS)})
        self._sizes[four] = len(content)
        return content

    def _size(self, names: Iterable[str]) -> int:
        """Return the size of the file in which these layers have 4 bits."""
        four = frozenset(names)
        return self._sizes[four] if four in self._sizes else len(self._quantize(four))

    def _score(self, names: Iterable[str]) -> Score:
        """Return the score of the file in which these layers have 4 bits."""
        four = frozenset(names)
        if four not in self._scores:
            self._scores[four] = self._score_file(self._quantize(four))
        return self._scores[four]

    def _measure(self, int8_loss: float) -> list[LayerChoice]:
        return [
            LayerChoice(
                layer=layer.name,
                int8_bytes=layer.weights,
                int4_bytes=-(-layer.weights // 2),
                sqnr_db=_sqnr_db(layer),
                loss=self._score([layer.name]).loss - int8_loss,
            )
            for layer in self._layers
        ]

    def _check_size(self, size_bytes: int) -> None:
        most = self._size([])
        if most <= size_bytes:
            raise EdgesqzError(
                f"{option('max_size')}: with 8 bits for every layer, the file takes {format_size(most)}, which is "
                f"within {format_size(size_bytes)}; choose variant int8"
            )
        least = self._size(layer.name for layer in self._layers)
        if least > size_bytes:
            raise EdgesqzError(
                f"{option('max_size')}: with 4 bits for every layer that can have them, the file takes "
                f"{format_size(least)}, which is more than {format_size(size_bytes)}; choose a smaller network"
            )

    def _fitting(self, names: Sequence[str], size_bytes: int) -> list[str]:
        """Return the layers with 4 bits: the shortest prefix of names that fits, minus layers not needed to fit."""
        count = next(n for n in range(len(names) + 1) if self._size(names[:n]) <= size_bytes)
        chosen = list(names[:count])
        for name in reversed(names[:count]):  # the most sensitive first
            others = [each for each in chosen if each != name]
            if self._size(others) <= size_bytes:
                chosen = others
        return chosen

    def _accurate(self, names: Sequence[str], drop_pp: float, source_accuracy: float) -> list[str]:
        """Return as many of the first names as keep the accuracy, found by bisection."""
        least, most = 0, len(names)
        while least < most:
            middle = (least + most + 1) // 2
            drop = 100 * (source_accuracy - self._score(names[:middle]).accuracy)
            least, most = (middle, most) if drop <= drop_pp else (least, middle - 1)
        if not least:
            raise EdgesqzError(
                f"{option('max_accuracy_drop')}: no layer can have 4 bits within {drop_pp:g} percentage points; choose "
                "variant int8"
            )
        return list(names[:least])


def _sqnr_db(layer: WeightedLayer) -> float:
    integers, scales = quantize_kernel(layer.kernel, INT4_BITS)
    return sqnr_db(integers * scales, layer.kernel)
