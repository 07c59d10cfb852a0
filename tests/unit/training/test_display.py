"""The progress bar: shown where a line can be redrawn."""

from __future__ import annotations

import importlib.util
import io

import pytest
from rich.console import Console

from edgesqz.progress import can_redraw, status
from edgesqz.training.display import has_line, progress_bar


def shown(console: Console) -> str:
    """Return what a run of two steps writes to a console."""
    with progress_bar(console, steps=2, completed=0) as show:
        show(1, "epoch 1/2", "loss 1.000")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_has_a_bar_and_a_file_none() -> None:
    assert "epoch 1/2" in shown(Console(file=io.StringIO(), force_terminal=True, width=100))
    assert shown(Console(file=io.StringIO(), width=100)) == ""


@pytest.mark.parametrize("has_widgets", [True, False])
def test_a_notebook_has_a_bar_if_it_has_widgets(has_widgets: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if has_widgets else None)
    assert can_redraw(Console(force_jupyter=True)) is has_widgets


def test_a_spinner_does_not_disturb_a_notebook_without_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    console = Console(file=io.StringIO(), force_jupyter=True)
    with status(console, "converting"):
        pass
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (20, 20), (30, 15), (200, 20), (205, 19)])
def test_a_run_prints_at_most_about_20_lines_with_one_for_the_last_epoch(epochs: int, lines: int) -> None:
    shown = [epoch for epoch in range(1, epochs + 1) if has_line(epoch, epochs)]
    assert len(shown) == lines and shown[-1] == epochs
