"""Intervals and tests, compared with values from other sources or calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.stats import mcnemar_p, median_interval, share_interval


def test_wilsons_interval_matches_its_formula() -> None:
    z, share, of = 1.959964, 0.9, 200
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z * np.sqrt(share * (1 - share) / of + z**2 / (4 * of**2)) / (1 + z**2 / of)
    assert share_interval(180, of) == pytest.approx((middle - half, middle + half), abs=1e-6)


@pytest.mark.parametrize("count", [0, 50])
def test_the_interval_stays_within_0_and_1(count: int) -> None:
    low, high = share_interval(count, 50)
    assert 0 <= low < high <= 1
    assert low <= count / 50 <= high


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1), (5, 5, 1), (1, 0, 1), (0, 6, 2 / 2**6), (1, 9, 2 * (1 + 10) / 2**10)],
)
def test_mcnemars_p_is_that_of_a_fair_coin(gained: int, lost: int, p: float) -> None:
    assert mcnemar_p(gained, lost) == pytest.approx(p)
    assert mcnemar_p(lost, gained) == pytest.approx(p)


def test_the_interval_of_the_median_has_the_stated_coverage() -> None:
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.lognormal(size=30).tolist()) for _ in range(300)]
    held = sum(interval is not None and interval[0] <= 1 <= interval[1] for interval in intervals)
    assert 0.93 <= held / 300 <= 1


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_values_have_no_interval(count: int) -> None:
    assert median_interval(range(count)) is None
