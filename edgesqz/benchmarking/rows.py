"""The rows of a report: the measurements of one model file on one engine, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator

from edgesqz.engine.layer_error import LayerErrors
from edgesqz.stats import SIGNIFICANCE, Interval, median_interval

MAX_RELATIVE_WIDTH = 0.2  # of a ratio's interval. A ratio with a wider interval is noise.

# Whether each image was classified correctly; bool (N,). In JSON, a string with a 1 or a 0 for each image.
Correct = Annotated[
    NDArray[np.bool_],
    PlainValidator(lambda text: np.array([digit == "1" for digit in text])),
    PlainSerializer(lambda correct: "".join("1" if each else "0" for each in correct), return_type=str),
]


@dataclass(frozen=True)
class Latency:
    """Latency of single inferences, in microseconds.

    Attributes:
        p50: Median.
        p90: 90th percentile, or None if batches were timed.
        p99: 99th percentile, or None if batches were timed.
        n: Number of timed inferences.
        every_5th: Percentiles 0, 5, 10, …, 100, of the means of batches if batches were timed.
        p50_interval: 95 % confidence interval of the median, from the medians of the rounds, or None for fewer than six
            rounds.
        rounds_p50: Median of each round. Rounds with the same number ran at about the same time in all rows.
        batch: Number of inferences that were timed together. If it is not 1, each duration is the mean of a batch.
    """

    p50: float
    p90: float | None
    p99: float | None
    n: int
    every_5th: tuple[float, ...]
    p50_interval: Interval | None = None
    rounds_p50: tuple[float, ...] = ()
    batch: int = 1

    @classmethod
    def of(cls, rounds: Sequence[Sequence[int]], batch: int = 1) -> Latency:
        """Summarize durations in nanoseconds, grouped by round. Each round has at least one duration."""
        durations = np.concatenate(rounds) / 1000
        p50, p90, p99 = (float(value) for value in np.percentile(durations, (50, 90, 99)))
        single = batch == 1
        every_5th = tuple(np.percentile(durations, range(0, 101, 5)).tolist())
        rounds_p50 = tuple(float(np.median(each)) / 1000 for each in rounds)
        return cls(
            p50,
            p90 if single else None,
            p99 if single else None,
            batch * len(durations),
            every_5th,
            median_interval(rounds_p50),
            rounds_p50,
            batch,
        )


@dataclass(frozen=True)
class Ratio:
    """Latency relative to that of another file.

    Attributes:
        to: Name of the other file.
        median: Median of the ratios of the rounds. The ratio of a round is the ratio of the two medians.
        interval: 95 % confidence interval of the ratio, or None for fewer than six rounds.
    """

    to: str
    median: float
    interval: Interval | None

    @classmethod
    def of(cls, ours: Latency, to: str, theirs: Latency) -> Ratio:
        """Compare two rows of one run round by round, so that drift of the machine's speed cancels out."""
        ratios = [one / other for one, other in zip(ours.rounds_p50, theirs.rounds_p50, strict=True)]
        return cls(to, float(np.median(ratios)), median_interval(ratios))

    @property
    def is_own(self) -> bool:
        """Whether the file is compared with itself."""
        return self.median == 1 and self.interval in (None, (1, 1))

    @property
    def is_noise(self) -> bool:
        """Whether the interval is wider than a fifth of the ratio, which is then meaningless."""
        if self.interval is None:
            return not self.is_own
        return self.interval[1] - self.interval[0] > MAX_RELATIVE_WIDTH * self.median


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Accuracy on the test images.

    Attributes:
        accuracy: Top-1 accuracy, 0..1.
        accuracy_interval: 95 % confidence interval of the top-1 accuracy.
        top5: Top-5 accuracy, 0..1, or None for fewer than six classes.
        class_accuracies: Top-1 accuracy of each class, 0..1, in the order of the labels, or None for a class without
            images.
        confusion: Number of images of each class (row) by predicted class (column), in the order of the labels.
        correct: Whether each image was classified correctly, in the order of the images; bool (N,).
    """

    accuracy: float
    accuracy_interval: Interval
    top5: float | None
    class_accuracies: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    correct: Correct = field(compare=False, repr=False)

    @property
    def is_guessing(self) -> bool:
        """Whether the accuracy is not significantly better than picking classes at random."""
        return self.accuracy_interval[0] <= 1 / len(self.class_accuracies)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Predictions compared with those of the source model.

    Attributes:
        agreement: Share of the images for which both predict the same class, 0..1.
        accuracy_drop_pp: Accuracy of the source model minus that of this file, in percentage points.
        gained: Number of images that only this file classifies correctly.
        lost: Number of images that only the source model classifies correctly.
        mcnemar_p: p-value of McNemar's exact test on these two numbers.
    """

    agreement: float
    accuracy_drop_pp: float
    gained: int
    lost: int
    mcnemar_p: float

    @property
    def is_significant(self) -> bool:
        """Whether the two accuracies differ significantly."""
        return self.mcnemar_p < SIGNIFICANCE


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Latency and memory on an engine with meaningful timing.

    Attributes:
        latency_us: Latency of one image.
        latency_ratio: Latency relative to the baseline or else to the source model, or None without either.
        stable: Whether the latency was stable before timing began. If not, the machine is noisy.
        overhead_us: Measured time of an empty call, which is part of every latency.
        load_ms: Time to import the engine and load the model.
        first_us: Latency of the first inference.
        peak_rss_bytes: Peak resident memory of the engine's process up to the end of timing, or None if the system
            does not report it.
        memory_bytes: Peak resident memory minus that of the process before it loaded the engine, or None if the system
            does not report it.
    """

    latency_us: Latency
    latency_ratio: Ratio | None
    stable: bool
    overhead_us: float
    load_ms: float
    first_us: float
    peak_rss_bytes: int | None
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file and the engine for it.

    Attributes:
        artifact: File name, with as many parent folders as distinguish it from the other files of the run.
        path: Path of the file.
        sha256: SHA-256 of the file, in hexadecimal, or None for a file that cannot be read.
        format: Suffix of the file, without the dot.
        variant: Variant according to the manifest, or None without a manifest.
        runtime: Name of the runtime, or None if no runtime reads the format.
        runtime_version: Version of the engine, or None if unknown.
        size_bytes: Size of the file.
        gzipped_bytes: Size after gzip, as in a download or an update, or None for a file that cannot be read.
        threads: Number of threads of the engine.
        named: Whether the user named this file. Source models and the files of a whole folder are not named.
        untrained: Whether the weights are random.
    """

    artifact: str
    path: str
    sha256: str | None
    format: str
    variant: str | None
    runtime: str | None
    runtime_version: str | None
    size_bytes: int
    gzipped_bytes: int | None
    threads: int
    named: bool
    untrained: bool


@dataclass(frozen=True, kw_only=True)
class Failed(ModelFile):
    """A file that could not be measured.

    Attributes:
        error: Why it could not be measured, in one line.
    """

    error: str


@dataclass(frozen=True, kw_only=True)
class Measured(ModelFile):
    """A file that was measured.

    Attributes:
        evaluation: Accuracy, or None if it was not measured.
        no_accuracy: Why this file has no accuracy although others may have one, or None if there is nothing to explain.
        comparison: Comparison with the source model, or None without a source model or without accuracy.
        performance: Latency and memory, or None for an engine without meaningful timing, such as one for
            microcontrollers.
        arena_bytes: Size of the engine's memory arena, or None for an engine without one.
        layer_sqnr_db: Signal-to-quantization-noise ratio of each layer in dB, or None if layers were not compared.
        may_saturate: Whether int8 weights may saturate on the processor that was used, which costs accuracy. See
            ``edgesqz.engine.saturation``.
        flips: Contact sheet of the images that are predicted differently from the source model, or None if there is
            none.
    """

    evaluation: Evaluation | None
    no_accuracy: str | None
    comparison: Comparison | None
    performance: Performance | None
    arena_bytes: int | None
    layer_sqnr_db: LayerErrors | None
    may_saturate: bool
    flips: str | None

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy, 0..1, or None if it was not measured."""
        return self.evaluation.accuracy if self.evaluation else None

    @property
    def p50_us(self) -> float | None:
        """Median latency in microseconds, or None if it was not measured."""
        return self.performance.latency_us.p50 if self.performance else None


Row = Measured | Failed
