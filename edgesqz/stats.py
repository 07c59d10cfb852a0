"""Confidence intervals and significance tests.

They use the special functions of SciPy, because its package ``stats`` takes nearly a second to import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

CONFIDENCE = 0.95  # of every interval
SIGNIFICANCE = 0.05  # a difference with a smaller p-value is significant
TAIL = (1 - CONFIDENCE) / 2  # probability on each side of an interval

Interval = tuple[float, float]  # lower and upper bound


def share_interval(count: int, of: int) -> Interval:
    """Return the confidence interval of a proportion, 0..1, as Wilson's score interval of 1927.

    Args:
        count: Number of successes.
        of: Number of trials.
    """
    from scipy.special import ndtri

    share, z = count / of, -float(ndtri(TAIL))
    center = share + z**2 / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    scale = 1 + z**2 / of
    return (center - half) / scale if count else 0.0, (center + half) / scale if count < of else 1.0


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return a distribution-free confidence interval of the median, or None for fewer than six values.

    The interval inverts the sign test by order statistics. Source: Conover, "Practical Nonparametric Statistics", third
    edition, 1999, section 3.2.
    """
    import numpy as np
    from scipy.special import bdtr

    ordered, count = sorted(values), len(values)
    at_most = bdtr(np.arange(count), count, 0.5)  # probability that at most k values are below the median
    bound = int(np.searchsorted(at_most, TAIL))
    return (float(ordered[bound - 1]), float(ordered[-bound])) if bound else None


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the p-value of McNemar's exact test of 1947 for the difference between two classifiers.

    Args:
        gained: Number of images that only one of them classifies correctly.
        lost: Number of images that only the other one classifies correctly.
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
