"""Show progress in a terminal, or in a notebook with ipywidgets."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def can_redraw(console: Console) -> bool:
    """Return whether a console can redraw a line. In a notebook, Rich needs ipywidgets for that."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal


def status(console: Console, text: str) -> contextlib.AbstractContextManager[object]:
    """Show a text with a spinner during a ``with`` block, if the console can redraw a line."""
    return console.status(text) if can_redraw(console) else contextlib.nullcontext()
