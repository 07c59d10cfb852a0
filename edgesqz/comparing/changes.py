"""What changed about one file on one engine between two reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edgesqz.benchmarking.budget import Limit, Violation
from edgesqz.benchmarking.rows import Evaluation, Latency, Measured, Ratio
from edgesqz.stats import SIGNIFICANCE, Interval, mcnemar_p


@dataclass(frozen=True)
class SizeChange:
    """A size before and after.

    Attributes:
        old_bytes: The size in the old report.
        new_bytes: The size in the new report.
    """

    old_bytes: int
    new_bytes: int

    @property
    def growth_percent(self) -> float:
        """Growth in percent, negative for a smaller size."""
        return 100 * (self.new_bytes - self.old_bytes) / self.old_bytes


@dataclass(frozen=True, kw_only=True)
class AccuracyChange:
    """A top-1 accuracy before and after.

    Attributes:
        old: Accuracy in the old report, 0..1.
        new: Accuracy in the new report, 0..1.
        gained: Number of images that only the new file classifies correctly, or None for different test images.
        lost: Number of images that only the old file classifies correctly, or None for different test images.
        mcnemar_p: p-value of McNemar's exact test on these two numbers, or None for different test images.
        is_significant: Whether p < 0.05 or, for different test images, whether the 95 % intervals do not overlap.
    """

    old: float
    new: float
    gained: int | None = None
    lost: int | None = None
    mcnemar_p: float | None = None
    is_significant: bool

    @classmethod
    def of(cls, old: Evaluation, new: Evaluation, *, same_images: bool) -> AccuracyChange:
        """Compare two accuracies, image by image if the test images are the same."""
        if not same_images or len(old.correct) != len(new.correct):
            is_significant = not _overlap(old.accuracy_interval, new.accuracy_interval)
            return cls(old=old.accuracy, new=new.accuracy, is_significant=is_significant)
        gained, lost = int(np.sum(new.correct & ~old.correct)), int(np.sum(old.correct & ~new.correct))
        p = mcnemar_p(gained, lost)
        return cls(
            old=old.accuracy,
            new=new.accuracy,
            gained=gained,
            lost=lost,
            mcnemar_p=p,
            is_significant=p < SIGNIFICANCE,
        )

    @property
    def drop_pp(self) -> float:
        """Old accuracy minus new accuracy, in percentage points."""
        return round(100 * (self.old - self.new), 9)  # 90 % - 89.5 % is 0.5, as in a limit


@dataclass(frozen=True)
class LatencyChange:
    """A latency before and after.

    Attributes:
        old: The old latency: relative to the baseline or, without one, in microseconds.
        new: The new latency, in the same unit.
        ratio: The new latency divided by the old one, with an interval computed from the bounds of the two
            intervals. This interval is wider than a 95 % interval; it is None if either report has fewer than six
            timing rounds.
        noise: Factor by which unchanged files on the same runtime became slower or faster between the two runs, at
            least 1.
    """

    old: float
    new: float
    ratio: Ratio
    noise: float = 1.0

    @classmethod
    def of(cls, old: tuple[float, Interval | None], new: tuple[float, Interval | None], to: str) -> LatencyChange:
        """Compare two latencies, each with its interval.

        Args:
            old: The old latency.
            new: The new latency.
            to: Name of the old report.
        """
        (before, old_interval), (after, new_interval) = old, new
        interval = None
        if old_interval and new_interval:
            interval = new_interval[0] / old_interval[1], new_interval[1] / old_interval[0]
        return cls(before, after, Ratio(to, after / before, interval))

    @property
    def factor(self) -> float:
        """The smallest factor of change, in either direction, that the interval of the ratio allows."""
        return max(1.0, self.ratio.interval[0], 1 / self.ratio.interval[1]) if self.ratio.interval else 1.0

    @property
    def is_significant(self) -> bool:
        """Whether the intervals of the two latencies do not overlap, and no unchanged file changed as much."""
        return self.factor > self.noise

    @property
    def is_noise(self) -> bool:
        """Whether the ratio is too uncertain to show."""
        return self.ratio.is_noise and not self.is_significant

    @property
    def slowdown_percent(self) -> float:
        """Increase of the latency in percent, negative for a faster file."""
        return 100 * (self.ratio.median - 1)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What changed about one file on one engine. A figure that one of the reports does not have is None.

    Attributes:
        label: Unique name of the row in the new report.
        artifact: File name.
        runtime: Name of the runtime, with its version if several versions ran the file.
        same_file: Whether the file has the same SHA-256 in both reports.
        same_engine: Whether the version of the engine and the number of threads are the same in both reports.
        size: Size of the file.
        arena: Size of the engine's memory arena.
        memory: Peak memory that the engine added to its idle process.
        accuracy: Top-1 accuracy.
        latency: Latency.
        violations: The limits that the new file violates.
        within_noise: Limits that it would violate if the difference were significant.
    """

    label: str
    artifact: str
    runtime: str
    same_file: bool
    same_engine: bool
    size: SizeChange
    arena: SizeChange | None
    memory: SizeChange | None
    accuracy: AccuracyChange | None
    latency: LatencyChange | None
    violations: tuple[Violation, ...] = ()
    within_noise: tuple[Violation, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """A file that is the same in both reports, measured on the same version of the same engine.

    Attributes:
        label: Name of the row in the new report.
        old: Its latency in the old report.
        new: Its latency in the new report.
    """

    label: str
    old: Latency
    new: Latency


def size_change(old: int | None, new: int | None) -> SizeChange | None:
    """Return the change of a size, or None if one of the reports does not have it."""
    return SizeChange(old, new) if old and new is not None else None


def memory_bytes(row: Measured) -> int | None:
    """Return the memory that an engine added to its idle process, or None if it is unknown."""
    return row.performance.memory_bytes if row.performance else None


def relative_latency(row: Measured, label: str, baseline: Latency) -> tuple[float, Interval | None] | None:
    """Return the latency relative to the baseline of the same run, or None if the rounds do not match."""
    latency = row.performance.latency_us if row.performance else None
    if latency is None or len(latency.rounds_p50) != len(baseline.rounds_p50):
        return None
    ratio = Ratio.of(latency, label, baseline)
    return ratio.median, ratio.interval


def absolute_latency(row: Measured) -> tuple[float, Interval | None] | None:
    """Return the median latency in microseconds, or None for an engine that is not timed."""
    latency = row.performance.latency_us if row.performance else None
    return None if latency is None else (latency.p50, latency.p50_interval)


def exceeded(change: Change, old: Measured, limits: Mapping[Limit, float]) -> Iterator[tuple[Violation, bool]]:
    """Yield each limit that a change exceeds, and whether the difference is significant.

    A figure that the old report has but that cannot be compared counts as exceeding its limit. Sizes have no noise, so
    every difference is significant.
    """
    for limit, allowed in limits.items():
        figure = _figure(change, old, limit)
        if figure is None:
            continue
        found, is_significant = figure
        if found is None or found > allowed:
            yield Violation(limit, found, allowed), is_significant


def _figure(change: Change, old: Measured, limit: Limit) -> tuple[float | None, bool] | None:
    """Return a figure and whether it is significant, or None if the old report has nothing to compare with."""
    match limit:
        case "accuracy_drop_pp":
            if change.accuracy:
                return change.accuracy.drop_pp, change.accuracy.is_significant
            return (None, True) if old.evaluation else None
        case "slowdown_percent":
            if change.latency and (change.latency.ratio.interval or change.latency.ratio.is_own):
                return change.latency.slowdown_percent, change.latency.is_significant
            return (None, True) if old.performance else None
        case "arena_growth_percent":
            if change.arena:
                return change.arena.growth_percent, True
            return (None, True) if old.arena_bytes else None
        case _:
            return change.size.growth_percent, True


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
