"""Intervals and tests that tell a difference from chance, through SciPy; all intervals are of 95 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05  # a difference with a p below is told from chance

Interval = tuple[float, float]  # least and greatest


def share_interval(count: int, of: int) -> Interval:
    """Where the true share lies when ``count`` of ``of`` were found, 0..1: the score interval of Wilson, 1927."""
    from scipy.stats import binomtest

    interval = binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def median_interval(values: Sequence[float]) -> Interval | None:
    """Where the true median lies, whatever the distribution; None for fewer than six values.

    By order statistics: the interval that inverts the sign test. Source: Conover, "Practical Nonparametric Statistics",
    third edition, 1999, section 3.2.
    """
    from scipy.stats import quantile_test

    interval = quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
    bounds = float(interval.low), float(interval.high)
    return bounds if all(map(math.isfinite, bounds)) else None


def mcnemar_p(gained: int, lost: int) -> float:
    """How likely chance alone makes two classifiers differ at least so much, by the exact test of McNemar, 1947.

    Args:
        gained: images that only the one has right.
        lost: images that only the other has right.
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
