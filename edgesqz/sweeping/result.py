"""The result of a sweep or, for a dry run, the candidates that it would try."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.benchmarking.rows import Measured
from edgesqz.errors import EdgesqzError, option
from edgesqz.results import Result
from edgesqz.sweeping.trials import Trial, TrialFile
from edgesqz.tables import Column, Table, counted
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from edgesqz.benchmarking.report import Report


@dataclass(frozen=True, repr=False)
class SweepResult(Result):
    """The trials of a sweep.

    Attributes:
        name: Name of the sweep.
        dataset: Name of the dataset, or the path of its folder.
        folder: The workspace.
        quota_bytes: Quota of the workspace, or None if it has none.
        used_bytes: Total size of all files in the workspace.
        trials: All trials or, for a dry run, the trials that would be run.
        report: The benchmark of the best files on the test images, or None if no file was kept.
    """

    name: str
    dataset: str
    folder: Path
    quota_bytes: int | None
    used_bytes: int
    trials: tuple[Trial, ...]
    report: Report | None = field(default=None, compare=False)

    @property
    def best(self) -> Trial | None:
        """The trial of the most accurate kept file, or None if no file was kept. A tie goes to the smaller file."""
        kept = [(file.accuracy, -file.size_bytes, trial) for trial in self.trials for file in trial.files if file.kept]
        return max(kept, key=lambda each: each[:2])[2] if kept else None

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per file, and one per trial that has no file."""
        return [self._record(trial, file) for trial in self.trials for file in trial.files or (None,)]

    def to_json(self) -> str:
        """Return the sweep as JSON text."""
        found = {
            "name": self.name,
            "dataset": self.dataset,
            "workspace": str(self.folder),
            "quota_bytes": self.quota_bytes,
            "used_bytes": self.used_bytes,
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
            "report": json.loads(self.report.to_json()) if self.report else None,
        }
        return json.dumps(found, indent=2) + "\n"

    def to_csv(self) -> str:
        """Return the records as CSV, one value per cell."""
        names = list(dict.fromkeys(name for record in self.records for name in record))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        return text.getvalue()

    def to_html(self) -> str:
        """Return a self-contained web page with the chart and all trials, without scripts or network requests."""
        import jinja2

        source = Path(__file__).with_name("sweep.html.jinja").read_text(encoding="utf-8")
        template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
        benchmark = self.report.table() if self.report else None
        return template.render(result=self, table=self.table(), benchmark=benchmark, plot=self._chart_url())

    def plot(self, path: Path) -> None:
        """Plot accuracy against size for the benchmarked files, as .png or .svg.

        Raises:
            EdgesqzError: No file was benchmarked, or matplotlib is not installed.
        """
        if not self.report:
            raise EdgesqzError("nothing to plot: the sweep kept no file")
        self.report.plot(path)

    def _chart_url(self) -> str:
        """Return the benchmark's chart as a data URL, or an empty string if nothing was benchmarked."""
        if not self.report:
            return ""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "front.svg"
            self.report.plot(path)
            content = base64.b64encode(path.read_bytes()).decode()
        return f"data:image/svg+xml;base64,{content}"

    def spec(self) -> str:
        """Return the best trial as TOML for ``edgesqz train --spec``, or an empty string if no file was kept."""
        if not self.best:
            return ""
        network = {"model": self.best.model}
        if self.best.candidate.input_size is not None:
            network["input_size"] = str(self.best.candidate.input_size)
        sections: dict[str, dict[str, Any]] = {"network": network, "recipe": self.best.candidate.recipe}
        lines = [f"# Trial {self.best.number} of the sweep {self.name}."]
        for section, values in sections.items():
            lines += ["", f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
        return "\n".join(lines) + "\n"

    @property
    def is_plan(self) -> bool:
        """Whether no trial has started."""
        return all(trial.state == "waiting" for trial in self.trials)

    def table(self) -> Table:
        """Return a table with one row per file, most accurate first. For a dry run, one row per candidate."""
        return self._planned_table() if self.is_plan else self._found_table()

    def _record(self, trial: Trial, file: TrialFile | None) -> dict[str, Any]:
        row = self._row(file)
        return {
            "trial": trial.number,
            "model": trial.model,
            "state": trial.state,
            "epochs": trial.epochs,
            "minutes": trial.minutes,
            "parameters": trial.costs.parameters,
            "macs": trial.costs.macs,
            "peak_activation_bytes": trial.costs.peak_activation_bytes,
            "file": file.name if file else None,
            "size_bytes": file.size_bytes if file else None,
            "validation_accuracy": file.accuracy if file else trial.accuracy,
            "kept": bool(file and file.kept),
            "test_accuracy": row.accuracy if row else None,
            "latency_us": row.p50_us if row else None,
            "reason": (file.reason if file else "") or trial.reason,
            **trial.values,
        }

    def _row(self, file: TrialFile | None) -> Measured | None:
        """Return the benchmark row of a file, or None if it was not benchmarked."""
        rows = (row for row in self.report.rows if isinstance(row, Measured)) if self.report else ()
        return next((row for row in rows if file and Path(row.path).name == file.name), None)

    def _found_table(self) -> Table:
        recipes = self._varied_recipes()
        has_recipes = any(recipes.values())
        records = sorted(self.records, key=lambda record: -(record["validation_accuracy"] or 0))
        rows = [
            [
                str(record["trial"]),
                record["file"] or record["model"],
                _scaled(record["validation_accuracy"], 0.01, 2),
                _scaled(record["test_accuracy"], 0.01, 2),
                _scaled(record["size_bytes"], 1e3, 1),
                _scaled(record["macs"], 1e6, 2),
                _scaled(record["latency_us"], 1, 1),
                *([recipes[record["trial"]]] if has_recipes else []),
                "kept" if record["kept"] else f"{record['state']}: {record['reason']}",
            ]
            for record in records
        ]
        columns = [
            Column("trial", "right"),
            Column("file", is_name=True),
            Column("validation\n%", "right"),
            Column("test\n%", "right", rank=2),
            Column("size with\nmanifest, kB", "right"),
            Column("MACs\nM", "right", rank=3),
            Column("p50\nµs", "right", rank=1),
            *([Column("recipe", is_prose=True, rank=4)] if has_recipes else []),
            Column("outcome", is_prose=True),
        ]
        return Table(columns, rows, caption=self._summary(), elsewhere="use --html or --csv")

    def _varied_recipes(self) -> dict[int, str]:
        """Describe, by the number of the trial, the values of its recipe that differ between trials."""
        recipes = {trial.number: trial.candidate.recipe for trial in self.trials}
        names = dict.fromkeys(name for recipe in recipes.values() for name in recipe)
        varied = [name for name in names if len({recipe.get(name) for recipe in recipes.values()}) > 1]
        return {
            number: _described({name: recipe[name] for name in varied if name in recipe})
            for number, recipe in recipes.items()
        }

    def _planned_table(self) -> Table:
        rows = [
            [
                str(trial.number),
                trial.model,
                _scaled(trial.costs.smallest_file_bytes, 1e3, 1),
                _scaled(trial.costs.macs, 1e6, 2),
                _scaled(trial.costs.peak_activation_bytes, 1e3, 1),
                _described(trial.candidate.recipe),
            ]
            for trial in self.trials
        ]
        columns = [
            Column("trial", "right"),
            Column("network", is_name=True),
            Column("smallest file\nkB (approx.)", "right"),
            Column("MACs\nM", "right"),
            Column("arena\nkB", "right"),
            Column("recipe", is_prose=True),
        ]
        caption = f"{counted(len(rows), 'candidate')} within the limits; dry run, nothing was trained"
        if not rows:
            caption = f"all trials have ended; for more, specify a larger {option('trials')}"
        return Table(columns, rows, caption=caption)

    def _summary(self) -> str:
        kept = counted(sum(file.kept for trial in self.trials for file in trial.files), "file")
        used = f"{format_size(self.used_bytes)} used"
        if self.quota_bytes is not None:
            used += f" of the quota of {format_size(self.quota_bytes)}"
        tried = f"{counted(len(self.trials), 'trial')}, {kept} kept in {self.folder}, {used}"
        return f"{tried}; files were chosen by validation accuracy and benchmarked on the test images"


def _described(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in recipe.items())


def _scaled(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"
