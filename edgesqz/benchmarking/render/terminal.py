"""A report as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesqz import tables
from edgesqz.benchmarking import layer_error
from edgesqz.benchmarking.budget import label
from edgesqz.benchmarking.render.columns import VERDICT, Column, columns, measured_on, notes, number

if TYPE_CHECKING:
    from edgesqz.benchmarking.layer_error import LayerErrors
    from edgesqz.benchmarking.report import Report, Row


def table(report: Report) -> tables.Table:
    """A row a file; a narrow terminal gets the most important figures."""
    shown = columns(report)
    cells = [_missed_limits if column is VERDICT else column.cell for column in shown]
    return tables.Table(
        [_column(column, report) for column in shown],
        [[cell(row) for cell in cells] for row in report.told_apart],
        report.title(),
        measured_on(report),
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
    """A row a class: how much of it each file has right."""
    measured = [row for row in report.told_apart if row.class_accuracies]
    labels = report.dataset["labels"] if report.dataset else ()
    return tables.Table(
        [tables.Column("class"), *(tables.Column(label(row, measured), "right") for row in measured)],
        [
            [name, *(number((row.class_accuracies or ())[place], 100, 1) for row in measured)]
            for place, name in enumerate(labels)
        ],
        "top-1 of each class, %",
    )


def layer_table(report: Report) -> tables.Table:
    """A row a layer: its signal-to-noise ratio in each export, and a mark where the error first grows."""
    rows = [row for row in report.told_apart if row.layer_sqnr_db is not None]
    compared = [row.layer_sqnr_db or {} for row in rows]
    return tables.Table(
        [tables.Column("layer"), *(tables.Column(label(row, rows), "right") for row in rows)],
        [[layer, *(_sqnr(layer, errors) for errors in compared)] for layer in layer_error.in_order(compared)],
        "signal to noise of each layer, dB",
        "against the source model's; <: the error first grows tenfold; exact: nothing differs",
    )


def _missed_limits(row: Row) -> str:
    """The limits that a row misses, by name; their figures are told below the table."""
    return ", ".join(reason.split()[0] for reason in row.missed or ()) or "ok"


def _sqnr(layer: str, errors: LayerErrors) -> str:
    if layer not in errors:
        return ""
    ratio = errors[layer]
    return ("exact" if ratio is None else f"{ratio:.1f}") + ("<" if layer == layer_error.grows_at(errors) else " ")
