"""The demo: train for a minute, export and bench. Imports nothing heavy, for ``--help`` reads it."""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from edgesqz import defaults
from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, NoRoomError
from edgesqz.options import DataDirOptions
from edgesqz.results import Result
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from edgesqz.artifact import Artifact
    from edgesqz.benchmarking.report import Report

MODEL = "squeezenet-nano"
IMAGE = "demo-image.png"
# Small batches: a slow machine, which has time for a few thousand images only, still takes some hundred steps.
BATCH_SIZE, LEARNING_RATE = 32, 0.08
FILES = [("tflite", "fp32"), ("onnx", "fp32"), ("onnx", "int8"), ("tflite", "int8")]


@dataclass(frozen=True, repr=False)
class DemoResult(Result):
    """What the demo measured, where its files are, and a command to try next, as a shell takes it."""

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
    """Train for a minute, export four ways, and bench all files: on CIFAR-10 if present, else on synthetic images.

    Nothing is downloaded. What an earlier demo left in the workspace is replaced. A file that loses too much accuracy
    to be kept is left out.

    Example: `edgesqz demo`
    """

    PANEL: ClassVar = "Workspace"
    workspace: Annotated[str | Path, Option("The folder to write to.", metavar="DIR", variable="EDGESQZ_WORKSPACE")] = (
        defaults.DEMO_WORKSPACE
    )
    quota: Annotated[
        str | int | None,
        Option(
            "The most bytes that the workspace may hold, and that each file may have.",
            metavar="SIZE",
            default=f"EDGESQZ_QUOTA, else the quota that the workspace stored, else {defaults.DEMO_QUOTA}",
        ),
    ] = None

    def run(self, console: Console) -> DemoResult:
        """Train, export and bench.

        Raises:
            EdgesqzError: no CIFAR-10 in ``data_dir``, or no room.
        """
        from edgesqz import data
        from edgesqz.benchmarking import Bench
        from edgesqz.training.run import train

        workspace = Path(self.workspace)
        data_dir = None if self.data_dir is None else Path(self.data_dir)
        quota = Workspace(workspace, self.quota).quota_bytes or defaults.DEMO_QUOTA
        dataset = "cifar10" if data.locate("cifar10", data_dir) else "synthetic"
        trained = train(
            MODEL,
            dataset,
            data_dir=data_dir,
            seconds=defaults.DEMO_SECONDS,
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            force=True,
            workspace=workspace,
            quota=quota,
            console=console,
        )
        files = [trained]
        for format, variant in FILES:
            files += _exported(format, variant, data_dir, workspace, quota, console)
        plan = Bench(
            [file.path for file in files],
            dataset=dataset,
            data_dir=data_dir,
            limit=defaults.DEMO_TEST_IMAGES,
            max_size=quota,
            workspace=workspace,
        )
        report = plan.run(console)
        image = _leave_image(dataset, data_dir, Workspace(workspace, quota))
        command = ["edgesqz", "predict", files[-1].path.name, str(image), "--workspace", str(workspace)]
        return DemoResult(report, workspace, shlex.join(command))


demo = command(Demo)


def _exported(
    format: str, variant: str, data_dir: Path | None, workspace: Path, quota: str | int, console: Console
) -> list[Artifact]:
    """One file; none if a network that learned for a minute only loses too much in it, which is told."""
    from edgesqz.exporting import Export

    try:
        plan = Export(MODEL, format, variant=variant, data_dir=data_dir, workspace=workspace, quota=quota)
        return list(plan.run(console))
    except NoRoomError:
        raise
    except EdgesqzError as error:
        console.print(f"left out: {error}", soft_wrap=True, highlight=False, markup=False)
        return []


def _leave_image(dataset: str, data_dir: Path | None, workspace: Workspace) -> Path:
    """Put the first test image into the workspace, for who wants to predict one."""
    from PIL import Image

    from edgesqz import data

    content = io.BytesIO()
    Image.fromarray(data.load(dataset, data_dir).test().images[0]).save(content, "PNG")
    workspace.write({IMAGE: content.getvalue()})
    return workspace.folder / IMAGE
