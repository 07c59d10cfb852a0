"""The result of ``compare``: what changed between two reports of the bench."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgesqz.benchmarking.budget import Limit
from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.render.columns import NOISE
from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Failed, Latency, Measured
from edgesqz.benchmarking.wording import describe_violation
from edgesqz.comparing.changes import (
    AccuracyChange,
    Baseline,
    Change,
    LatencyChange,
    SizeChange,
    absolute_latency,
    exceeded,
    memory_bytes,
    relative_latency,
    size_change,
)
from edgesqz.comparing.table import changes_table
from edgesqz.errors import EdgesqzError
from edgesqz.results import Result
from edgesqz.tables import Table


@dataclass(frozen=True)
class NamedReport:
    """A report and its name in messages.

    Attributes:
        name: File name of the report, or ``old`` or ``new`` for a report that was not read from a file.
        report: The report.
    """

    name: str
    report: Report

    @property
    def files(self) -> str:
        """The rows of the report, to show to the user."""
        return ", ".join(f"{entry.row.artifact} on {entry.runtime or 'no runtime'}" for entry in self.report.entries)

    @classmethod
    def of(cls, source: str | Path | Result, name: str) -> NamedReport:
        """Read a report from a file, or name one that ``bench`` returned.

        Raises:
            EdgesqzError: The file cannot be read or is not a report, or another command returned the result.
        """
        if isinstance(source, Report):
            return cls(name, source)
        if isinstance(source, Result):
            raise EdgesqzError(f"expected a report of the bench, got a {type(source).__name__}")
        return cls(Path(source).name, Report.read(Path(source)))


@dataclass(frozen=True, repr=False)
class CompareResult(Result):
    """What changed between two reports.

    Attributes:
        old: Name of the old report.
        new: Name of the new report.
        changes: The files that were measured in both reports.
        only_old: The rows that only the old report has.
        only_new: The rows that were measured only for the new report.
        failed: Why rows of the old report could not be measured for the new one, by label.
        limits: The limits, by name. They apply to the files that the user named for the new report or, if there are
            none, to all.
        same_images: Number of test images if both reports measured the same ones, or None.
        baseline: The row that latencies are relative to, or None without one.
        same_machine: Whether both reports come from the same machine.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    failed: dict[str, str]
    limits: dict[Limit, float]
    same_images: int | None
    baseline: str | None
    same_machine: bool

    @property
    def records(self) -> list[dict[str, Any]]:
        """One flat record per file, with fields such as ``size_old_bytes``, ``accuracy_new`` and ``latency_ratio``."""
        return [_record(change) for change in self.changes]

    def table(self) -> Table:
        """Return one row per file. A narrow terminal shows only the most important columns."""
        return changes_table(self.changes, self.title(), self.notes(), has_limits=bool(self.limits))

    def to_markdown(self) -> str:
        """Return the table, its notes, and the violations as Markdown."""
        lines = [self.title(), ""]
        if self.changes:
            lines += [*self.table().markdown(), "", *self.notes(), ""]
        lists = {
            "Not compared:": self.unmatched(),
            "Regressions:": self.misses(),
            "Not significant:": self.within_noise(),
        }
        for head, items in lists.items():
            lines += [head, *(f"- {item}" for item in items), ""] if items else []
        return "\n".join(lines)

    @property
    def is_empty(self) -> bool:
        """Whether the reports have nothing in common."""
        return not self.changes and not self.failed

    def title(self) -> str:
        """Return the names of the two reports."""
        return f"{self.new} compared with {self.old}"

    def notes(self) -> list[str]:
        """Return a line on how accuracies were compared and one on latencies, or none if no file is in both reports."""
        return [self._accuracy_note(), self._latency_note()] if self.changes else []

    def unmatched(self) -> list[str]:
        """Return a line for each row that only one report has, and for each that failed in the new report."""
        return [
            *(f"only in {self.old}: {label}" for label in self.only_old),
            *(f"only in {self.new}: {label}" for label in self.only_new),
            *(f"failed in {self.new}: {label}: {error}" for label, error in self.failed.items()),
        ]

    def misses(self) -> list[str]:
        """Return a line for each violation of a limit. A file that can no longer be measured violates every limit."""
        if not self.limits:
            return []
        if self.is_empty:
            return [f"no file was measured in both {self.old} and {self.new}"]
        found = [
            f"{change.label}: {describe_violation(violation)}"
            for change in self.changes
            for violation in change.violations
        ]
        return [*found, *(f"{label}: failed" for label in self.failed)]

    def within_noise(self) -> list[str]:
        """Return a line for each difference that exceeds a limit but is not significant."""
        return [
            f"{change.label}: {describe_violation(violation)}"
            for change in self.changes
            for violation in change.within_noise
        ]

    @property
    def misses_unknown_figure(self) -> bool:
        """Whether a file violates a limit because a figure cannot be compared. The notes say why."""
        return any(violation.found is None for change in self.changes for violation in change.violations)

    def _accuracy_note(self) -> str:
        if not any(change.accuracy for change in self.changes):
            return "accuracy: not compared, because a report has none or the classes differ"
        if self.same_images:
            return f"accuracy: McNemar's exact test on the same {self.same_images:,} test images; *: p < 0.05"
        return (
            "accuracy: compared by 95 % confidence intervals, because the test images are not known to be the same; "
            "*: the intervals do not overlap"
        )

    def _latency_note(self) -> str:
        marks = "*: significant"
        if any(change.latency and change.latency.is_noise for change in self.changes):
            marks += f"; {NOISE}: too uncertain to show a ratio"
        if self.baseline:
            return f"latency: relative to {self.baseline}, which is the same in both reports; {marks}"
        if self.same_machine:
            return (
                "latency: medians on the same machine, because no unchanged file was measured with the same engine in "
                f"both reports; {marks}"
            )
        return (
            "latency: not compared, because the machines differ and no unchanged file was measured with the same "
            "engine in both reports; use the same edgesqz bench --baseline for both"
        )


def compare_reports(old: NamedReport, new: NamedReport, limits: Mapping[Limit, float]) -> CompareResult:
    """Compare the rows that two reports have in common."""
    before, after = _by_key(old.report), _by_key(new.report)
    pairs = [
        _Pair(entry, measured, entry.row)
        for key, entry in after.items()
        if isinstance(entry.row, Measured) and (measured := _measured(before.get(key)))
    ]
    failed = {
        entry.label: entry.row.error
        for key, entry in after.items()
        if isinstance(entry.row, Failed) and _measured(before.get(key))
    }
    common = {pair.entry.label for pair in pairs}
    judged = [pair for pair in pairs if pair.new.named] or pairs
    comparer = _Comparer(old, new, pairs)
    changes = _with_noise([comparer.change(pair) for pair in pairs])
    return CompareResult(
        old=old.name,
        new=new.name,
        changes=tuple(
            _with_verdict(change, pair.old, limits if pair in judged else {})
            for change, pair in zip(changes, pairs, strict=True)
        ),
        only_old=tuple(entry.label for key, entry in before.items() if key not in after),
        only_new=tuple(e.label for e in after.values() if isinstance(e.row, Measured) and e.label not in common),
        failed=failed,
        limits=dict(limits),
        same_images=comparer.same_images,
        baseline=comparer.baseline.label if comparer.baseline else None,
        same_machine=comparer.same_machine,
    )


@dataclass(frozen=True)
class _Pair:
    """A file on one engine that was measured in both reports."""

    entry: Entry
    old: Measured
    new: Measured

    @property
    def same_file(self) -> bool:
        return self.new.sha256 is not None and self.old.sha256 == self.new.sha256

    @property
    def same_engine(self) -> bool:
        old, new = self.old, self.new
        return (old.runtime, old.runtime_version, old.threads) == (new.runtime, new.runtime_version, new.threads)

    @property
    def latencies(self) -> tuple[Latency, Latency] | None:
        """The old and the new latency, or None for an engine that is not timed or a report without rounds."""
        if not self.old.performance or not self.new.performance:
            return None
        before, after = self.old.performance.latency_us, self.new.performance.latency_us
        return (before, after) if before.rounds_p50 and after.rounds_p50 else None


class _Comparer:
    """Compares pairs of rows.

    Attributes:
        same_images: Number of test images if both reports measured the same ones, or None.
        same_machine: Whether both reports come from the same machine.
        baseline: The row that latencies are relative to, or None without one.
    """

    def __init__(self, old: NamedReport, new: NamedReport, pairs: Sequence[_Pair]) -> None:
        before, after = old.report.dataset, new.report.dataset
        self.old_name = old.name
        self.same_labels = before is not None and after is not None and before.labels == after.labels
        known = before and after and before.sha256 is not None and before.sha256 == after.sha256
        self.same_images = after.images if known and after else None
        self.same_machine = old.report.machine == new.report.machine
        self.baseline = _baseline(pairs, new.report)

    def change(self, pair: _Pair) -> Change:
        """Compare two rows without checking them against limits."""
        old, new = pair.old, pair.new
        return Change(
            label=pair.entry.label,
            artifact=new.artifact,
            runtime=pair.entry.runtime,
            same_file=pair.same_file,
            same_engine=pair.same_engine,
            size=SizeChange(old.size_bytes, new.size_bytes),
            arena=size_change(old.arena_bytes, new.arena_bytes),
            memory=size_change(memory_bytes(old), memory_bytes(new)),
            accuracy=self._accuracy(old, new),
            latency=self._latency(old, new),
        )

    def _accuracy(self, old: Measured, new: Measured) -> AccuracyChange | None:
        if not (old.evaluation and new.evaluation and self.same_labels):
            return None
        return AccuracyChange.of(old.evaluation, new.evaluation, same_images=self.same_images is not None)

    def _latency(self, old: Measured, new: Measured) -> LatencyChange | None:
        if self.baseline:
            label = self.baseline.label
            before = relative_latency(old, label, self.baseline.old)
            after = relative_latency(new, label, self.baseline.new)
        elif self.same_machine:
            before, after = absolute_latency(old), absolute_latency(new)
        else:
            return None
        return LatencyChange.of(before, after, self.old_name) if before and after else None


def _with_noise(changes: Sequence[Change]) -> list[Change]:
    """Add to each latency how much the latencies of unchanged files on the same runtime differ between the runs."""
    noise: dict[str, float] = {}
    for change in changes:
        if change.latency and change.same_file and change.same_engine:
            noise[change.runtime] = max(noise.get(change.runtime, 1.0), change.latency.factor)
    return [
        replace(change, latency=change.latency and replace(change.latency, noise=noise.get(change.runtime, 1.0)))
        for change in changes
    ]


def _with_verdict(change: Change, old: Measured, limits: Mapping[Limit, float]) -> Change:
    """Check a change against the limits."""
    found = list(exceeded(change, old, limits))
    return replace(
        change,
        violations=tuple(violation for violation, is_significant in found if is_significant),
        within_noise=tuple(violation for violation, is_significant in found if not is_significant),
    )


def _by_key(report: Report) -> dict[tuple[str, str], Entry]:
    """Return the entries by file name and runtime."""
    return {(entry.row.artifact, entry.runtime): entry for entry in report.entries}


def _measured(entry: Entry | None) -> Measured | None:
    return entry.row if entry and isinstance(entry.row, Measured) else None


def _baseline(pairs: Sequence[_Pair], new: Report) -> Baseline | None:
    """Return the baseline of the new report if it qualifies, or else the file with the narrowest relative interval."""
    found = [
        (pair, *latencies) for pair in pairs if pair.same_file and pair.same_engine and (latencies := pair.latencies)
    ]
    if not found:
        return None
    named = Path(new.plan.baseline).name if new.plan.baseline else None
    pair, before, after = min(
        found, key=lambda each: (Path(each[0].new.path).name != named, _unsteadiness(each[1]) + _unsteadiness(each[2]))
    )
    return Baseline(pair.entry.label, before, after)


def _unsteadiness(latency: Latency) -> float:
    """Return the width of the interval of the median, relative to the median."""
    if latency.p50_interval is None:
        return float("inf")
    return (latency.p50_interval[1] - latency.p50_interval[0]) / latency.p50


def _record(change: Change) -> dict[str, Any]:
    """Return the figures of a change as one flat record, with None for unknown ones."""
    return {
        "label": change.label,
        "artifact": change.artifact,
        "runtime": change.runtime,
        "same_file": change.same_file,
        **dict(_sizes("size", change.size)),
        **dict(_sizes("arena", change.arena)),
        **dict(_sizes("memory", change.memory)),
        "accuracy_old": change.accuracy.old if change.accuracy else None,
        "accuracy_new": change.accuracy.new if change.accuracy else None,
        "accuracy_drop_pp": change.accuracy.drop_pp if change.accuracy else None,
        "accuracy_is_significant": change.accuracy.is_significant if change.accuracy else None,
        "latency_ratio": change.latency.ratio.median if change.latency else None,
        "latency_is_significant": change.latency.is_significant if change.latency else None,
        "violations": ", ".join(violation.limit for violation in change.violations),
    }


def _sizes(name: str, change: SizeChange | None) -> Iterator[tuple[str, int | None]]:
    yield f"{name}_old_bytes", change.old_bytes if change else None
    yield f"{name}_new_bytes", change.new_bytes if change else None
