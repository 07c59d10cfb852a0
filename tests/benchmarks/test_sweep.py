"""Measure the overhead of a sweep on this machine, with trials that only sleep. Takes ten minutes. Run it with:

python -m pytest -s tests/benchmarks/test_sweep.py
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from rich.console import Console

from edgesqz import cluster
from edgesqz.data import Split
from edgesqz.sweeping import Sweep
from edgesqz.sweeping.keeper import Exported, Record
from edgesqz.sweeping.trial import Setting
from edgesqz.sweeping.trials import Costs, Trial
from edgesqz.sweeping.tuning import Tuning
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch

CORES = os.cpu_count() or 1
QUOTA = 2_000_000
SETTING = Setting("sweep", "synthetic", ("a", "b"), ("tflite",), ("int8",), {}, 1)
SPLIT = Split(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64))


def sweep(folder: Path, count: int, seconds: float) -> tuple[float, tuple[Trial, ...]]:
    """Run trials that sleep. Return the elapsed seconds and the trials."""

    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        time.sleep(seconds)
        reports.progress(1, trial.number / 2000, {"last": bytes(100_000)})
        name = f"sweep-{trial.number:04}.int8.tflite"
        reports.finish([Exported(name, bytes(20_000), bytes(2000), trial.number / 2000)], seconds / 60)

    costs = Costs(parameters=10_000, macs=1, file_bytes=(20_000,), peak_activation_bytes=1)
    trials = [Trial(number, "digits", {"network.model": "digits"}, costs) for number in range(1, count + 1)]
    plan = Sweep({"network": {"model": "digits"}}, workspace=folder, quota=QUOTA, all_epochs=True)
    with scratch(None, Workspace(folder), 0), cluster.started(None, 0):
        tuning = Tuning(plan, SETTING, Record({}, tuple(trials)), Path(tempfile.mkdtemp()), Console(quiet=True), 1)
        started = time.perf_counter()
        found = tuning.run(trials, SPLIT, body=body)
        return time.perf_counter() - started, found


def test_a_sweep_adds_little_to_its_trials(tmp_path: Path) -> None:
    seconds, found = sweep(tmp_path, 10 * CORES, 10)
    added = seconds / (10 * 10) - 1  # each core runs ten trials of 10 s, one after another
    print(f"{len(found)} trials of 10 s on {CORES} cores: {seconds:.1f} s, {added:.1%} more than the trials alone")
    assert added <= 0.1


@pytest.mark.parametrize("count", [1000])
def test_a_thousand_trials_cost_milliseconds_each(count: int, tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    seconds, found = sweep(tmp_path, count, 0.01)
    grown = psutil.Process().memory_info().rss - before
    used = Workspace(tmp_path).used_bytes()
    print(f"{count} trials: {1000 * seconds / count:.1f} ms each; the driver grew by {grown / 1e6:.0f} MB")
    print(f"{used:,} bytes used of {QUOTA:,}")
    assert {trial.state for trial in found} == {"finished"}
    assert used <= QUOTA
