"""A report as Markdown, with all its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesqz.benchmarking.render.columns import columns, legend, measured_on

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report


def text(report: Report) -> str:
    """Return the table, its legend, and the best file."""
    shown = columns(report)
    bars = ["--:" if column.justify == "right" else "---" for column in shown]
    cells = [[column.cell(entry).replace("|", "\\|") for column in shown] for entry in report.entries]
    lines = [f"| {' | '.join(line)} |" for line in [[column.head for column in shown], bars, *cells]]
    about = [measured_on(report), legend(report), *report.warnings()]
    return "\n".join([report.title(), "", *lines, "", *about, "", *_choice(report), ""])


def _choice(report: Report) -> list[str]:
    """Return the best file, and a list that says why the others were not chosen."""
    found = report.selection
    reasons = [f"- not {name}: {reason}" for name, reason in found.reasons.items()]
    return [f"Chosen: {found.chosen or 'none'}; {found.note}", "", *reasons]
