"""A report as Markdown, with all its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesqz.benchmarking.render.columns import columns, legend, measured_on
from edgesqz.tables import Column, Table

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report


def text(report: Report) -> str:
    """Return the table, its legend, and the best file."""
    shown = columns(report)
    heads = [Column(column.head, column.justify) for column in shown]
    table = Table(heads, [[column.cell(entry) for column in shown] for entry in report.entries])
    about = [measured_on(report), legend(report), *report.warnings()]
    return "\n".join([report.title(), "", *table.markdown(), "", *about, "", *_choice(report), ""])


def _choice(report: Report) -> list[str]:
    """Return the best file, and a list that says why the others were not chosen."""
    found = report.selection
    reasons = [f"- not {name}: {reason}" for name, reason in found.reasons.items()]
    return [f"Chosen: {found.chosen or 'none'}; {found.note}", "", *reasons]
