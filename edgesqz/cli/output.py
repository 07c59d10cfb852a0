"""Output of the command line: how results are shown, and exit codes."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

import typer

from edgesqz import plotting
from edgesqz.benchmarking.plan import LayerOption
from edgesqz.command import Option
from edgesqz.comparing.plan import ChangeLimits
from edgesqz.errors import EdgesqzError
from edgesqz.exporting.result import ExportResult, verification_summary
from edgesqz.tables import stacked
from edgesqz.workspace import check_writable, manifest_path
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from edgesqz.benchmarking.report import Report
    from edgesqz.comparing.result import CompareResult
    from edgesqz.demonstration import DemoResult
    from edgesqz.embedding.result import Embedding
    from edgesqz.fitting.result import FitResult
    from edgesqz.maintenance.cleaning import CleaningPlan
    from edgesqz.maintenance.integrity import Integrity
    from edgesqz.models.comparison import ParamsResult
    from edgesqz.predicting import Predictions
    from edgesqz.sweeping.result import SweepResult
    from edgesqz.training.result import TrainResult

EXIT_BAD_INPUT = 1
EXIT_MISSED_BUDGET = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

UNKNOWN_ACCURACY = (
    "to measure an unknown accuracy, name the test images with --data-dir or --dataset; a drop also needs the source "
    "model beside the file; to bench without it, remove --min-accuracy and --max-accuracy-drop"
)

log = logging.getLogger("edgesqz")


class Result(Protocol):
    """The result of a command."""

    def table(self) -> RenderableType: ...

    def to_json(self) -> str: ...


def show(result: Result, json: bool = False) -> None:
    """Print a result to standard output."""
    if json:
        print(result.to_json(), end="")
    else:
        draw(result.table())


def draw(table: RenderableType) -> None:
    """Print a table to standard output, as wide as the terminal, or 100 columns if there is no terminal."""
    from rich.console import Console

    Console(width=shutil.get_terminal_size((100, 0)).columns).print(table, soft_wrap=True)


def progress_console() -> Console:
    """The console for progress: standard error, so that standard output holds results only."""
    from rich.console import Console

    return Console(stderr=True, quiet=log.level > logging.WARNING)


def say_written(paths: Iterable[Path | str]) -> None:
    """Print the names of the written files to standard error."""
    if names := ", ".join(map(str, paths)):
        progress_console().print(f"wrote {names}", soft_wrap=True, highlight=False, markup=False)


def with_manifests(paths: Iterable[Path]) -> list[Path]:
    """Return each path, followed by the path of its manifest."""
    return [each for path in paths for each in (path, manifest_path(path))]


def say(line: str) -> None:
    """Print a line to standard error."""
    print(line, file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """The option that prints JSON."""

    PANEL: ClassVar = "Output"
    json: Annotated[bool, Option("Print JSON instead of a table.")] = False


@dataclass(frozen=True, kw_only=True)
class TableOrJson(JsonOption):
    """Print a result as a table, or as JSON."""

    def show(self, result: Result) -> None:
        """Print the result to standard output."""
        show(result, self.json)


@dataclass(frozen=True, kw_only=True)
class TrainOutput(JsonOption):
    """Print a line about the model."""

    def show(self, result: TrainResult) -> None:
        """Print the model, and to standard error the files that were written and a warning."""
        if self.json:
            show(result, json=True)
        else:
            print(f"{result.path}: {format_size(result.size_bytes)}, {result.accuracy_summary}")
        say_written(with_manifests([result.path]))
        if result.warning:
            say(f"warning: {result.warning}")


@dataclass(frozen=True, kw_only=True)
class ParamsOutput(JsonOption):
    """Print costs, and plot them."""

    PANEL: ClassVar = "Output"
    plot: Annotated[
        str | Path | None, Option("Plot the estimated sizes of the .tflite files, as .png or .svg.", metavar="FILE")
    ] = None

    def show(self, result: ParamsResult) -> None:
        """Print the costs, and write the plot."""
        if self.plot:
            result.plot(self.plot)
            say_written([self.plot])
        show(result, self.json)


@dataclass(frozen=True, kw_only=True)
class PredictOutput(JsonOption):
    """Print predictions. The command fails if an image could not be read."""

    def show(self, result: Predictions) -> None:
        """Print the predictions, and to standard error why images could not be read."""
        if self.json or result.readable.images:
            show(result if self.json else result.readable, self.json)
        for failure in result.failures():
            say(f"failed: {failure}")
        if result.failures():
            raise typer.Exit(EXIT_BAD_INPUT)


@dataclass(frozen=True, kw_only=True)
class EmbedOutput:
    """Print the files, how they were verified, and what to do next."""

    def show(self, result: Embedding) -> None:
        """Print to standard output."""
        contract = result.contract
        print(f"{result.folder}: {', '.join(result.files)}")
        for outputs in contract.outputs.values():
            arena = f", in an arena of {outputs.arena_bytes:,} bytes" if outputs.arena_bytes else ""
            print(f"{len(contract.images)} test vectors predicted by {outputs.engine}{arena}")
        for runtime, reason in contract.unavailable.items():
            print(f"no test vectors predicted by {runtime}: {reason}")
        if added := len(contract.described) - len(contract.content):
            print(f"its .tflite file contains the labels and the pixel range, {added:,} bytes more")
        print(f"next: read CONTRACT.md; then, in {result.folder}: {result.verification}")


STANDARD_OUTPUT = "-"


def write_or_print(text: str, path: str | Path) -> None:
    """Write a text to a file, or print it if the path is ``-``."""
    from edgesqz.benchmarking.report import save

    if str(path) == STANDARD_OUTPUT:
        print(text, end="")
    else:
        save(text, Path(path))


@dataclass(frozen=True, kw_only=True)
class CompareOutput(JsonOption):
    """Print what changed. The exit code says whether a file violates a limit."""

    PANEL: ClassVar = "Output"
    markdown: Annotated[
        str | Path | None, Option("Write the table to this file as Markdown. Use - to print it.", metavar="FILE|-")
    ] = None

    def __post_init__(self) -> None:
        """Check that the file can be written."""
        if self.json and str(self.markdown) == STANDARD_OUTPUT:
            raise EdgesqzError("only one of --json and --markdown can go to standard output")
        if self.markdown and str(self.markdown) != STANDARD_OUTPUT:
            check_writable(Path(self.markdown))

    def show(self, result: CompareResult) -> None:
        """Print the changes to standard output, and the violations to standard error."""
        if str(self.markdown) != STANDARD_OUTPUT:
            show(result, self.json)
        if self.markdown:
            write_or_print(result.to_markdown(), self.markdown)
            say_written([self.markdown] if str(self.markdown) != STANDARD_OUTPUT else [])
        print_changes(result)
        if result.misses():
            raise typer.Exit(EXIT_MISSED_BUDGET)


def print_changes(result: CompareResult) -> None:
    """Print what cannot be compared and what violates a limit to standard error."""
    for line in result.unmatched():
        say(line)
    for line in result.within_noise():
        say(f"not significant: {line}")
    for line in result.misses():
        say(f"regression: {line}")
    if result.misses_unknown_figure:
        say("\n".join(result.notes()))


@dataclass(frozen=True, kw_only=True)
class AgainstOptions(ChangeLimits):
    """An earlier report to compare with, and limits on what changed."""

    PANEL: ClassVar = "Limits"
    against: Annotated[
        str | Path | None,
        Option("Also compare with this earlier report, as `edgesqz compare` does.", metavar="OLD.json"),
    ] = None
    max_accuracy_drop: Annotated[
        float | None,
        Option(
            "Maximum loss of top-1 accuracy relative to the source model, in percentage points. With --against, also "
            "the maximum significant loss since the earlier report; a file without its source model then needs to "
            "meet only that limit.",
            metavar="POINTS",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check the limits, and that the earlier report can be read."""
        from edgesqz.benchmarking.report import Report

        ChangeLimits.__post_init__(self)
        if self.against:
            Report.read(Path(self.against))
        elif self.max_slowdown is not None or self.max_growth is not None:
            raise EdgesqzError("--max-slowdown and --max-growth limit changes since an earlier report; add --against")

    def compare(self, report: Report) -> CompareResult | None:
        """Compare a report with the earlier one, or return None if there is none."""
        from edgesqz.comparing.result import NamedReport, compare_reports

        if not self.against:
            return None
        return compare_reports(NamedReport.of(self.against, "old"), NamedReport("this report", report), self.limits)


@dataclass(frozen=True, kw_only=True)
class BenchOutput(AgainstOptions, LayerOption):
    """Print a report, or write it to files. The exit code says whether files failed or missed a limit."""

    PANEL: ClassVar = "Output"
    choose: Annotated[
        bool,
        Option(
            "Choose the best file. Among the files within all limits whose accuracy is not significantly below the "
            "highest (McNemar, p >= 0.05), it has the smallest product of size and latency."
        ),
    ] = False
    per_class: Annotated[bool, Option("Also show the accuracy of each class.")] = False
    json: Annotated[
        str | Path | None, Option("Write the report to this file as JSON. Use - to print it.", metavar="FILE|-")
    ] = None
    csv: Annotated[
        str | Path | None,
        Option("Write the rows to this file as CSV, one raw number per cell. Use - to print them.", metavar="FILE|-"),
    ] = None
    markdown: Annotated[
        str | Path | None, Option("Write the table to this file as Markdown. Use - to print it.", metavar="FILE|-")
    ] = None
    html: Annotated[
        str | Path | None, Option("Write a web page with charts to this file. Use - to print it.", metavar="FILE|-")
    ] = None
    plot: Annotated[
        str | Path | None, Option("Plot accuracy against size in this .png or .svg file.", metavar="FILE")
    ] = None

    def __post_init__(self) -> None:
        """Check that the files can be read and written, before hours of measurements."""
        AgainstOptions.__post_init__(self)
        if len(self._printed) > 1:
            raise EdgesqzError("only one of --json, --csv, --markdown and --html can go to standard output")
        if self._printed and (self.per_class or self.layers) and self.json != STANDARD_OUTPUT:
            raise EdgesqzError("--per-class and --layers print tables; write the report to a file, or as --json -")
        for path in self._files:
            check_writable(path)
        if self.plot:
            plotting.check(Path(self.plot))

    @property
    def _texts(self) -> dict[str, str | Path]:
        """The destination of each text format of the report, by the format's name."""
        every = {"json": self.json, "csv": self.csv, "markdown": self.markdown, "html": self.html}
        return {name: path for name, path in every.items() if path}

    @property
    def _printed(self) -> list[str]:
        return [name for name, path in self._texts.items() if str(path) == STANDARD_OUTPUT]

    @property
    def _files(self) -> list[Path]:
        paths = [path for path in self._texts.values() if str(path) != STANDARD_OUTPUT]
        return [Path(path) for path in [*paths, *([self.plot] if self.plot else [])]]

    def show(self, result: Report) -> None:
        """Print the report or write it to files."""
        result = replace(result, allows_unknown_drop=self.against is not None)
        changes = self.compare(result)
        if not self._printed:
            self._print_tables(result, changes)
        for name, path in self._texts.items():
            write_or_print(self._text(name, Path(path), result, changes), path)
        if self.plot:
            result.plot(Path(self.plot))
        say_written([*self._files, *(row.flips for row in result.measured if row.flips)])
        self._print_notes(result)
        if changes:
            print_changes(changes)
        if result.named_file_failed:
            raise typer.Exit(EXIT_BAD_INPUT)
        if result.misses() or (changes and changes.misses()) or (self.choose and not result.selection.chosen):
            raise typer.Exit(EXIT_MISSED_BUDGET)

    def _print_tables(self, report: Report, changes: CompareResult | None) -> None:
        tables = [report.table()]
        if self.per_class:
            tables.append(report.class_table())
        if self.layers:
            tables.append(report.layer_table())
        if changes:
            tables.append(changes.table())
        draw(stacked(tables))

    def _text(self, name: str, path: Path, report: Report, changes: CompareResult | None) -> str:
        """Return the report in a text format. The Markdown also contains the changes."""
        if name == "html":
            return report.to_html(path.parent)
        text: str = getattr(report, f"to_{name}")()
        return f"{text}\n{changes.to_markdown()}" if changes and name == "markdown" else text

    def _print_notes(self, report: Report) -> None:
        """Print problems to standard error, and the chosen file to standard output."""
        for failure in report.failures():
            say(f"failed: {failure}")
        for warning in report.warnings():
            say(f"warning: {warning}")
        for reason in report.without_accuracy():
            say(f"no accuracy: {reason}")
        if self.choose and not self._printed:
            print("\n".join(report.choice()))
        for miss in report.misses():
            say(f"over budget: {miss}")
        if report.misses_unknown_accuracy:
            say(UNKNOWN_ACCURACY)


@dataclass(frozen=True, kw_only=True)
class FitOutput(JsonOption):
    """Print all candidates, and name the kept files."""

    def show(self, result: FitResult) -> None:
        """Print the result to standard output, and the names of written files to standard error."""
        show(result, self.json)
        for kept in result.kept:
            say(f"best file within the quota: {result.folder / kept.file_name}")
        say_written(with_manifests(result.folder / kept.file_name for kept in result.kept if not kept.in_workspace))
        if not result.kept:
            say("no file fits; see the reasons above")
            raise typer.Exit(EXIT_MISSED_BUDGET)


@dataclass(frozen=True, kw_only=True)
class ExportOutput(JsonOption):
    """Print a line per file, or the plan of a dry run. The command fails if a requested file cannot be exported."""

    def show(self, result: ExportResult) -> None:
        """Print to standard output the files that were or would be written, and to standard error the others."""
        if self.json or result.planned:
            show(result, self.json)
        else:
            for artifact in result:
                print(f"{artifact.path}: {format_size(artifact.size_bytes)}, {verification_summary(artifact)}")
            if tables := result.layer_tables():
                draw(stacked(tables))
        say_written(with_manifests(artifact.path for artifact in result))
        for file in result.skipped:
            say(f"skipped: {file}")
        for file in result.failed:
            say(f"failed: {file}")
        if result.failed or (result.planned and not any(file.is_possible for file in result.planned)):
            raise typer.Exit(EXIT_BAD_INPUT)


@dataclass(frozen=True, kw_only=True)
class DemoOutput:
    """Print the report, and a command to try next."""

    def show(self, result: DemoResult) -> None:
        """Print to standard output."""
        show(result)
        print("A minute of training is only a demonstration; edgesqz export squeezenet writes a fully trained network.")
        print(f"The model files and their manifests are in {result.workspace}. Try this next:")
        print(result.next_command)


@dataclass(frozen=True, kw_only=True)
class CleanOutput:
    """Show the files to delete, ask for confirmation, and delete them."""

    yes: Annotated[bool, Option("Delete without asking.")] = False

    def show(self, result: CleaningPlan) -> None:
        """Print the plan, and delete the files if the user agrees."""
        if not result.items:
            used, target = format_size(result.before_bytes), format_size(result.target_bytes)
            print(f"nothing to delete: {used} used, {target} allowed")
            return
        draw(result.table())
        if self.yes or typer.confirm("Delete these?", abort=True):
            result.carry_out()


@dataclass(frozen=True, kw_only=True)
class VerifyOutput(JsonOption):
    """Print the problems. The command fails if there are any."""

    def show(self, result: Integrity) -> None:
        """Print to standard output."""
        show(result, self.json)
        if result.problems:
            raise typer.Exit(EXIT_BAD_INPUT)


@dataclass(frozen=True, kw_only=True)
class SweepOutput(JsonOption):
    """Print the trials and write them to files. The exit code says whether a file was kept."""

    PANEL: ClassVar = "Output"
    template: Annotated[bool, Option("Print a commented example of a space, and exit.")] = False
    csv: Annotated[str | Path | None, Option("Write the trials as CSV.", metavar="FILE")] = None
    html: Annotated[str | Path | None, Option("Write a web page with the chart and all trials.", metavar="FILE")] = None
    plot: Annotated[
        str | Path | None, Option("Plot accuracy against size for the best files, as .png or .svg.", metavar="FILE")
    ] = None
    best: Annotated[
        str | Path | None,
        Option("Write the network and recipe of the best trial, for `edgesqz train --spec`.", metavar="FILE"),
    ] = None

    def __post_init__(self) -> None:
        """Print the template, or check that the files can be written before hours of training."""
        if self.template:
            from edgesqz.sweeping.space import TEMPLATE

            print(TEMPLATE, end="")
            raise typer.Exit
        for path in self._files:
            check_writable(path)
        if self.plot:
            plotting.check(Path(self.plot))

    @property
    def _files(self) -> list[Path]:
        return [Path(path) for path in (self.csv, self.html, self.plot, self.best) if path]

    def show(self, result: SweepResult) -> None:
        """Print the trials, and write the files."""
        from edgesqz.benchmarking.report import save

        show(result, self.json)
        if result.is_plan:
            return
        if not result.best:
            say("no file was kept; see the table for the reasons")
            raise typer.Exit(EXIT_MISSED_BUDGET)
        for path, text in ((self.csv, result.to_csv), (self.html, result.to_html), (self.best, result.spec)):
            if path:
                save(text(), Path(path))
        if self.plot:
            result.plot(Path(self.plot))
        say_written(self._files)
        if not self.json:
            if result.report:
                draw(result.report.table())
                for problem in (*result.report.failures(), *result.report.without_accuracy()):
                    say(f"benchmark: {problem}")
            print(f"best: trial {result.best.number}, {result.best.model}")
            if self.best:
                words = ["edgesqz", "train", "--spec", str(self.best), "--dataset", str(result.dataset)]
                print(f"to train it for longer, add the epochs to: {shlex.join(words)}")
