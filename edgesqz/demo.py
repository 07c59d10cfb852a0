"""The whole way once, in two to three minutes: train for a minute, export, bench."""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import data, defaults
from edgesqz.artifact import Artifact
from edgesqz.benchmarking import Bench
from edgesqz.benchmarking.report import Report
from edgesqz.errors import EdgesqzError, NoRoomError
from edgesqz.exporting import Export
from edgesqz.training import train
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

MODEL = "squeezenet-nano"
IMAGE = "demo-image.png"
# Small batches: a slow machine, which has time for a few thousand images only, still takes some hundred steps.
BATCH_SIZE, LEARNING_RATE = 32, 0.08
FILES = [("tflite", "fp32"), ("onnx", "fp32"), ("onnx", "int8"), ("tflite", "int8")]


@dataclass(frozen=True)
class Demo:
    """What the demo measured, and a command to try next, as a shell takes it."""

    report: Report
    next_command: str


def run(
    *,
    data_dir: Path | None = None,
    workspace: Path = defaults.DEMO_WORKSPACE,
    quota: str | int | None = None,
    console: Console | None = None,
) -> Demo:
    """Train the smallest network for a minute, export it four ways, and bench all of them; downloads nothing.

    What an earlier demo left in the workspace is replaced. A file that loses too much to be kept is left out.

    Args:
        data_dir: where CIFAR-10 lies, if not in the cache; where neither has it, synthetic images are drawn.
        workspace: the folder to write to.
        quota: the most bytes the workspace may hold, see ``Workspace``, and each file may have; without any, 2 MB.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: no CIFAR-10 in ``data_dir``, or no room.
    """
    from rich.console import Console

    quota = Workspace(workspace, quota).quota_bytes or defaults.DEMO_QUOTA
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
    report = plan.run(console or Console(quiet=True))
    image = _leave_image(dataset, data_dir, Workspace(workspace, quota))
    command = ["edgesqz", "predict", files[-1].path.name, str(image), "--workspace", str(workspace)]
    return Demo(report, shlex.join(command))


def _exported(
    format: str, variant: str, data_dir: Path | None, workspace: Path, quota: str | int, console: Console | None
) -> list[Artifact]:
    """One file; none if a network that was trained for only a minute loses too much in it, which is printed."""
    from rich.console import Console

    try:
        plan = Export(MODEL, format, variant=variant, data_dir=data_dir, workspace=workspace, quota=quota)
        return list(plan.run(console or Console(quiet=True)))
    except NoRoomError:
        raise
    except EdgesqzError as error:
        if console:
            console.print(f"left out: {error}", soft_wrap=True, highlight=False, markup=False)
        return []


def _leave_image(dataset: str, data_dir: Path | None, workspace: Workspace) -> Path:
    """Put the first test image into the workspace, for who wants to predict one."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(data.load(dataset, data_dir).test().images[0]).save(content, "PNG")
    workspace.write({IMAGE: content.getvalue()})
    return workspace.folder / IMAGE
