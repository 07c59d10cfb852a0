"""Trials on Ray with bodies that the tests control: dead workers, lost nodes, quotas and interruptions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from rich.console import Console

from edgesqz import cluster
from edgesqz.data import Split
from edgesqz.errors import EdgesqzError
from edgesqz.sweeping import Sweep
from edgesqz.sweeping.keeper import Exported, Record, record_path
from edgesqz.sweeping.trial import Setting
from edgesqz.sweeping.trials import Costs, Trial
from edgesqz.sweeping.tuning import Body, Tuning
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch
from tests.processes import descendants
from tests.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="needs ray")  # importing it takes a second

KB = 1000
SETTING = Setting("sweep", "synthetic", ("a", "b"), ("tflite",), ("int8",), {}, 1)
SPLIT = Split(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64))


def trials(count: int) -> list[Trial]:
    costs = Costs(parameters=10 * KB, macs=1, file_bytes=(14 * KB,), peak_activation_bytes=1)
    return [
        Trial(number, "digits", {"network.model": "digits", "recipe.epochs": 2}, costs)
        for number in range(1, count + 1)
    ]


def tune(folder: Path, count: int, body: Body, *, address: str | None = None, **options: Any) -> tuple[Trial, ...]:
    plan = Sweep({"network": {"model": "digits"}}, workspace=folder, **options)
    path = record_path(folder, "sweep")
    record = Record.read(path) if path.exists() else Record({}, tuple(trials(count)))
    planned = [trial for trial in record.trials if not trial.is_over]
    with scratch(None, Workspace(folder), 0), cluster.started(address, 0):
        storage = Path(tempfile.mkdtemp())
        return Tuning(plan, SETTING, record, storage, Console(quiet=True), 2).run(planned, SPLIT, body=body)


def exported(trial: Trial, size: int = 20 * KB) -> list[Exported]:
    return [Exported(f"sweep-{trial.number:04}.int8.tflite", bytes(size), b"{}", trial.number / 100)]


@pytest.fixture
def no_ray_process_remains() -> Iterator[None]:
    yield
    wait_for(lambda: not descendants("ray"))


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """The address of a cluster of two cores that runs until the end of the module, because Ray starts slowly."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 100_000_000})
    yield nodes.address
    nodes.shutdown()


@contextmanager
def interrupted_when(what: Callable[[], bool]) -> Iterator[None]:
    def interrupt() -> None:
        wait_for(what)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()


@pytest.mark.usefixtures("no_ray_process_remains")
def test_ctrl_c_keeps_finished_trials(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        while trial.number == 2:
            (marks / "2").touch()
            time.sleep(0.02)
        reports.finish([Exported(f"sweep-{trial.number:04}.int8.tflite", b"model", b"{}", 0.6)], 0.1)

    folder = tmp_path / "workspace"
    with (
        interrupted_when((marks / "2").exists),
        pytest.raises(KeyboardInterrupt, match="stopped after 1 trial; continue with resume"),
    ):
        tune(folder, 2, body, concurrent=1, all_epochs=True)
    states = {trial.number: trial.state for trial in Record.read(record_path(folder, "sweep")).trials}
    assert states == {1: "finished", 2: "waiting"}


def test_a_quota_for_three_of_eight_files_holds_at_every_moment(running: str, tmp_path: Path) -> None:
    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        reports.progress(1, trial.number / 100, {"last": bytes(500_000)})
        reports.finish(
            [Exported(f"sweep-{trial.number:04}.int8.tflite", bytes(20_000), b"{}", trial.number / 100)], 0.1
        )

    quota, sizes, over = 75 * KB, list[int](), threading.Event()

    def sample() -> None:
        while not over.wait(0.005):
            sizes.append(Workspace(tmp_path / "workspace", quota, read_only=True).used_bytes())

    watcher = threading.Thread(target=sample)
    (tmp_path / "workspace").mkdir()
    watcher.start()
    found = tune(tmp_path / "workspace", 8, body, address=running, quota=quota, concurrent=2, all_epochs=True)
    over.set()
    watcher.join()
    assert max(sizes) <= quota
    assert [trial.state for trial in sorted(found, key=lambda each: each.number)] == ["finished"] * 8
    kept = [file.name for trial in found for file in trial.files if file.kept]
    assert 1 <= len(kept) <= 3
    assert sorted(kept) == sorted(path.name for path in (tmp_path / "workspace").glob("*.tflite"))
    assert "sweep-0008.int8.tflite" in kept  # the most accurate


def test_a_trial_in_the_lower_half_is_stopped_unless_it_has_reached_its_last_epoch(
    running: str, tmp_path: Path
) -> None:
    accuracies = {1: (0.5, 0.9), 2: (0.6, 0.7), 3: (0.4, 0.8)}

    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        for epoch, accuracy in enumerate(accuracies[trial.number], start=1):
            reports.progress(epoch, accuracy, {"last": b"weights"})
        reports.finish(exported(trial), 0.1)

    found = tune(tmp_path / "workspace", 3, body, address=running, concurrent=1)
    assert {trial.number: (trial.state, trial.epochs) for trial in found} == {
        1: ("finished", 2),
        2: ("finished", 2),  # although its second epoch is worse than that of the first trial
        3: ("stopped", 1),
    }


def test_a_dead_worker_continues_from_its_checkpoint_and_failures_are_recorded(running: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        if trial.number == 2:
            raise EdgesqzError("the loss became nan in epoch 1; try a lower learning_rate")
        begun = 1 if checkpoint else 0
        (marks / f"{trial.number}-{begun}-{os.getpid()}").touch()
        if not begun:
            reports.progress(1, 0.5, {"last": b"weights"})
            if trial.number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        reports.progress(2, 0.6, {"last": b"weights"})
        reports.finish([Exported(f"sweep-{trial.number:04}.int8.tflite", b"model", b"{}", 0.6)], 0.1)

    over = tune(tmp_path / "workspace", 3, body, address=running, all_epochs=True)
    found = {trial.number: trial for trial in over}
    assert found[1].state == found[3].state == "finished"
    assert (found[2].state, found[2].reason) == ("failed", "the loss became nan in epoch 1; try a lower learning_rate")
    begun = sorted(path.name.rpartition("-")[0] for path in marks.iterdir())
    assert begun == ["1-0", "1-1", "3-0"]


def test_the_next_trial_waits_until_a_stopped_one_has_cleaned_up(running: str, tmp_path: Path) -> None:
    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        try:
            for epoch in (1, 2):
                reports.progress(epoch, 0.5 if trial.number == 2 else 0.6, {"last": b"weights"})
            reports.finish(exported(trial), 0.1)
        finally:
            time.sleep(3)  # longer than Tune waits by default

    found = tune(tmp_path / "workspace", 3, body, address=running, concurrent=1)
    assert [trial.state for trial in found] == ["finished", "stopped", "finished"]


def test_a_killed_node_loses_nothing(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    marks = tmp_path / "marks"
    marks.mkdir()

    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (marks / f"{trial.number}@{node}").touch()
        reports.progress(1, 0.5, {"last": b"weights"})
        while not (marks / "go").exists():
            time.sleep(0.02)
        reports.finish([Exported(f"sweep-{trial.number:04}.int8.tflite", b"model", b"{}", 0.6)], 0.1)

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100_000_000})
    try:
        second = nodes.add_node(num_cpus=1, object_store_memory=100_000_000)
        nodes.wait_for_nodes()

        def kill() -> None:
            wait_for(lambda: any(marks.glob(f"*@{second.node_id}")))
            nodes.remove_node(second, allow_graceful=False)
            (marks / "go").touch()

        killer = threading.Thread(target=kill)
        killer.start()
        found = tune(tmp_path / "workspace", 3, body, address=nodes.address, all_epochs=True)
        killer.join()
    finally:
        nodes.shutdown()
    assert sorted(trial.number for trial in found) == [1, 2, 3]
    assert {trial.state for trial in found} == {"finished"}
    assert len(list((tmp_path / "workspace").glob("*.tflite"))) == 3


DRIVER = """
import sys, time
from pathlib import Path
sys.path[:0] = {folders!r}
import test_tuning as here
from edgesqz.sweeping.keeper import Exported

def body(trial, setting, split, checkpoint, reports):
    with open(f"{marks}/{{trial.number}}-{{time.monotonic_ns()}}", "w"):
        pass
    while trial.number == 3 and not Path("{marks}/go").exists():
        time.sleep(0.02)
    reports.finish([Exported(f"sweep-{{trial.number:04}}.int8.tflite", b"model", b"{{}}", 0.6)], 0.1)

if __name__ == "__main__":
    here.tune(Path({folder!r}), 4, body, concurrent=1, all_epochs=True)
"""


def test_after_a_killed_driver_only_running_trials_are_repeated(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "workspace"
    marks.mkdir()
    script = tmp_path / "driver.py"
    folders = [str(Path(__file__).parents[number]) for number in (0, 3)]  # of this file, and of the package "tests"
    script.write_text(DRIVER.format(folders=folders, marks=marks, folder=str(folder)))
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(path.name.startswith("3-") for path in marks.iterdir()))
    processes = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    for process in processes:  # Ray's own processes take a minute to notice that the driver died
        with suppress(psutil.NoSuchProcess):
            process.kill()
    states = {trial.number: trial.state for trial in Record.read(record_path(folder, "sweep")).trials}
    assert states == {1: "finished", 2: "finished", 3: "waiting", 4: "waiting"}
    (marks / "go").touch()
    subprocess.run([sys.executable, str(script)], check=True, timeout=10 * PATIENCE_S)
    begun = sorted(path.name.partition("-")[0] for path in marks.iterdir() if path.name != "go")
    assert begun == ["1", "2", "3", "3", "4"]
    record = json.loads(record_path(folder, "sweep").read_bytes())
    assert [trial["state"] for trial in record["trials"]] == ["finished"] * 4


def test_optuna_proposes_trials_within_the_budget_and_runs_waiting_ones_first(running: str, tmp_path: Path) -> None:
    from edgesqz.sweeping.candidates import Budget, Selection
    from edgesqz.sweeping.proposals import Proposals
    from edgesqz.sweeping.space import Space

    def body(trial: Trial, setting: Setting, split: Split, checkpoint: Any, reports: Any) -> None:
        reports.progress(1, trial.number / 10, {})
        reports.finish([Exported(f"sweep-{trial.number:04}.int8.tflite", b"model", b"{}", trial.number / 10)], 0.1)

    stage = {"fires": {"low": 1, "high": 4}, "squeeze": [4, 8], "expand": {"low": 8, "high": 64, "step": 8}}
    space = Space.parse({"network": {"stem": 8, "stage1": stage}, "recipe": {"learning_rate": {"low": 0.1, "high": 1}}})
    selection = Selection(space, Budget(size_bytes=12 * KB), classes=10)
    waiting = selection.random(1, seed=0)
    selection.first = 2
    plan = Sweep({"network": {"model": "digits"}}, workspace=tmp_path / "workspace", all_epochs=True)
    with scratch(None, Workspace(tmp_path), 0), cluster.started(running, 0):
        tuning = Tuning(plan, SETTING, Record({}, tuple(waiting)), Path(tempfile.mkdtemp()), Console(quiet=True), 1)
        found = tuning.run([], SPLIT, Proposals(selection, 4, 0, waiting), body)
    assert sorted(trial.number for trial in found) == [1, 2, 3, 4]
    assert {trial.state for trial in found} == {"finished"}
    assert all(trial.costs.smallest_file_bytes <= 12 * KB for trial in found)


def test_an_address_without_a_cluster_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"no Ray cluster answers at 127\.0\.0\.1:1; expected address HOST:PORT"):
        tune(tmp_path, 1, lambda *_: None, address="127.0.0.1:1")


def test_an_address_of_something_else_is_reported_without_the_messages_of_ray(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        closing = threading.Thread(target=_close_every_connection, args=(server,), daemon=True)
        closing.start()
        with pytest.raises(EdgesqzError, match=f"no Ray cluster answers at {address}; .*(another service|reset)"):
            tune(tmp_path, 1, lambda *_: None, address=address)
    assert capfd.readouterr() == ("", "")


def _close_every_connection(server: socket.socket) -> None:
    with suppress(OSError):  # the server is closed
        while True:
            server.accept()[0].close()
