"""Place names in a chart next to their points, within the chart, and without overlaps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

POINT = 7  # radius around a point that stays free
GAP = 2  # between two names
NEAR = 12  # number of nearest places to try to avoid lines; crossing a line is better than a distant name


class Box(NamedTuple):
    """A rectangle in the units of the chart."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Return whether the two rectangles overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def leader(self, point: tuple[float, float]) -> tuple[float, float] | None:
        """Return the end of the line from a point to its name, or None if the name is next to its point."""
        x, y = point
        nearest = min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)
        return nearest if math.dist(point, nearest) > 2 * POINT else None

    def is_within(self, other: Box) -> bool:
        """Return whether this rectangle is inside another."""
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
        points: The named points, (x, y).
        sizes: Sizes of the names, (width, height). Each fits into ``bounds``.
        bounds: Area for the names.
        lines: Lines that names avoid if possible.

    Returns:
        The box of each name. If the chart is too small for all names, the last ones overlap others.
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
    """Yield places for a name, nearest first: right, left, above and below the point, then further up and down."""
    (x, y), (width, height) = point, size
    centered = min(max(x - width / 2, bounds.left), bounds.right - width)
    sides = (x + POINT + GAP, x - POINT - GAP - width, centered)
    steps = int((bounds.bottom - bounds.top) / (height + GAP)) + 1
    for step in range(steps):
        for shift in {0: (0,)}.get(step, (step, -step)):
            top = y - height / 2 + shift * (height + GAP)
            yield from (Box(left, top, left + width, top + height) for left in sides)
    # Places that the steps above miss, such as those for a point at the edge.
    for step in range(steps):
        top = bounds.top + step * (height + GAP)
        yield Box(centered, top, centered + width, top + height)
