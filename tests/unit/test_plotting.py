"""Plots: formats, and figures with one or several plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgesqz import EdgesqzError, plotting
from edgesqz.cli.output import BenchOutput, SweepOutput


@pytest.mark.parametrize("name", ["plot.png", "plot.svg", "plot.SVG"])
def test_a_known_suffix_is_accepted_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    plotting.check(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", [BenchOutput, SweepOutput])
@pytest.mark.parametrize("name", ["plot.docx", "plot"])
def test_an_unknown_suffix_is_reported_before_any_work(output: Any, name: str) -> None:
    with pytest.raises(EdgesqzError, match=f"plot: expected a .png or .svg file, got {name}"):
        output(plot=name)


def test_plots_share_the_x_axis() -> None:
    figure, (upper, lower) = plotting.panels(2, 1)
    plotting.count_along_x(lower, 3)
    assert tuple(figure.get_size_inches()) == (8, 3)
    assert upper.get_xlim() == lower.get_xlim() == (0.5, 3.5)
