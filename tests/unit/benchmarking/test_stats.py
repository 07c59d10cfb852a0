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


@pytest.mark.parametrize("of", [1, 6, 50, 199])
def test_the_interval_of_none_begins_at_0_and_that_of_all_ends_at_1(of: int) -> None:
    (none, most), (least, every) = share_interval(0, of), share_interval(of, of)
    assert (none, every) == (0, 1)
    assert 0 < most < 1 and least == pytest.approx(1 - most)


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


def test_the_interval_of_six_values_is_their_range() -> None:
    assert median_interval([3, 1, 6, 2, 5, 4]) == (1, 6)  # which misses the median with a probability of 2 / 2**6


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_values_have_no_interval(count: int) -> None:
    assert median_interval(range(count)) is None
