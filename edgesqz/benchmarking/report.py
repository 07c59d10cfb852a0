"""The result of a run of the bench as data, JSON and CSV. ``render/`` formats it for people."""

from __future__ import annotations

import csv
import functools
import io
import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from edgesqz.artifact import sha256
from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.entries import Entry, entries
from edgesqz.benchmarking.plan import Bench
from edgesqz.benchmarking.records import flat_records
from edgesqz.benchmarking.rows import Failed, Measured, Row
from edgesqz.benchmarking.selection import Selection, select
from edgesqz.benchmarking.wording import describe_violation
from edgesqz.command import command_line
from edgesqz.engine import saturation
from edgesqz.errors import EdgesqzError
from edgesqz.machine import Machine
from edgesqz.results import Result
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from edgesqz.tables import Table

SCHEMA = 3


@dataclass(frozen=True)
class EvaluatedImages:
    """The images that accuracy was measured on.

    Attributes:
        name: Name or folder of the dataset.
        split: Split of the dataset.
        images: Number of images.
        labels: Names of the classes.
        sha256: SHA-256 of the images and their classes, or None in a report from an older version.
    """

    name: str
    split: str
    images: int
    labels: tuple[str, ...]
    sha256: str | None = None


@dataclass(frozen=True, repr=False)
class Report(Result):
    """The result of a run of the bench.

    Attributes:
        plan: The options of the run.
        machine: The machine that ran the engines.
        versions: Versions of Python and of the packages used. Each row has the version of its engine.
        dataset: The images that accuracy was measured on, or None if accuracy was not measured.
        rows: One row per file and engine. Source models precede their exports.
        no_accuracy: Why accuracy was not measured, or None if it was.
        created: Time of creation, ISO 8601.
        allows_unknown_drop: Whether a file whose accuracy was measured, but not that of its source model, meets any
            limit on the drop.
    """

    plan: Bench
    machine: Machine
    versions: dict[str, str]
    dataset: EvaluatedImages | None
    rows: tuple[Row, ...]
    no_accuracy: str | None = None
    created: str = ""
    allows_unknown_drop: bool = False

    @classmethod
    def from_json(cls, text: str | bytes, name: str | Path = "the text") -> Report:
        """Read a report that ``to_json`` wrote.

        Args:
            text: The report as JSON.
            name: Name of the text in error messages.

        Raises:
            EdgesqzError: The text is not a report, or has another schema.
        """
        try:
            content = json.loads(text)
            _check_schema(content["schema"], name)
            return _adapter().validate_json(text)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise EdgesqzError(f"{name} is not a report from edgesqz bench --json") from error

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read a report from a file that ``edgesqz bench --json`` wrote.

        Raises:
            EdgesqzError: The file cannot be read, is not a report, or has another schema.
        """
        try:
            return cls.from_json(path.read_bytes(), path)
        except OSError as error:
            raise EdgesqzError(f"cannot read {path}: {error.strerror}") from error

    @property
    def budget(self) -> Budget:
        """The limits on each file."""
        return self.plan.budget

    @property
    def command(self) -> str:
        """The command line that repeats the measurements."""
        return shlex.join(command_line(self.plan))

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The rows of the files that were measured."""
        return tuple(row for row in self.rows if isinstance(row, Measured))

    @property
    def failed(self) -> tuple[Failed, ...]:
        """The rows of the files that could not be measured."""
        return tuple(row for row in self.rows if isinstance(row, Failed))

    @functools.cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The rows with their labels, the limits they violate, and whether they are on the Pareto front."""
        return entries(self.rows, self.budget, allows_unknown_drop=self.allows_unknown_drop)

    @functools.cached_property
    def selection(self) -> Selection:
        """The best file."""
        return select(self.entries)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One flat record per row, with fields such as ``size_bytes``, ``accuracy`` and ``latency_p50_us``.

        ``accuracy_low`` and ``accuracy_high`` are the bounds of the confidence interval. ``chosen`` marks the best
        file, and ``not_chosen`` says why another file was not chosen.
        """
        return flat_records(self.entries, self.selection, self.dataset.labels if self.dataset else ())

    def to_json(self) -> str:
        """Return the report as JSON text.

        The JSON also contains derived values: the command, the limits as numbers, the Pareto front, the selection and,
        in each row, the label and the verdict.
        """
        found = _adapter().dump_python(self, mode="json")
        derived = {
            "command": self.command,
            "budget": asdict(self.budget),
            "pareto_front": [entry.label for entry in self.entries if entry.on_front],
            "selection": asdict(self.selection),
            "rows": [_with_verdict(row, entry) for row, entry in zip(found.pop("rows"), self.entries, strict=True)],
        }
        return json.dumps({"schema": SCHEMA} | found | derived, indent=2) + "\n"

    def to_csv(self) -> str:
        """Return the records as CSV text, with one raw number per cell. Unknown values are empty."""
        records = self.records
        text = io.StringIO()
        writer = csv.DictWriter(text, records[0] if records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def to_markdown(self) -> str:
        """Return the table with all its columns as Markdown."""
        from edgesqz.benchmarking.render import markdown

        return markdown.text(self)

    def to_html(self, folder: Path | None = None) -> str:
        """Return the report as an HTML page.

        Args:
            folder: Folder of the page, for links to the contact sheets, or None for no links.
        """
        from edgesqz.benchmarking.render import html

        return html.page(self, folder)

    def plot(self, path: Path) -> None:
        """Plot accuracy against size to an image file, .png or .svg, with a line at the size limit.

        Raises:
            EdgesqzError: No file has an accuracy, matplotlib is not installed, the suffix is unknown, or the file
                cannot be written.
        """
        from edgesqz.benchmarking.render import plot

        plot.draw(self, path)

    def table(self) -> Table:
        """Return the report as a table. A narrow terminal shows only the most important columns."""
        from edgesqz.benchmarking.render import terminal

        return terminal.table(self)

    def class_table(self) -> Table:
        """Return a table of the accuracy of each class in each file."""
        from edgesqz.benchmarking.render import terminal

        return terminal.class_table(self)

    def layer_table(self) -> Table:
        """Return a table of the SQNR of each layer in each export, with a mark where it first falls steeply."""
        from edgesqz.benchmarking.render import terminal

        return terminal.layer_table(self)

    def title(self) -> str:
        """Return the images that accuracy was measured on, or why it was not measured."""
        if self.dataset is None:
            return f"no accuracy: {self.no_accuracy}"
        return f"{self.dataset.images:,} test images of {self.dataset.name}"

    def choice(self) -> list[str]:
        """Return a line with the best file, and for each other file a line that says why it was not chosen."""
        found = self.selection
        others = (f"  not {name}: {reason}" for name, reason in found.reasons.items())
        return [f"chosen: {found.chosen or 'none'}; {found.note}", *others]

    def failures(self) -> list[str]:
        """Return a line for each file that could not be measured, with the reason."""
        return [f"{entry.label}: {entry.row.error}" for entry in self.entries if isinstance(entry.row, Failed)]

    def warnings(self) -> list[str]:
        """Return a line with the reason for each file whose results would differ on another machine."""
        warning = f"{saturation.WARNING}, such as this one; quantize with 7-bit weights (reduce_range=True)"
        return [
            f"{entry.label}: {warning}"
            for entry in self.entries
            if isinstance(entry.row, Measured) and entry.row.may_saturate
        ]

    def without_accuracy(self) -> list[str]:
        """Return a line for each reason why files have no accuracy, with their names, unless it is in the title."""
        names: dict[str, list[str]] = {}
        for entry in self.entries:
            reason = entry.row.no_accuracy if isinstance(entry.row, Measured) else None
            if reason and reason != self.no_accuracy:
                names.setdefault(reason, []).append(entry.label)
        return [f"{', '.join(affected)}: {reason}" for reason, affected in names.items()]

    def misses(self) -> list[str]:
        """Return a line for each measured file that the user named and that violates a limit."""
        return [
            f"{entry.label}: {'; '.join(map(describe_violation, entry.violations))}"
            for entry in self.entries
            if entry.row.named and entry.violations
        ]

    @property
    def misses_unknown_accuracy(self) -> bool:
        """Whether a file that the user named violates a limit because its accuracy or its drop is unknown."""
        return any(
            violation.found is None and violation.limit in ("accuracy", "accuracy_drop_pp")
            for entry in self.entries
            if entry.row.named
            for violation in entry.violations
        )

    def mentions(self, path: Path) -> bool:
        """Return whether a file of this name was measured, regardless of its content."""
        return any(Path(row.path).name == path.name for row in self.rows)

    def row_of(self, path: Path, runtime: str | None = None) -> Measured:
        """Return the row of a model file, found by its SHA-256.

        Args:
            path: The model file. Its name does not matter.
            runtime: The runtime that ran it, or None for any.

        Raises:
            EdgesqzError: The report has no figures for the file. The message says whether it has a file of that name.
        """
        own, on = sha256(path.read_bytes()), f" on {runtime}" if runtime else ""
        rows = [row for row in self.rows if row.sha256 == own and runtime in (None, row.runtime)]
        for row in rows:
            if isinstance(row, Measured):
                return row
        advice = f"measure it with edgesqz bench {shlex.quote(str(path))} --json FILE"
        for row in rows:
            if isinstance(row, Failed):
                raise EdgesqzError(
                    f"the report has no figures for {path.name}{on}, because measuring it failed: {row.error}"
                )
        namesakes = (row.sha256 for row in self.rows if Path(row.path).name == path.name and row.sha256 != own)
        if other := next(namesakes, None):
            raise EdgesqzError(
                f"the report has figures for another file named {path.name}, with SHA-256 {other[:12]} instead of "
                f"{own[:12]}; {advice}"
            )
        raise EdgesqzError(f"the report has no figures for {path.name}{on}; {advice}")

    @property
    def named_file_failed(self) -> bool:
        """Whether a file that the user named could not be measured, or no file at all could."""
        return any(row.named for row in self.failed) or not self.measured


@functools.cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def _check_schema(schema: Any, name: str | Path) -> None:
    if not isinstance(schema, int):
        raise ValueError(schema)
    if schema < SCHEMA:
        raise EdgesqzError(
            f"{name} was written by an older edgesqz (schema {schema}, this one reads {SCHEMA}); "
            "measure again with edgesqz bench --json"
        )
    if schema > SCHEMA:
        raise EdgesqzError(
            f"{name} was written by a newer edgesqz (schema {schema}, this one reads {SCHEMA}); install that one, "
            "or measure again with edgesqz bench --json"
        )


def _with_verdict(row: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Add facts to a row in JSON that follow from the other rows and the limits."""
    if isinstance(entry.row, Measured) and entry.row.performance and (ratio := entry.row.performance.latency_ratio):
        row["performance"]["latency_ratio"]["is_noise"] = ratio.is_noise
    verdict = {"within_budget": entry.within_budget, "violations": list(map(asdict, entry.violations))}
    return {"label": entry.label} | row | verdict


def save(text: str, path: Path) -> None:
    """Write the text of a report, completely or not at all.

    Raises:
        EdgesqzError: The file cannot be written.
    """
    write_file(path, text.encode())
