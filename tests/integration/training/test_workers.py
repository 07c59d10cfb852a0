"""Training on several workers: as good as on one, and a worker that dies costs at most an epoch."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from edgesqz.errors import EdgesqzError
from edgesqz.training import Train
from edgesqz.training.checkpoint import names
from edgesqz.training.result import TrainResult
from tests.waiting import wait_for

pytest.importorskip("ray")

NETWORK = "squeezenet-4-4x8"
MORE_THAN_CORES = (os.cpu_count() or 1) + 1


def train(
    bright_and_dark: Path, workspace: Path, *, workers: int = 2, epochs: int = 4, batch_size: int = 16
) -> TrainResult:
    plan = Train(
        NETWORK,
        bright_and_dark,
        workers=workers,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=0.05,
        input_size=16,
        workspace=workspace,
    )
    return plan.run(Console(quiet=True))


def workers_of_ray() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "Worker" in title(child)]


def title(process: psutil.Process) -> str:
    """Return what a process calls itself, or nothing if it has ended since it was listed."""
    try:
        return "".join(process.cmdline()[:1])
    except psutil.NoSuchProcess:  # which a zombie is as well
        return ""


def test_two_workers_learn_what_one_learns_and_losing_one_costs_no_epoch(bright_and_dark: Path, tmp_path: Path) -> None:
    last, _ = names(NETWORK)

    def kill_one() -> None:
        wait_for((tmp_path / last).is_file)
        workers_of_ray()[-1].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = train(bright_and_dark, tmp_path, epochs=30)
    killer.join()
    assert result.manifest.training
    assert len(result.manifest.training["history"]) == 30
    assert result.validation_accuracy == 1.0
    wait_for(lambda: not workers_of_ray())


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
        train(bright_and_dark, tmp_path, **options)


def test_options_of_a_cluster_without_workers_are_refused() -> None:
    with pytest.raises(EdgesqzError, match="address needs more than one worker"):
        Train(address="127.0.0.1:6379")
    with pytest.raises(EdgesqzError, match="workers must be at least 1, got 0"):
        Train(workers=0)
