"""Training on several workers: as good as on one, and a worker that dies costs at most an epoch."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from edgesqz.errors import EdgesqzError
from edgesqz.training import Train
from edgesqz.training.checkpoint import Progress
from edgesqz.training.run import run
from tests.processes import descendants
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="needs ray")  # importing it takes a second

NETWORK, EPOCHS = "squeezenet-4-4x8", 6
MORE_THAN_CORES = (os.cpu_count() or 1) + 1


def plan(bright_and_dark: Path, workspace: Path, **options: Any) -> Train:
    chosen = {"workers": 2, "epochs": EPOCHS, "batch_size": 16, "learning_rate": 0.05, "input_size": 16} | options
    return Train(NETWORK, bright_and_dark, workspace=workspace, **chosen)


def test_two_workers_learn_what_one_learns_and_losing_one_costs_no_epoch(bright_and_dark: Path, tmp_path: Path) -> None:
    def kill_one(progress: Progress) -> None:
        if len(progress.history) == 1 and not killed:
            killed.append(descendants("Worker")[-1])
            killed[0].kill()

    killed = list[psutil.Process]()
    result = run(plan(bright_and_dark, tmp_path), Console(quiet=True), after_epoch=kill_one)
    assert killed
    assert len(result.history) == EPOCHS
    assert result.validation_accuracy == 1.0
    wait_for(lambda: not descendants("Worker"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 15}, "expected batch_size to be a multiple of 2, got 15"),
        (
            {"workers": MORE_THAN_CORES, "batch_size": MORE_THAN_CORES},
            "workers needs one core per worker; expected at most",
        ),
    ],
)
def test_batches_that_cannot_be_divided_are_rejected(
    options: dict[str, int], message: str, bright_and_dark: Path, tmp_path: Path
) -> None:
    with pytest.raises(EdgesqzError, match=message):
        plan(bright_and_dark, tmp_path, **options).run(Console(quiet=True))


def test_options_of_a_cluster_without_workers_are_refused() -> None:
    with pytest.raises(EdgesqzError, match="address needs more than one worker"):
        Train(address="127.0.0.1:6379")
    with pytest.raises(EdgesqzError, match="workers must be at least 1, got 0"):
        Train(workers=0)
