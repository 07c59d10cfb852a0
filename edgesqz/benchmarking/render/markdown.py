"""A report as Markdown, with all its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesqz.benchmarking.render.columns import columns, legend

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report


def text(report: Report) -> str:
    """The table, what its figures mean, and which file to take."""
    shown = columns(report)
    bars = ["--:" if column.justify == "right" else "---" for column in shown]
    cells = [[column.cell(row).replace("|", "\\|") for column in shown] for row in report.told_apart]
    lines = [f"| {' | '.join(line)} |" for line in [[column.head for column in shown], bars, *cells]]
    return "\n".join([report.title(), "", *lines, "", *legend(report), "", *_choice(report), ""])


def _choice(report: Report) -> list[str]:
    """The file to take, and a list of why the others are not it."""
    found = report.selection
    reasons = [f"- not {name}: {reason}" for name, reason in found.reasons.items()]
    return [f"Chosen: {found.chosen or 'none'}; {found.note}", "", *reasons]
