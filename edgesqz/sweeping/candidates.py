"""The candidates of a sweep that fit the budget, found before a second is spent on training."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from edgesqz.errors import EdgesqzError, option
from edgesqz.models.costs import network_costs
from edgesqz.sweeping.space import Candidate, Space
from edgesqz.sweeping.trials import Costs, Trial
from edgesqz.workspace.sizes import format_size, parse_size

MOST_MISSES = 2000  # draws in a row that give nothing new that fits, before the space counts as exhausted
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost; None for no limit.

    Attributes:
        size_bytes: Size of the int8 .tflite file.
        macs: Multiply-accumulates for one image.
        arena_bytes: Memory of the int8 graph's tensors.
    """

    size_bytes: int | None = None
    macs: int | None = None
    arena_bytes: int | None = None

    @classmethod
    def parse(cls, size: str | int | None, macs: str | int | None, arena: str | int | None) -> Budget:
        """Read the limits as a person writes them: ``60kB``, ``5M``, ``64kB``.

        Raises:
            EdgesqzError: One of them is no size or no number.
        """
        return cls(_size(size), None if macs is None else _count("max_macs", str(macs)), _size(arena))

    def admits(self, costs: Costs) -> bool:
        """Whether a network stays within every limit."""
        return all(
            limit is None or found <= limit
            for limit, found in (
                (self.size_bytes, costs.tflite_int8_bytes),
                (self.macs, costs.macs),
                (self.arena_bytes, costs.peak_activation_bytes),
            )
        )


def _size(size: str | int | None) -> int | None:
    return None if size is None else parse_size(str(size))


def _count(name: str, text: str) -> int:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s?([kMG]?)", text)
    if not match:
        raise EdgesqzError(f"expected a number such as 5M or 800k for {option(name)}, got {text!r}")
    return round(float(match[1]) * UNITS[match[2]])


@functools.lru_cache(maxsize=10_000)
def costs_of(model: str, input_size: int | str | None, classes: int) -> Costs:
    """Count what a network costs, from its graph.

    Raises:
        EdgesqzError: The network cannot be built, such as for images that are too small.
    """
    found = network_costs(model, classes=classes, input_size=input_size)
    return Costs(found.parameters, found.macs, found.tflite_int8_bytes, found.peak_activation_bytes)


@dataclass
class Selection:
    """Picks the candidates of a space that fit a budget, numbering them from ``first``.

    Attributes:
        space: The space to pick from.
        budget: What a candidate may cost.
        classes: Number of classes in the dataset.
        first: The number of the first trial.
    """

    space: Space
    budget: Budget
    classes: int
    first: int = 1

    def __post_init__(self) -> None:
        self._smallest: tuple[int, str] | None = None
        self._problem: EdgesqzError | None = None

    def random(self, count: int | None, seed: int, taken: Iterable[Candidate] = ()) -> list[Trial]:
        """Draw different candidates; fewer than ``count`` if the space seems to have no more that fit."""
        return self._numbered(self._fitting(self._draws(seed)), count, taken, MOST_MISSES)

    def grid(self, count: int | None, taken: Iterable[Candidate] = ()) -> list[Trial]:
        """Take every candidate that fits, or the first ``count``."""
        return self._numbered(self._fitting(self.space.grid()), count, taken)

    def fits(self, candidate: Candidate) -> Costs | None:
        """Count what a candidate costs; None if that is over the budget or its network cannot be built."""
        try:
            found = costs_of(candidate.model, candidate.input_size, self.classes)
        except EdgesqzError as error:
            self._problem = error
            return None
        if self._smallest is None or found.tflite_int8_bytes < self._smallest[0]:
            self._smallest = found.tflite_int8_bytes, candidate.model
        return found if self.budget.admits(found) else None

    def nothing_fits(self) -> EdgesqzError:
        """Say why there is no candidate."""
        if self._smallest is None:
            return EdgesqzError(f"no network of the space can be built: {self._problem or 'it is empty'}")
        size, model = self._smallest
        return EdgesqzError(
            f"no network of the space fits the limits; the smallest is {model} with about {format_size(size)} as an "
            f"int8 .tflite file; raise {option('max_size')}, {option('max_macs')} or {option('max_arena')}, or widen "
            "the space"
        )

    def _draws(self, seed: int) -> Iterator[Candidate]:
        generator = np.random.default_rng(seed)
        while True:
            yield self.space.sample(generator)

    def _fitting(self, candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, Costs] | None]:
        """Each candidate with its costs, or None for one that does not fit."""
        for candidate in candidates:
            found = self.fits(candidate)
            yield (candidate, found) if found else None

    def _numbered(
        self,
        found: Iterable[tuple[Candidate, Costs] | None],
        count: int | None,
        taken: Iterable[Candidate],
        patience: int | None = None,
    ) -> list[Trial]:
        seen, trials, misses = set(taken), list[Trial](), 0
        for each in found:
            if misses == patience:
                break
            if each is None or each[0] in seen:
                misses += 1
                continue
            if len(trials) == count:
                break
            misses = 0
            seen.add(each[0])
            trials.append(Trial.of(self.first + len(trials), *each))
        if not trials and not seen:
            raise self.nothing_fits()
        return trials
