"""The keeper of a sweep: which files it keeps and discards, that the quota holds, and that no trial is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.sweeping.keeper import Exported, Keeper, Record, record_path
from edgesqz.sweeping.trials import Costs, Trial
from edgesqz.workspace import Workspace

OPTIONS = {"space": {"network": {"model": "digits"}}}
KB = 1000


def trial(number: int, macs: int = 1) -> Trial:
    return Trial(number, "digits", {"network.model": "digits"}, Costs(1, macs, (1,), 1))


def exported(number: int, accuracy: float, size: int = 20 * KB) -> Exported:
    return Exported(f"sweep-{number:04}.int8.tflite", bytes(size - 100), bytes(100), accuracy)


def keeper(folder: Path, quota: int | None = None, record: Record | None = None) -> Keeper:
    return Keeper(folder, quota, "sweep", record or Record(OPTIONS))


def run(kept: Keeper, number: int, accuracy: float, size: int = 20 * KB, macs: int = 1) -> None:
    kept.start(trial(number, macs), size)
    kept.progress(number, 1, accuracy, {"checkpoint": b"weights"})
    kept.finish(number, [exported(number, accuracy, size)], 0.1)


def kept_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.tflite"))


def test_without_a_quota_every_file_is_kept(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    for number, accuracy in enumerate((0.5, 0.4, 0.6), start=1):
        run(kept, number, accuracy)
    assert len(kept_files(tmp_path)) == 3


def test_a_dominated_file_is_discarded_first_and_the_record_says_why(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 60 * KB)
    for number, (accuracy, size) in enumerate(((0.5, 20 * KB), (0.4, 20 * KB), (0.6, 25 * KB)), start=1):
        run(kept, number, accuracy, size)
        assert Workspace(tmp_path).used_bytes() <= 60 * KB
    assert kept_files(tmp_path) == ["sweep-0001.int8.tflite", "sweep-0003.int8.tflite"]
    (discarded,) = kept.trials[2].files
    assert not discarded.kept
    assert "sweep-0001.int8.tflite is at least as good" in discarded.reason


def test_a_file_less_valuable_than_the_kept_ones_is_not_written(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 60 * KB)
    run(kept, 1, 0.6)
    run(kept, 2, 0.7)
    kept.start(trial(3, macs=2), KB)
    kept.finish(3, [exported(3, 0.1)], 0.1)
    assert kept_files(tmp_path) == ["sweep-0001.int8.tflite", "sweep-0002.int8.tflite"]
    assert kept.trials[3].state == "finished"


def test_a_file_larger_than_predicted_is_not_kept_over_the_limit(tmp_path: Path) -> None:
    kept = keeper(tmp_path, record=Record({**OPTIONS, "max_size": "20kB"}))
    run(kept, 1, 0.5, 20 * KB)
    run(kept, 2, 0.6, 21 * KB)
    assert kept_files(tmp_path) == ["sweep-0001.int8.tflite"]
    assert [(file.kept, file.reason) for file in kept.trials[2].files] == [(False, "larger than 20.0 kB")]


def test_the_most_accurate_file_is_discarded_last(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 30 * KB)
    run(kept, 1, 0.9)
    kept.start(trial(2), KB)
    kept.finish(2, [exported(2, 0.2, 5 * KB)], 0.1)
    assert "sweep-0001.int8.tflite" in kept_files(tmp_path)


def test_running_trials_reserve_space(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 50 * KB)
    kept.start(trial(1), 40 * KB)
    assert (Workspace(tmp_path, 50 * KB).room_for(()) or 0) < 10 * KB
    kept.start(trial(2), 20 * KB)  # gets the remaining space
    assert (Workspace(tmp_path, 50 * KB).room_for(()) or 0) < 2 * KB


def test_a_file_is_kept_while_another_trial_runs_and_replaced_only_by_a_better_one(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 30 * KB)
    run(kept, 1, 0.5)
    kept.start(trial(2), 20 * KB)
    assert kept_files(tmp_path) == ["sweep-0001.int8.tflite"]
    kept.finish(2, [exported(2, 0.6)], 0.1)
    assert kept_files(tmp_path) == ["sweep-0002.int8.tflite"]


def test_a_restarted_trial_continues_from_its_checkpoint(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    assert kept.start(trial(1), KB) == {}
    kept.progress(1, 1, 0.5, {"sweep-0001.last.npz": b"weights"})
    assert kept.start(trial(1), KB) == {"sweep-0001.last.npz": b"weights"}


def test_the_record_survives_a_killed_driver(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    run(kept, 1, 0.5)
    kept.start(trial(2), KB)
    again = keeper(tmp_path, record=Record.read(record_path(tmp_path, "sweep")))
    assert again.is_over(1)
    assert again.trials[2].state == "waiting"
    assert again.options == OPTIONS


def test_files_removed_by_the_user_do_not_count_as_kept(tmp_path: Path) -> None:
    run(keeper(tmp_path), 1, 0.5)
    (tmp_path / "sweep-0001.int8.tflite").unlink()
    again = keeper(tmp_path, record=Record.read(record_path(tmp_path, "sweep")))
    assert [file.kept for file in again.trials[1].files] == [False]


def test_failed_and_stopped_trials_keep_their_reason(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    kept.start(trial(1), KB)
    kept.end(1, "failed", "the loss became nan")
    assert (kept.trials[1].state, kept.trials[1].reason) == ("failed", "the loss became nan")
    kept.end(1, "stopped", "too late")
    assert kept.trials[1].state == "failed"


def test_a_trial_can_fail_before_it_starts(tmp_path: Path) -> None:
    kept = keeper(tmp_path, record=Record(OPTIONS, (trial(1), trial(2))))
    kept.end(1, "failed", "its worker died")
    kept.end(2, "stopped", "nothing ran")
    assert [(each.state, each.reason) for each in kept.close()] == [("failed", "its worker died"), ("waiting", "")]


def test_closing_marks_running_trials_as_waiting(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 50 * KB)
    kept.start(trial(1), 40 * KB)
    (left,) = kept.close()
    assert left.state == "waiting"
    assert (Workspace(tmp_path, 50 * KB).room_for(()) or 0) > 40 * KB


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99}', '{"schema": 2, "trials": []}'])
def test_an_error_names_a_damaged_record(content: str, tmp_path: Path) -> None:
    path = record_path(tmp_path, "sweep")
    path.write_text(content)
    with pytest.raises(EdgesqzError, match=r"the record of the sweep .*sweep\.sweep\.json is damaged"):
        Record.read(path)
