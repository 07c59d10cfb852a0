"""A model file on its way to a row of figures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgesqz import plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact, Manifest, PixelRange, read_bytes, sha256
from edgesqz.benchmarking.layer_error import LayerErrors
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError, option
from edgesqz.image_size import ImageSize
from edgesqz.machine import Machine

# A candidate runs about this long before it is the next one's turn; long enough for its caches to be warm again.
ROUND_MS = 20
MOST_IN_A_ROUND = 1000

# Before it counts, a candidate runs until the medians of two rounds are this close, but no longer than so many rounds.
STABLE = 0.02
MOST_WARM_UP_ROUNDS = 20


@dataclass
class Candidate:
    """A model file on its way to a row of figures."""

    path: Path
    named: bool = False  # by the user
    choice: plugins.Choice | None = None
    name: str = ""  # that tells it from the other files of the run; see distinct_names
    artifact: Artifact | None = None
    pixels: PixelRange | None = None  # how a pixel becomes a value of its input, if it has no manifest
    runtime_version: str | None = None
    error: str | None = None  # in place of everything below
    no_accuracy: str | None = None  # why it is not measured, if others may be
    machine: Machine | None = None  # that it ran on
    engine_facts: dict[str, Any] = field(default_factory=dict)  # of its process, by the names in a row
    first_us: float | None = None
    inferences_a_round: int = 0
    rounds_ns: list[list[int]] = field(default_factory=list)  # of single inferences
    stable: bool | None = None  # whether its rounds took the same time before they counted
    peak_rss_bytes: int | None = None
    memory_bytes: int | None = None
    layer_sqnr_db: LayerErrors | None = None
    size: ImageSize | None = None  # of the images it takes
    probabilities: np.ndarray | None = None  # float32 (N, classes)
    labels: np.ndarray | None = None  # int64 (N,), the classes of what it classified
    flips: Path | None = None  # the contact sheet of what it predicts differently from its source model

    def __post_init__(self) -> None:
        """Look the file over; one that is damaged keeps its row."""
        self.name = self.path.name
        with self.collecting_failures():
            self.choice = self.choice or plugins.Choice(plugins.runtime_for(self.path.suffix))
            if not self.choice.lives_apart:
                self.runtime_version = plugins.engine_version(self.choice.runtime)
            self.artifact = Artifact.open(self.path)

    @property
    def manifest(self) -> Manifest | None:
        return self.artifact.manifest if self.artifact else None

    @property
    def untrained(self) -> bool:
        return self.manifest is not None and self.manifest.untrained

    @property
    def is_source_model(self) -> bool:
        return self.path.suffix == KERAS_SUFFIX

    @contextlib.contextmanager
    def collecting_failures(self) -> Iterator[None]:
        """Take an error as this candidate's own: its row fails, the run goes on."""
        try:
            yield
        except EdgesqzError as error:
            self.error = str(error)

    @property
    def is_timed(self) -> bool:
        return self.choice is not None and self.choice.runtime.TIMED

    def open(self, engine: Engine) -> None:
        """Take down what the engine tells of itself."""
        self.runtime_version, self.machine = engine.version, engine.machine
        self.engine_facts["arena_bytes"] = engine.arena_bytes
        if self.is_timed:
            self.engine_facts |= {"load_ms": engine.load_ms, "overhead_us": engine.overhead_us}

    def warm_up(self, engine: Engine, image: np.ndarray) -> None:
        """Find out how many inferences make a round, and run until rounds take the same time."""
        self.first_us = engine.first_us(image)
        once_ms = max(min(engine.time_ns(3)) / 1e6, 1e-3)
        self.inferences_a_round = _clipped(ROUND_MS / once_ms)
        before = math.inf
        for _ in range(MOST_WARM_UP_ROUNDS):
            median = float(np.median(engine.time_ns(self.inferences_a_round)))
            self.stable = abs(median - before) <= STABLE * median
            if self.stable:
                break
            before = median

    def measure_memory(self, engine: Engine) -> None:
        """Ask for the memory that single inferences took, before whole batches."""
        peak = engine.peak_rss_bytes()
        self.peak_rss_bytes = peak
        self.memory_bytes = None if peak is None or engine.idle_rss_bytes is None else peak - engine.idle_rss_bytes


def _clipped(count: float) -> int:
    return max(1, min(int(count), MOST_IN_A_ROUND))


def with_source_models(candidates: list[Candidate]) -> list[Candidate]:
    """Put the source model of each export, if it lies beside it or in the zoo, before the first of its exports."""
    complete: list[Candidate] = []
    for candidate in candidates:
        if candidate.manifest and source_model_of(candidate, [*candidates, *complete]) is None:
            places = (candidate.path.parent, ZOO)
            at_hand = [Candidate(path) for place in places for path in place.glob(f"*{KERAS_SUFFIX}")]
            source_model = source_model_of(candidate, at_hand)
            complete += [source_model] if source_model else []
        complete.append(candidate)
    return complete


def place(path: Path) -> Path:
    """The one spelling of a path; a link to a file stays what it is."""
    return path.parent.resolve() / path.name


def distinct_names(paths: Sequence[Path]) -> dict[Path, str]:
    """What to call files where they stand side by side: their names, with as many folders as tell them apart."""
    parts = {path: place(path).parts[1:] for path in paths}
    names = {}
    for path, own in parts.items():
        alike = [other for other in parts.values() if other != own]
        depths = range(1, len(own) + 1)
        depth = next((d for d in depths if all(own[-d:] != other[-d:] for other in alike)), len(own))
        names[path] = "/".join(own[-depth:])
    return names


def source_model_of(candidate: Candidate, among: Sequence[Candidate]) -> Candidate | None:
    """The Keras model that a file was made from; a source model is its own."""
    if candidate.is_source_model:
        return candidate
    wanted = candidate.manifest.source_sha256 if candidate.manifest else None
    readable = (c for c in among if c.is_source_model and c.artifact)
    return next((c for c in readable if sha256(read_bytes(c.path)) == wanted), None)


def pixels_by_exports(candidate: Candidate, among: Sequence[Candidate]) -> PixelRange | None:
    """How a pixel becomes a value of a source model's input, by its exports' manifests; None if none tells.

    Raises:
        EdgesqzError: they contradict each other.
    """
    if not candidate.is_source_model or not candidate.artifact or candidate.manifest:
        return None
    own = sha256(read_bytes(candidate.path))
    exports = [each.manifest for each in among if each.manifest and each.manifest.source_sha256 == own]
    told = {str(manifest.source_pixels): manifest.source_pixels for manifest in exports if manifest.source_pixels}
    if len(told) > 1:
        ranges = " and ".join(told)
        raise EdgesqzError(f"it was exported for pixels {ranges}; name what it expects with {option('pixel_range')}")
    return next(iter(told.values()), None)
