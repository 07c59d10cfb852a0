"""The web page of a sweep, which is self-contained and has no scripts or network requests."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgesqz.sweeping.result import SweepResult


def page(result: SweepResult) -> str:
    """Render a sweep as HTML. Everything inserted into the page is escaped."""
    import jinja2

    source = Path(__file__).with_name("sweep.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    benchmark = result.report.table() if result.report else None
    return template.render(result=result, table=result.table(), benchmark=benchmark, plot=_plot(result))


def _plot(result: SweepResult) -> str:
    """Return the benchmark's chart as a data URL, or an empty string if nothing was benchmarked."""
    if not result.report:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "front.svg"
        result.plot(path)
        content = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/svg+xml;base64,{content}"
