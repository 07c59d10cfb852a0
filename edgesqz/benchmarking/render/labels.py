"""Where names stand in a chart: beside their points, on no other name or point, and within the chart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

POINT = 7  # radius around a point that stays free
GAP = 2  # between two names
NEAR = 12  # places looked at to keep off lines; a name on a line near its point is better than one far away


class Box(NamedTuple):
    """A rectangle, in the chart's units."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two have an area in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def leader(self, point: tuple[float, float]) -> tuple[float, float] | None:
        """The end of a line to a name from its point; None if the name is right beside it."""
        x, y = point
        nearest = min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)
        return nearest if math.dist(point, nearest) > 2 * POINT else None

    def is_within(self, other: Box) -> bool:
        """Whether no part is outside of the other."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    lines: Sequence[Box] = (),
) -> list[Box]:
    """Choose the nearest free place for each name.

    Args:
        points: what the names are of, (x, y).
        sizes: of the names, (width, height); each fits into ``bounds``.
        bounds: of the chart.
        lines: that names keep off where there is room.

    Returns:
        The box of each name. Where a chart is too small for all of them, the last lie on others.
    """
    taken = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    boxes: dict[int, Box] = {}
    for number in sorted(range(len(points)), key=lambda number: points[number][1]):
        candidates = [box for box in _around(points[number], sizes[number], bounds) if box.is_within(bounds)]
        free = [box for box in candidates if not any(box.overlaps(other) for other in taken)]
        clear = (box for box in free[:NEAR] if not any(box.overlaps(line) for line in lines))
        boxes[number] = next(clear, (free or candidates)[0])
        taken.append(boxes[number])
    return [boxes[number] for number in range(len(points))]


def _around(point: tuple[float, float], size: tuple[float, float], bounds: Box) -> Iterator[Box]:
    """Places for a name, from the nearest on: right, left, and over or under its point, then further up and down."""
    (x, y), (width, height) = point, size
    centered = min(max(x - width / 2, bounds.left), bounds.right - width)
    sides = (x + POINT + GAP, x - POINT - GAP - width, centered)
    steps = int((bounds.bottom - bounds.top) / (height + GAP)) + 1
    for step in range(steps):
        for shift in {0: (0,)}.get(step, (step, -step)):
            top = y - height / 2 + shift * (height + GAP)
            yield from (Box(left, top, left + width, top + height) for left in sides)
    # Whatever the steps have missed, such as for a point at the edge.
    for step in range(steps):
        top = bounds.top + step * (height + GAP)
        yield Box(centered, top, centered + width, top + height)
