"""Which of the measured files to take.

Of the files within all limits whose accuracy cannot be told from the highest, the one with the smallest product of size
and median latency is taken. "Cannot be told" is McNemar's exact test on the images of the run, p >= 0.05. The product
weighs both alike: to be half as large makes up for taking twice as long, and no more. A file whose accuracy cannot be
told from guessing is never taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.benchmarking.budget import label
from edgesqz.stats import SIGNIFICANCE, mcnemar_p
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Row


@dataclass(frozen=True)
class Selection:
    """Which file to take, and why.

    Attributes:
        chosen: its label; None if there is none to take.
        note: why this one, or why none.
        reasons: why not, by the label of each of the other rows.
    """

    chosen: str | None
    note: str
    reasons: dict[str, str]


def select(rows: Sequence[Row]) -> Selection:
    """Choose by the rule at the top of this module; a file without per-image results cannot be chosen."""
    candidates = [row for row in rows if obstacle(row) is None]
    if not candidates:
        return Selection(None, _why_none(rows), {label(row, rows): obstacle(row) or "" for row in rows})
    best = min(candidates, key=lambda row: (-(row.accuracy or 0), _cost(row)))
    p_values = {label(row, rows): _p(row, best) for row in candidates}
    chosen = min((row for row in candidates if p_values[label(row, rows)] >= SIGNIFICANCE), key=_cost)
    name, name_of_best = label(chosen, rows), label(best, rows)
    reasons = {}
    for row in rows:
        if row is chosen:
            continue
        own = label(row, rows)
        if reason := obstacle(row):
            reasons[own] = reason
        elif p_values[own] < SIGNIFICANCE:
            reasons[own] = f"accuracy {_share(row)}, {name_of_best} has {_share(best)} ({_p_text(p_values[own])})"
        else:
            reasons[own] = f"accuracy {_share(row)}, no better for certain than {name}; {_costs(row, chosen)}"
    if chosen is best:
        return Selection(name, f"the highest accuracy, {_share(best)}", reasons)
    note = (
        f"accuracy {_share(chosen)}, which {_images(chosen)} cannot tell from the highest, {_share(best)} of "
        f"{name_of_best} ({_p_text(p_values[name])}); {_costs(chosen, best)}"
    )
    return Selection(name, note, reasons)


def obstacle(row: Row) -> str | None:
    """Why a row cannot be chosen, whatever the others are; None if it can."""
    if row.error:
        return "failed"
    if row.missed:
        return "; ".join(row.missed)
    if row.correct is None:
        return row.no_accuracy or "no accuracy"
    if row.is_guessing:
        return f"accuracy {_share(row)}, which {_images(row)} cannot tell from guessing"
    return None


def _why_none(rows: Sequence[Row]) -> str:
    within = [row for row in rows if not row.error and not row.missed]
    if not within:
        return "no file is within the budget" if any(row.missed for row in rows) else "every file failed"
    if any(row.is_guessing for row in within):
        return "no file is better than guessing for certain"
    return "no file has an accuracy"


def _p(row: Row, best: Row) -> float:
    """How likely chance alone makes two rows differ at least so much."""
    assert row.correct is not None and best.correct is not None  # else they are no candidates
    return mcnemar_p(int(np.sum(row.correct & ~best.correct)), int(np.sum(best.correct & ~row.correct)))


def _cost(row: Row) -> tuple[bool, float]:
    """What the cheapest has least of: size times median latency; of files that are not timed, and come last, size."""
    return row.latency_us is None, row.size_bytes * (row.latency_us.p50 if row.latency_us else 1)


def _costs(row: Row, other: Row) -> str:
    """The size and latency of two rows, in words."""
    return " against ".join(
        format_size(each.size_bytes) + (f" and {each.latency_us.p50:.1f} µs" if each.latency_us else "")
        for each in (row, other)
    )


def _share(row: Row) -> str:
    return f"{row.accuracy or 0:.2%}"


def _images(row: Row) -> str:
    assert row.correct is not None
    return f"{len(row.correct):,} images"


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
