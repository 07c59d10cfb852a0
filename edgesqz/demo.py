"""The whole way once, in about two minutes: train, export, bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import data, defaults
from edgesqz.benchmarking import bench
from edgesqz.benchmarking.report import Report
from edgesqz.exporting import export
from edgesqz.training import train
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

MODEL = "squeezenet-nano"
EPOCHS = {"cifar10": 2, "synthetic": 10}  # about a minute of training on two cores


def run(
    *,
    data_dir: Path | None = None,
    workspace: Path = defaults.DEMO_WORKSPACE,
    quota: str | int | None = None,
    console: Console | None = None,
) -> Report:
    """Train the smallest network, export it four ways, and bench all of them; downloads nothing.

    Args:
        data_dir: where CIFAR-10 lies, if not in the cache; where neither has it, synthetic pictures are drawn.
        workspace: the folder to write to.
        quota: the most bytes the workspace may hold, see ``Workspace``, and each file may have; without any, 2 MB.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: no CIFAR-10 in ``data_dir``, or no room.
    """
    quota = Workspace(workspace, quota).quota_bytes or defaults.DEMO_QUOTA
    dataset = "cifar10" if data.locate("cifar10", data_dir) else "synthetic"
    if console:
        console.print(f"{MODEL} on {dataset}, {EPOCHS[dataset]} epochs", highlight=False, soft_wrap=True)
    train(MODEL, dataset, data_dir=data_dir, epochs=EPOCHS[dataset], workspace=workspace, quota=quota, console=console)
    export(
        MODEL,
        ["tflite", "onnx"],
        variant=["fp32", "int8"],
        data_dir=data_dir,
        workspace=workspace,
        quota=quota,
        console=console,
    )
    return bench(data_dir=data_dir, quota=quota, workspace=workspace, console=console)
