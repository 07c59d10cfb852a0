"""Names in a chart: next to their points, without overlaps, and inside the chart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgesqz.benchmarking.render.labels import POINT, Box, place

BOUNDS = Box(0, 0, 1000, 600)


@pytest.mark.parametrize("seed", range(5))
def test_names_overlap_no_name_and_no_point_and_are_inside_the_chart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in rng.uniform((20, 20), (980, 580), (20, 2))]
    points += [points[0]] * 3  # some points have the same position
    boxes = place(points, [(float(width), 14.0) for width in rng.uniform(40, 400, len(points))], BOUNDS)
    dots = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    assert all(box.is_within(BOUNDS) for box in boxes)
    assert not [1 for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]
    assert not [1 for box in boxes for dot in dots if box.overlaps(dot)]


def test_a_single_name_is_right_of_its_point_or_left_of_it_at_the_edge() -> None:
    (right,) = place([(500, 300)], [(100, 14)], BOUNDS)
    (left,) = place([(990, 300)], [(100, 14)], BOUNDS)
    assert 500 < right.left < 520 and 970 < left.right < 990
    assert right.leader((500, 300)) is None


def test_a_name_avoids_nearby_lines() -> None:
    line = Box(300, 300, 700, 301)
    (box,) = place([(500, 300)], [(100, 14)], BOUNDS, [line])
    assert not box.overlaps(line) and abs(box.top - 300) < 40


def test_a_name_as_wide_as_the_chart_has_a_place() -> None:
    (box,) = place([(500, 2)], [(1000, 14)], BOUNDS)
    assert box.is_within(BOUNDS) and not box.overlaps(Box(493, -5, 507, 9))
