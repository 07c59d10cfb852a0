"""Select the best of the measured files.

Of the files within all limits whose accuracy does not differ significantly from the highest, the one with the smallest
product of size and median latency is selected. Significance is McNemar's exact test on the images of the run,
p < 0.05. The product weights both costs equally: half the size offsets twice the latency. A file whose
accuracy is not significantly better than guessing is never selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.rows import Evaluation, Failed, Measured
from edgesqz.benchmarking.wording import describe_violation, format_p, format_share, format_time
from edgesqz.stats import SIGNIFICANCE, mcnemar_p
from edgesqz.workspace.sizes import format_size


@dataclass(frozen=True)
class Selection:
    """The best file, and the reasons.

    Attributes:
        chosen: Label of the best file, or None if no file can be selected.
        note: Why this file was selected, or why none was.
        reasons: Why each of the other files was not selected, by label.
    """

    chosen: str | None
    note: str
    reasons: dict[str, str]


@dataclass(frozen=True)
class _Candidate:
    """A file that can be selected."""

    label: str
    row: Measured
    evaluation: Evaluation

    @property
    def cost(self) -> tuple[bool, float]:
        """Size times median latency. Files without timing come last and are compared by size."""
        return self.row.p50_us is None, self.row.size_bytes * (self.row.p50_us or 1)

    @property
    def accuracy(self) -> str:
        return format_share(self.evaluation.accuracy)

    @property
    def images(self) -> str:
        return _images(self.evaluation)

    def p(self, other: _Candidate) -> float:
        """Return the p-value of McNemar's test against another file."""
        ours, theirs = self.evaluation.correct, other.evaluation.correct
        return mcnemar_p(int(np.sum(ours & ~theirs)), int(np.sum(theirs & ~ours)))

    def costs_beside(self, other: _Candidate) -> str:
        """Describe the size and latency of this file and of another."""
        return " against ".join(
            format_size(row.size_bytes) + (f" and {format_time(row.p50_us)}" if row.p50_us else "")
            for row in (self.row, other.row)
        )


def select(entries: Sequence[Entry]) -> Selection:
    """Select a file by the rule at the top of this module. A file without accuracy cannot be selected."""
    obstacles = {entry.label: reason for entry in entries if (reason := obstacle(entry))}
    candidates = [_candidate(entry) for entry in entries if entry.label not in obstacles]
    if not candidates:
        return Selection(None, _why_none(entries), obstacles)
    best = min(candidates, key=lambda candidate: (-candidate.evaluation.accuracy, candidate.cost))
    p_values = {candidate.label: candidate.p(best) for candidate in candidates}
    equals = [candidate for candidate in candidates if p_values[candidate.label] >= SIGNIFICANCE]
    chosen = min(equals, key=lambda candidate: candidate.cost)
    reasons = {
        candidate.label: _why_not(candidate, best, chosen, p_values)
        for candidate in candidates
        if candidate is not chosen
    }
    in_order = {entry.label: (obstacles | reasons)[entry.label] for entry in entries if entry.label != chosen.label}
    if chosen is best:
        return Selection(chosen.label, f"the highest accuracy, {best.accuracy}", in_order)
    note = (
        f"accuracy {chosen.accuracy}, not significantly below the highest, {best.accuracy} of {best.label} "
        f"({chosen.images}, {format_p(p_values[chosen.label])}); {chosen.costs_beside(best)}"
    )
    return Selection(chosen.label, note, in_order)


def obstacle(entry: Entry) -> str | None:
    """Return why a file cannot be selected regardless of the others, or None if it can."""
    row = entry.row
    if isinstance(row, Failed):
        return "failed"
    if entry.violations:
        return "; ".join(map(describe_violation, entry.violations))
    if row.evaluation is None:
        return row.no_accuracy or "no accuracy"
    if row.evaluation.is_guessing:
        accuracy, images = format_share(row.evaluation.accuracy), _images(row.evaluation)
        return f"accuracy {accuracy}, not significantly better than guessing ({images})"
    return None


def _candidate(entry: Entry) -> _Candidate:
    assert isinstance(entry.row, Measured) and entry.row.evaluation  # anything else is an obstacle
    return _Candidate(entry.label, entry.row, entry.row.evaluation)


def _why_not(candidate: _Candidate, best: _Candidate, chosen: _Candidate, p_values: dict[str, float]) -> str:
    """Return why a file that could be selected was not."""
    p = p_values[candidate.label]
    if p < SIGNIFICANCE:
        return f"accuracy {candidate.accuracy}, {best.label} has {best.accuracy} ({format_p(p)})"
    rank = "the highest but not significantly so" if candidate is best else "not significantly below the highest"
    return f"accuracy {candidate.accuracy}, {rank}; {chosen.label} costs less, {chosen.costs_beside(candidate)}"


def _why_none(entries: Sequence[Entry]) -> str:
    within = [entry for entry in entries if isinstance(entry.row, Measured) and not entry.violations]
    if not within:
        limits = any(entry.within_budget is False for entry in entries)
        return "no file is within the budget" if limits else "every file failed"
    if any(isinstance(entry.row, Measured) and entry.row.evaluation for entry in within):
        return "no file is significantly better than guessing"
    return "no file has an accuracy"


def _images(evaluation: Evaluation) -> str:
    return f"{len(evaluation.correct):,} images"
