"""The model files of a run while they are measured."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgesqz import plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact, Manifest, Pixels, model_suffix, sha256, whole_bytes
from edgesqz.data import Batch
from edgesqz.engine import Engine, RejectedError
from edgesqz.engine.layer_error import LayerErrors
from edgesqz.errors import EdgesqzError, option
from edgesqz.image_size import ImageSize
from edgesqz.lookup import model_files
from edgesqz.workspace import manifest_path

ROUND_MS = 20  # approximate length of a round; long enough for warm caches after another candidate's round
MAX_INFERENCES_PER_ROUND = 1000

# A candidate warms up until the medians of two consecutive rounds differ by at most this share.
STABLE = 0.02
MAX_WARM_UP_ROUNDS = 20

# The converters store int4 weights only for this operator. Old engines reject them with messages such as "Unsupported
# data type 17 in tensor".
INT4_ADVICE = "the engine may not support CONV_2D with int4 weights; choose variant int8"


@dataclass
class Timing:
    """Latencies of single inferences.

    Attributes:
        first_us: Latency of the first inference.
        inferences_per_round: Number of inferences in a round.
        stable: Whether the latency had settled before timing began.
        rounds_ns: Latencies by round.
    """

    first_us: float
    inferences_per_round: int
    stable: bool
    rounds_ns: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class Memory:
    """Memory that single inferences needed. Values are None if the system does not report them.

    Attributes:
        peak_rss_bytes: Peak resident memory of the engine's process.
        above_idle_bytes: Peak resident memory minus that of the idle process.
    """

    peak_rss_bytes: int | None
    above_idle_bytes: int | None


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for the test images.

    Attributes:
        size: Size of the images.
        probabilities: Predicted probabilities; float32 (N, classes).
        labels: Classes of the images; int64 (N,).
    """

    size: ImageSize
    probabilities: np.ndarray
    labels: np.ndarray


@dataclass(eq=False)
class Candidate:
    """A model file on one engine. Each step of a run adds its measurements.

    Attributes:
        path: The model file.
        named: Whether the user named the file explicitly.
        choice: The runtime, with the version of its engine if one was requested, or None if no runtime reads the file.
        name: Name that no other file of the run has; see ``distinct_names``.
        artifact: The opened file, or None if it cannot be opened.
        pixels: Input values for pixels 0 and 255, or None to read them from the manifest.
        size: Input size at which its exports in the run take images, for a source model of any size, or None.
        error: Why the file cannot be measured, or None if it can.
        no_accuracy: Why the accuracy of this file is not measured, or None if there is nothing to explain.
        engine: The engine that loaded the file, or None before that. Its reported values remain after it is closed.
        timing: Latencies, or None before warm-up and for an engine that is not timed.
        memory: Memory, or None before it is measured and for an engine that is not timed.
        predictions: Predictions for the test images, or None if accuracy is not measured.
        layer_sqnr_db: SQNR of each layer, or None if layers were not compared.
        flips: Contact sheet of the images that are predicted differently from the source model.
    """

    path: Path
    named: bool = False
    choice: plugins.Choice | None = None
    name: str = field(init=False)
    artifact: Artifact | None = field(init=False, default=None)
    pixels: Pixels | None = None
    size: ImageSize | None = None
    error: str | None = None
    no_accuracy: str | None = None
    engine: Engine | None = None
    timing: Timing | None = None
    memory: Memory | None = None
    predictions: Predictions | None = None
    layer_sqnr_db: LayerErrors | None = None
    flips: Path | None = None

    def __post_init__(self) -> None:
        """Open the file. If that fails, the error becomes its row."""
        self.name = self.path.name
        with self.collecting_failures():
            self.choice = self.choice or plugins.Choice(plugins.runtime_for(model_suffix(self.path)))
            self.artifact = Artifact.open(self.path)

    @property
    def manifest(self) -> Manifest | None:
        return self.artifact.manifest if self.artifact else None

    @property
    def untrained(self) -> bool:
        return self.manifest is not None and self.manifest.untrained

    @property
    def has_accuracy(self) -> bool:
        """Whether the file may be a trained classifier, according to its manifest if it has one."""
        return self.manifest is None or (self.manifest.is_classifier and not self.manifest.untrained)

    @functools.cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the file, or None if it cannot be opened."""
        return sha256(whole_bytes(self.path)) if self.artifact else None

    @property
    def source_sha256(self) -> str | None:
        """SHA-256 of the file that this one was exported from, or None if it is not an export."""
        return self.manifest.source_sha256 if self.manifest else None

    @property
    def has_int4_weights(self) -> bool:
        return self.manifest is not None and 4 in (self.manifest.weight_bits or {}).values()

    @property
    def is_source_model(self) -> bool:
        return self.path.suffix == KERAS_SUFFIX

    @property
    def is_timed(self) -> bool:
        return self.choice is not None and self.choice.runtime.TIMED

    @property
    def runtime_version(self) -> str | None:
        """Version of the engine that ran, or else of the one that was to run. None if unknown."""
        if self.engine:
            return self.engine.version
        if self.choice is None:
            return None
        return self.choice.version if self.choice.lives_apart else plugins.engine_version(self.choice.runtime)

    @contextlib.contextmanager
    def collecting_failures(self) -> Iterator[None]:
        """Record an error in this candidate's row and let the run continue."""
        try:
            yield
        except RejectedError as error:
            self.error = f"{error}; {INT4_ADVICE}" if self.has_int4_weights else str(error)
        except EdgesqzError as error:
            self.error = str(error)

    def warm_up(self, engine: Engine, image: Batch) -> None:
        """Choose the number of inferences in a round, and run rounds until their latency has settled."""
        first_us = engine.first_us(image)
        once_ms = max(min(engine.time_ns(3)) / 1e6, 1e-3)
        timing = Timing(first_us, _clipped(ROUND_MS / once_ms), stable=False)
        before = math.inf
        for _ in range(MAX_WARM_UP_ROUNDS):
            median = float(np.median(engine.time_ns(timing.inferences_per_round)))
            timing.stable = abs(median - before) <= STABLE * median
            if timing.stable:
                break
            before = median
        self.timing = timing

    def time_round(self, engine: Engine) -> None:
        """Record the latencies of a round."""
        assert self.timing  # warming up has created it
        self.timing.rounds_ns.append(engine.time_ns(self.timing.inferences_per_round))

    def measure_memory(self, engine: Engine) -> None:
        """Record the memory that single inferences needed, before whole batches need more."""
        peak, idle = engine.peak_rss_bytes(), engine.idle_rss_bytes
        self.memory = Memory(peak, None if peak is None or idle is None else peak - idle)


def _clipped(count: float) -> int:
    return max(1, min(int(count), MAX_INFERENCES_PER_ROUND))


def with_source_models(candidates: list[Candidate]) -> list[Candidate]:
    """Add the source model of each export, if it is in the same folder or in the zoo, before its first export."""
    complete: list[Candidate] = []
    for candidate in candidates:
        if candidate.source_sha256 and source_model_of(candidate, [*candidates, *complete]) is None:
            places = (candidate.path.parent, ZOO)
            available = [Candidate(path) for place in places for path in model_files(place) if _may_be_source(path)]
            source_model = source_model_of(candidate, available)
            complete += [source_model] if source_model else []
        complete.append(candidate)
    return complete


def _may_be_source(path: Path) -> bool:
    """Return whether a file is a Keras model or comes from another tool, unlike the exports beside it."""
    return path.suffix == KERAS_SUFFIX or not manifest_path(path).is_file()


def place(path: Path) -> Path:
    """Return the canonical form of a path. Links to folders are followed, but not a link to the file itself."""
    return path.parent.resolve() / path.name


def distinct_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a distinct name for each file: its file name, preceded by as many parent folders as necessary."""
    parts = {path: place(path).parts[1:] for path in paths}
    names = {}
    for path, own in parts.items():
        alike = [other for other in parts.values() if other != own]
        depths = range(1, len(own) + 1)
        depth = next((d for d in depths if all(own[-d:] != other[-d:] for other in alike)), len(own))
        names[path] = "/".join(own[-depth:])
    return names


def source_model_of(candidate: Candidate, among: Sequence[Candidate]) -> Candidate | None:
    """Return the model that a file was exported from. For a source model, return the model itself."""
    if candidate.path.suffix == KERAS_SUFFIX:
        return candidate
    if wanted := candidate.source_sha256:
        return next((each for each in among if each.sha256 == wanted), None)
    exports = (each for each in among if each.source_sha256)
    return candidate if any(each.source_sha256 == candidate.sha256 for each in exports) else None


def pixels_by_exports(candidate: Candidate, among: Sequence[Candidate]) -> Pixels | None:
    """Return the pixel range of a source model according to the manifests of its exports, or None if they have none.

    Raises:
        EdgesqzError: The manifests contradict each other.
    """
    exports = _exports(candidate, among)
    ranges = {str(manifest.source_pixels): manifest.source_pixels for manifest in exports if manifest.source_pixels}
    if len(ranges) > 1:
        raise EdgesqzError(
            f"its exports expect different pixel ranges, {' and '.join(ranges)}; set {option('pixel_range')}"
        )
    return next(iter(ranges.values()), None)


def size_by_exports(candidate: Candidate, among: Sequence[Candidate]) -> ImageSize | None:
    """Return the input size of the exports of a source model without a manifest, or None if it has none."""
    exports = (each for each in _exports(candidate, among) if each.takes_images)
    return next((each.input.image_format[0] for each in exports), None)


def _exports(candidate: Candidate, among: Sequence[Candidate]) -> list[Manifest]:
    """Return the manifests of the exports of a source model that itself has none."""
    if not candidate.artifact or candidate.manifest:
        return []
    return [each.manifest for each in among if each.manifest and each.source_sha256 == candidate.sha256]
