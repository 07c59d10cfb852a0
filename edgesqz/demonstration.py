"""The demo: train for a minute, export and bench. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from edgesqz import defaults
from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, NoRoomError
from edgesqz.options import DataDirOptions, as_path
from edgesqz.results import Result
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from edgesqz.benchmarking.report import Report

MODEL = "squeezenet-nano"
IMAGE = "demo-image.png"
# With small batches, even a slow machine takes enough steps in a minute.
BATCH_SIZE, LEARNING_RATE = 32, 0.08
FILES = [("tflite", "fp32"), ("onnx", "fp32"), ("onnx", "int8"), ("tflite", "int8")]


@dataclass(frozen=True, repr=False)
class DemoResult(Result):
    """The result of the demo.

    Attributes:
        report: The report of the bench.
        workspace: The folder that contains the files.
        next_command: A command to try next, quoted for a shell.
    """

    report: Report
    workspace: Path
    next_command: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows of the report."""
        rows: list[dict[str, Any]] = self.to_dict()["rows"]
        return rows

    def table(self) -> RenderableType:
        """Return the report's table."""
        return self.report.table()

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return self.report.to_json()


@dataclass(frozen=True, kw_only=True)
class Demo(DataDirOptions):
    """Train for a minute, export four ways, and bench all files, on CIFAR-10 if present or else on synthetic images.

    Nothing is downloaded. The files of an earlier demo in the workspace are replaced. A file that loses too much
    accuracy is skipped.

    Example: `edgesqz demo`
    """

    PANEL: ClassVar = "Workspace"
    workspace: Annotated[str | Path, Option("Folder to write to.", metavar="DIR", variable="EDGESQZ_WORKSPACE")] = (
        defaults.DEMO_WORKSPACE
    )
    quota: Annotated[
        str | int | None,
        Option(
            "Maximum size of the workspace, and of each file in it.",
            metavar="SIZE",
            default=f"EDGESQZ_QUOTA, else the quota stored in the workspace, else {defaults.DEMO_QUOTA}",
        ),
    ] = None

    def run(self, console: Console) -> DemoResult:
        """Train, export and bench.

        Raises:
            EdgesqzError: ``data_dir`` does not contain CIFAR-10, or the quota is too small.
        """
        from edgesqz import data

        workspace = Workspace(Path(self.workspace), self.quota)
        quota = workspace.quota_bytes or defaults.DEMO_QUOTA
        dataset = "cifar10" if data.locate("cifar10", self._data_dir) else "synthetic"
        files = [self._train(dataset, quota, console)]
        for format, variant in FILES:
            files += self._export(format, variant, quota, console)
        report = self._bench(files, dataset, quota, console)
        image = self._write_image(dataset, Workspace(workspace.folder, quota))
        words = ["edgesqz", "predict", files[-1].name, str(image), "--workspace", str(self.workspace)]
        return DemoResult(report, workspace.folder, shlex.join(words))

    @property
    def _data_dir(self) -> Path | None:
        return as_path(self.data_dir)

    def _train(self, dataset: str, quota: str | int, console: Console) -> Path:
        from edgesqz.training import Train
        from edgesqz.training.run import run

        plan = Train(
            MODEL,
            dataset,
            data_dir=self.data_dir,
            seconds=defaults.DEMO_SECONDS,
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            force=True,
            workspace=self.workspace,
            quota=quota,
        )
        return run(plan, console, min_steps=defaults.DEMO_MIN_STEPS).path

    def _export(self, format: str, variant: str, quota: str | int, console: Console) -> list[Path]:
        """Export one file, or skip it if it loses too much accuracy, which can happen after a minute of training."""
        from edgesqz.exporting import Export

        try:
            plan = Export(MODEL, format, variant=variant, data_dir=self.data_dir, workspace=self.workspace, quota=quota)
            return [artifact.path for artifact in plan.run(console)]
        except NoRoomError:
            raise
        except EdgesqzError as error:
            console.print(f"skipped: {error}", soft_wrap=True, highlight=False, markup=False)
            return []

    def _bench(self, files: list[Path], dataset: str, quota: str | int, console: Console) -> Report:
        from edgesqz.benchmarking import Bench

        plan = Bench(
            files,
            dataset=dataset,
            data_dir=self.data_dir,
            limit=defaults.DEMO_TEST_IMAGES,
            max_size=quota,
            workspace=self.workspace,
        )
        return plan.run(console)

    def _write_image(self, dataset: str, workspace: Workspace) -> Path:
        """Write the first test image to the workspace, to try ``edgesqz predict`` with."""
        from PIL import Image

        from edgesqz import data

        content = io.BytesIO()
        Image.fromarray(data.load(dataset, self._data_dir).test().images[0]).save(content, "PNG")
        workspace.write({IMAGE: content.getvalue()})
        return workspace.folder / IMAGE


demo = command(Demo)
