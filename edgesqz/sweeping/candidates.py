"""Select the candidates of a sweep that fit the budget, before any training."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgesqz import plugins
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.models.costs import FileKind, network_costs
from edgesqz.sweeping.space import Candidate, Space
from edgesqz.sweeping.trials import Costs, Trial
from edgesqz.workspace.sizes import format_size, parse_quota

MAX_MISSES = 2000  # consecutive draws without a new candidate that fits, after which the space counts as exhausted
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Budget:
    """Limits on the cost of a network. None means no limit.

    Attributes:
        size_bytes: Size of the smallest exported file.
        macs: Multiply-accumulates for one image.
        arena_bytes: Memory of the int8 graph's tensors.
    """

    size_bytes: int | None = None
    macs: int | None = None
    arena_bytes: int | None = None

    @classmethod
    def parse(cls, size: str | int | None, macs: str | int | None, arena: str | int | None) -> Budget:
        """Parse limits such as ``60kB``, ``5M`` and ``64kB``.

        Raises:
            EdgesqzError: A limit is not a valid size or number.
        """
        return cls(
            parsed("max_size", parse_quota, size),
            None if macs is None else parsed("max_macs", _count, str(macs)),
            parsed("max_arena", parse_quota, arena),
        )

    def within(self, quota_bytes: int | None) -> Budget:
        """Return the budget with the quota as another size limit, because a larger file could never be kept."""
        limits = [limit for limit in (self.size_bytes, quota_bytes) if limit is not None]
        return replace(self, size_bytes=min(limits, default=None))

    def admits(self, costs: Costs) -> bool:
        """Return whether a network stays within every limit."""
        return all(
            limit is None or found <= limit
            for limit, found in (
                (self.size_bytes, costs.smallest_file_bytes),
                (self.macs, costs.macs),
                (self.arena_bytes, costs.peak_activation_bytes),
            )
        )


def _count(text: str) -> int:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s?([kMG]?)", text)
    if not match:
        raise EdgesqzError(f"expected a number such as 5M or 800k, got {text!r}")
    return round(float(match[1]) * UNITS[match[2]])


@functools.lru_cache(maxsize=10_000)
def costs_of(model: str, input_size: int | str | None, classes: int, files: tuple[FileKind, ...]) -> Costs:
    """Compute the costs of a network from its graph.

    Args:
        model: Name of the network.
        input_size: Size of the input images, or None for the size that the network was designed for.
        classes: Number of classes.
        files: The files that are exported.

    Raises:
        EdgesqzError: The network cannot be built, for example because the images are too small.
    """
    found = network_costs(model, classes=classes, input_size=input_size)
    return Costs(found.parameters, found.macs, tuple(map(found.file_bytes, files)), found.peak_activation_bytes)


@dataclass
class Selection:
    """A selection of the candidates in a space that fit a budget.

    Attributes:
        space: The space to select from.
        budget: Limits on the cost of a candidate.
        classes: Number of classes in the dataset.
        first: Number of the next new trial.
    """

    space: Space
    budget: Budget
    classes: int
    first: int = 1

    def __post_init__(self) -> None:
        self._smallest: tuple[int, str] | None = None
        self._problem: EdgesqzError | None = None
        self._files = tuple(
            FileKind(name, variant, plugins.converter(name).VARIANTS[variant].bytes_per_parameter)
            for name in self.space.formats
            for variant in self.space.variants
        )

    def random(self, count: int | None, seed: int, taken: Iterable[Candidate] = ()) -> list[Trial]:
        """Draw distinct candidates, fewer than ``count`` if the space seems to contain no more that fit."""
        return self._numbered(self._fitting(self._draws(seed)), count, taken, MAX_MISSES)

    def grid(self, count: int | None, taken: Iterable[Candidate] = ()) -> list[Trial]:
        """Return every candidate of the grid that fits, or the first ``count`` of them."""
        return self._numbered(self._fitting(self.space.grid()), count, taken)

    def fits(self, candidate: Candidate) -> Costs | None:
        """Return the costs of a candidate, or None if they exceed the budget or the network cannot be built."""
        try:
            found = costs_of(candidate.model, candidate.input_size, self.classes, self._files)
        except EdgesqzError as error:
            self._problem = error
            return None
        if self._smallest is None or found.smallest_file_bytes < self._smallest[0]:
            self._smallest = found.smallest_file_bytes, candidate.model
        return found if self.budget.admits(found) else None

    def nothing_fits(self) -> EdgesqzError:
        """Return an error that says why no candidate fits."""
        if self._smallest is None:
            return EdgesqzError(f"no network in the space can be built: {self._problem or 'the space is empty'}")
        size, model = self._smallest
        return EdgesqzError(
            f"no network in the space fits the limits; the smallest is {model}, with a file of about "
            f"{format_size(size)}; raise {option('max_size')}, {option('max_macs')} or {option('max_arena')}, or add "
            "smaller networks to the space"
        )

    def _draws(self, seed: int) -> Iterator[Candidate]:
        generator = np.random.default_rng(seed)
        while True:
            yield self.space.sample(generator)

    def _fitting(self, candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, Costs] | None]:
        """Yield each candidate with its costs, or None if it does not fit."""
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
