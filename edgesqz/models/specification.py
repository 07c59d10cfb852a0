"""Names of small SqueezeNets that contain all their widths, so that a name is enough to build the network again.

``squeezenet-16p-16x48x2-16x80x3`` has a 3x3 stem with 16 channels, followed by pooling (``p``) and two stages: two fire
modules with 16 squeeze and 48 expand channels, then, at half the resolution, three with 16 and 80. A dot separates fire
modules of different widths in one stage: ``32x96x2.24x96``.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

PREFIX = "squeezenet"
EXAMPLE = "squeezenet-16p-16x48x2-16x80x3"

_FIRE = r"[1-9]\d{0,3}x[1-9]\d{0,3}(?:x[1-9]\d?)?"
_STAGE = rf"{_FIRE}(?:\.{_FIRE})*"
_NAME = re.compile(rf"{PREFIX}-([1-9]\d{{0,3}})(p?)((?:-{_STAGE})+)")

Fire = tuple[int, int]  # squeeze and expand channels of a fire module, which outputs twice the latter


@dataclass(frozen=True)
class Specification:
    """The widths of a small SqueezeNet.

    Attributes:
        stem: Channels of the first convolution.
        pool_stem: Whether the first stage works at half resolution.
        stages: The fire modules of each stage.
    """

    stem: int
    pool_stem: bool
    stages: tuple[tuple[Fire, ...], ...]

    @classmethod
    def parse(cls, name: str) -> Specification | None:
        """Return the widths in a network's name, or None if it contains none."""
        match = _NAME.fullmatch(name)
        if not match:
            return None
        stages = tuple(_stage(text) for text in match[3].removeprefix("-").split("-"))
        return cls(int(match[1]), bool(match[2]), stages)

    @property
    def name(self) -> str:
        """The shortest name that ``parse`` reads as this specification."""
        stages = "".join(f"-{_stage_name(stage)}" for stage in self.stages)
        return f"{PREFIX}-{self.stem}{'p' if self.pool_stem else ''}{stages}"


def _stage(text: str) -> tuple[Fire, ...]:
    fires: list[Fire] = []
    for each in text.split("."):
        squeeze, expand, *count = map(int, each.split("x"))
        fires += [(squeeze, expand)] * (count[0] if count else 1)
    return tuple(fires)


def _stage_name(fires: tuple[Fire, ...]) -> str:
    runs = ((fire, len(list(group))) for fire, group in itertools.groupby(fires))
    return ".".join(f"{squeeze}x{expand}" + (f"x{count}" if count > 1 else "") for (squeeze, expand), count in runs)
