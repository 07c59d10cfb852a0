"""A report as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesqz import tables
from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.render.columns import VERDICT, Column, columns, measured_on, notes, number
from edgesqz.benchmarking.rows import Measured
from edgesqz.benchmarking.wording import limit_name
from edgesqz.engine import layer_error
from edgesqz.engine.layer_error import LayerErrors

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report


def table(report: Report) -> tables.Table:
    """Return a table with one row per file. A narrow terminal shows only the most important columns."""
    shown = columns(report)
    cells = [_violated_limits if column is VERDICT else column.cell for column in shown]
    return tables.Table(
        [_column(column, report) for column in shown],
        [[cell(entry) for cell in cells] for entry in report.entries],
        report.title(),
        measured_on(report),
        "use --html or --csv",
    )


def _column(column: Column, report: Report) -> tables.Column:
    return tables.Column(
        f"{column.name}\n{column.unit}".strip(),
        column.justify,
        column.rank,
        is_name=column.name == "artifact",
        is_prose=column is VERDICT,
        notes=notes(column, report),
    )


def class_table(report: Report) -> tables.Table:
    """Return a table of accuracies with one row per class and one column per file."""
    evaluated = [
        (entry.label, entry.row.evaluation.class_accuracies)
        for entry in report.entries
        if isinstance(entry.row, Measured) and entry.row.evaluation
    ]
    labels = report.dataset.labels if report.dataset else ()
    return tables.Table(
        [tables.Column("class"), *(tables.Column(name, "right") for name, _ in evaluated)],
        [
            [label, *(number(accuracies[place], 100, 1) for _, accuracies in evaluated)]
            for place, label in enumerate(labels)
        ],
        "top-1 accuracy of each class, %",
    )


def layer_table(report: Report) -> tables.Table:
    """Return a table of SQNRs with one row per layer and one column per export."""
    compared = [
        (entry.label, entry.row.layer_sqnr_db)
        for entry in report.entries
        if isinstance(entry.row, Measured) and entry.row.layer_sqnr_db is not None
    ]
    falls = f"<: the first layer whose SQNR falls by {layer_error.GROWTH_DB} dB to below {layer_error.HARMFUL_DB} dB"
    legend = f"relative to the source model; {falls}; exact: no difference"
    needs = "an export, its source model in the same folder or in the zoo, and a runtime that shows its layers"
    return tables.Table(
        [tables.Column("layer"), *(tables.Column(name, "right") for name, _ in compared)],
        [
            [layer, *(_sqnr(layer, errors) for _, errors in compared)]
            for layer in layer_error.in_order([errors for _, errors in compared])
        ],
        "SQNR of each layer, dB",
        legend if compared else f"no layers to compare; this needs {needs}",
    )


def _violated_limits(entry: Entry) -> str:
    """Return the names of the limits that a file violates. The note below the table has their values."""
    return ", ".join(limit_name(violation.limit) for violation in entry.violations) or VERDICT.cell(entry)


def _sqnr(layer: str, errors: LayerErrors) -> str:
    if layer not in errors:
        return ""
    ratio = errors[layer]
    return ("exact" if ratio is None else f"{ratio:.1f}") + ("<" if layer == layer_error.grows_at(errors) else " ")
