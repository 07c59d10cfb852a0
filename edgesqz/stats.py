"""Confidence intervals and significance tests, computed with SciPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONFIDENCE = 0.95  # of every interval
SIGNIFICANCE = 0.05  # a difference with a smaller p-value is significant

Interval = tuple[float, float]  # lower and upper bound


def share_interval(count: int, of: int) -> Interval:
    """Return the confidence interval of a proportion, 0..1, as Wilson's score interval of 1927.

    Args:
        count: Number of successes.
        of: Number of trials.
    """
    from scipy.stats import binomtest

    interval = binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return a distribution-free confidence interval of the median, or None for fewer than six values.

    The interval inverts the sign test by order statistics. Source: Conover, "Practical Nonparametric Statistics", third
    edition, 1999, section 3.2.
    """
    from scipy.stats import quantile_test

    interval = quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
    bounds = float(interval.low), float(interval.high)
    return bounds if all(map(math.isfinite, bounds)) else None


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the p-value of McNemar's exact test of 1947 for the difference between two classifiers.

    Args:
        gained: Number of images that only one of them classifies correctly.
        lost: Number of images that only the other one classifies correctly.
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
