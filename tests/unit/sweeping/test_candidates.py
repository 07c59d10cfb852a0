"""Candidates over the budget are skipped before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.sweeping.candidates import Budget, Selection
from edgesqz.sweeping.space import Space

SPACE = Space.parse(
    {
        "network": {
            "stem": [8, 12, 16],
            "stage1": {"fires": [1, 2], "squeeze": [4, 8], "expand": [16, 32]},
        }
    }
)


def selection(budget: Budget | None = None) -> Selection:
    return Selection(SPACE, budget or Budget(), classes=10)


def test_a_grid_numbers_every_candidate_that_fits() -> None:
    found = selection().grid(None)
    assert [trial.number for trial in found] == list(range(1, 3 * 2 * 2 * 2 + 1))


@pytest.mark.parametrize(
    ("field", "figure"),
    [("size_bytes", "smallest_file_bytes"), ("macs", "macs"), ("arena_bytes", "peak_activation_bytes")],
)
def test_every_limit_excludes_candidates(field: str, figure: str) -> None:
    costs = sorted(getattr(trial.costs, figure) for trial in selection().grid(None))
    limit = costs[len(costs) // 2]
    found = selection(Budget(**{field: limit})).grid(None)
    assert 0 < len(found) < len(costs)
    assert all(getattr(trial.costs, figure) <= limit for trial in found)


def test_the_limit_on_size_applies_to_the_smallest_exported_file() -> None:
    def sizes(*variants: str) -> list[tuple[int, ...]]:
        space = replace(SPACE, variants=variants)
        found = Selection(space, Budget(size_bytes=12_000), classes=10).grid(None)
        return [trial.costs.file_bytes for trial in found]

    int8, int4, both, fp32 = sizes("int8"), sizes("int4"), sizes("int8", "int4"), sizes("fp32")
    assert 24 >= len(int4) > len(int8) > len(fp32) > 0
    assert len(both) == len(int4)
    assert any(each[0] > 12_000 >= each[1] for each in both)


def test_random_candidates_are_distinct_and_reproducible() -> None:
    found = selection().random(10, seed=3)
    assert len({trial.model for trial in found}) == 10
    assert found == selection().random(10, seed=3)


def test_random_search_ends_when_a_small_space_is_exhausted() -> None:
    assert len(selection().random(100, seed=0)) == 24


def test_earlier_candidates_are_not_drawn_again() -> None:
    first = selection().random(10, seed=0)
    more = selection().random(14, seed=0, taken=[trial.candidate for trial in first])
    assert not {trial.model for trial in first} & {trial.model for trial in more}


def test_if_nothing_fits_the_error_names_the_smallest_network() -> None:
    with pytest.raises(EdgesqzError, match=r"smallest is squeezenet-8p-4x16, with a file of about .* raise max_size"):
        selection(Budget(size_bytes=1000)).grid(None)


@pytest.mark.parametrize(
    ("text", "macs"), [("5M", 5_000_000), ("800k", 800_000), (1234, 1234), ("1.5G", 1_500_000_000)]
)
def test_counts_can_have_a_unit_prefix(text: str | int, macs: int) -> None:
    assert Budget.parse(None, text, None).macs == macs


def test_malformed_counts_are_rejected() -> None:
    with pytest.raises(EdgesqzError, match="max_macs: expected a number such as 5M or 800k, got '5 million'"):
        Budget.parse(None, "5 million", None)
    with pytest.raises(EdgesqzError, match="max_arena: expected a size above zero"):
        Budget.parse(None, None, "much")


def test_a_file_larger_than_the_quota_is_not_a_candidate() -> None:
    assert Budget(size_bytes=60_000).within(50_000).size_bytes == 50_000
    assert Budget(size_bytes=60_000).within(None).size_bytes == 60_000
    assert Budget().within(50_000).size_bytes == 50_000
