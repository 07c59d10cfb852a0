"""The workspace: its quota holds at every moment, and a write is whole or has not been."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.sizes import format_size, parse_quota, parse_size
from edgesqz.workspace import OWN, TEMPORARY_SUFFIX, Workspace, write_file

REAL_FSYNC = os.fsync


def contents(folder: Path) -> dict[str, bytes]:
    """What a workspace holds, by name, without what it keeps for itself."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != OWN}


def failing_at(call: int, error: BaseException) -> Callable[[int], None]:
    """An ``fsync`` that raises at its ``call``-th call."""
    calls = 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        REAL_FSYNC(descriptor)

    return fsync


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500kB", 500_000),
        ("2MB", 2_000_000),
        ("1MiB", 1_048_576),
        ("123456", 123_456),
        ("1.5MB", 1_500_000),
        (" 64 KiB ", 65_536),
        ("1", 1),
    ],
)
def test_sizes_are_read_in_decimal_and_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-5", "0", "0.5", "5 bananas", "MB", "nan", "inf", "9" * 400 + "MB"])
def test_what_is_no_size_above_zero_is_refused(text: str) -> None:
    with pytest.raises(EdgesqzError, match=r"expected a size above zero such as 500kB, .*, got " + repr(text)):
        parse_size(text)


@pytest.mark.parametrize(("quota", "size"), [(None, None), (2000, 2000), ("2kB", 2000)])
def test_a_quota_is_none_a_number_or_a_size(quota: str | int | None, size: int | None) -> None:
    assert parse_quota(quota) == size


def test_a_quota_of_nothing_is_refused_as_a_number_too() -> None:
    with pytest.raises(EdgesqzError, match="expected a size above zero"):
        parse_quota(0)


def test_sizes_are_shown_as_quotas_are_given() -> None:
    assert format_size(73_512) == "73.5 kB"
    assert parse_size(format_size(2_000_000)) == 2_000_000


# The quota


def test_a_write_that_fits_exactly_passes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 100)
    workspace.write({"a": bytes(60)})
    workspace.write({"b": bytes(30), "c": bytes(10)})
    assert workspace.used_bytes() == 100


def test_a_write_of_one_byte_more_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 100_000)
    workspace.write({"small": bytes(10_000), "large": bytes(50_000)})
    before = contents(tmp_path)
    with pytest.raises(EdgesqzError) as refusal:
        workspace.write({"b": bytes(30_000), "c": bytes(10_001)})
    told = str(refusal.value)
    assert re.match(r"b, c: 40\.0 kB more would not fit the quota of 100\.0 kB, of which 60\.0 kB are used", told)
    assert told.index("large (50.0 kB)") < told.index("small (10.0 kB)")
    assert "--quota" in told
    assert contents(tmp_path) == before


def test_files_that_others_put_into_the_folder_count(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "notes.txt").write_bytes(bytes(30))
    (tmp_path / ".hidden").write_bytes(bytes(30))
    workspace = Workspace(tmp_path, 100)
    assert workspace.used_bytes() == 60
    with pytest.raises(EdgesqzError, match="60 bytes are used"):
        workspace.write({"a": bytes(41)})


def test_without_a_quota_everything_fits(tmp_path: Path) -> None:
    Workspace(tmp_path, 10).write({"a": bytes(10)})
    Workspace(tmp_path).write({"b": bytes(10_000)})
    assert Workspace(tmp_path).used_bytes() == 10_010


def test_a_replacement_is_charged_beside_what_it_replaces(tmp_path: Path, peaks: list[int]) -> None:
    workspace = Workspace(tmp_path, 100)
    workspace.write({"a": bytes(60)})
    with pytest.raises(EdgesqzError, match="41 bytes more would not fit the quota of 100 bytes, of which 60 bytes"):
        workspace.write({"a": bytes(41)})
    assert contents(tmp_path) == {"a": bytes(60)}
    workspace.write({"a": b"x" * 40})
    assert contents(tmp_path) == {"a": b"x" * 40}
    assert peaks == [60, 100]


def test_writers_at_the_same_time_stay_within_the_quota_together(tmp_path: Path, peaks: list[int]) -> None:
    refusals: list[str] = []
    together = threading.Barrier(6)

    def write(name: str) -> None:
        workspace = Workspace(tmp_path, 100)  # each its own, as in a process of its own
        together.wait()
        try:
            workspace.write({name: name.encode() * 40})
        except EdgesqzError as refusal:
            refusals.append(str(refusal))

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcdef"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(peaks) == [40, 80]
    assert len(refusals) == 4
    assert sorted(map(len, contents(tmp_path).values())) == [40, 40]


# All or nothing


def test_files_are_written_and_replaced(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "new" / "folder")
    workspace.write({"a": b"first", "b": b"kept"})
    workspace.write({"a": b"second"})
    assert contents(tmp_path / "new" / "folder") == {"a": b"second", "b": b"kept"}


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize(
    ("error", "raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), EdgesqzError, "cannot write a, b to .*: No space left"),
        (KeyboardInterrupt("pressed"), KeyboardInterrupt, "pressed"),
    ],
    ids=["full disk", "Ctrl-C"],
)
def test_a_write_that_fails_half_way_changes_nothing(
    call: int,
    error: BaseException,
    raised: type[BaseException],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = Workspace(tmp_path)
    workspace.write({"a": b"old a", "b": b"old b"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_at(call, error))
        with pytest.raises(raised, match=told):
            workspace.write({"a": b"new a", "b": b"new b"})
    assert contents(tmp_path) == {"a": b"old a", "b": b"old b"}
    workspace.write({"a": b"new a", "b": b"new b"})  # the lock is free again
    assert contents(tmp_path) == {"a": b"new a", "b": b"new b"}


def test_a_folder_in_the_place_of_one_file_keeps_the_others_as_they_were(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write({"a": b"old"})
    (tmp_path / "b").mkdir()
    with pytest.raises(EdgesqzError, match="cannot write a, b"):
        workspace.write({"a": b"new", "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 100)
    (tmp_path / f"net.last.npz{TEMPORARY_SUFFIX}").write_bytes(bytes(90))
    workspace.write({"a": bytes(50)})
    assert contents(tmp_path) == {"a": bytes(50)}


def test_files_are_removed_by_name_and_absent_ones_passed_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write({"a": b"a", "b": b"b"})
    workspace.remove("a", "gone")
    assert contents(tmp_path) == {"b": b"b"}


# Places that cannot be written to


def test_a_workspace_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgesqzError, match=rf"the workspace {tmp_path}/file/below cannot be used: Not a directory"):
        Workspace(tmp_path / "file" / "below")


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgesqzError, match=rf"the workspace {tmp_path}/file cannot be used"):
        Workspace(tmp_path / "file")


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgesqzError, match=rf"cannot write {tmp_path}/file/report\.json: Not a directory"):
        write_file(tmp_path / "file" / "report.json", b"{}")


# Files outside a workspace


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "report.json", b"a longer text")
    write_file(tmp_path / "report.json", b"{}")
    assert contents(tmp_path) == {"report.json": b"{}"}


def test_a_file_that_cannot_be_replaced_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "report.json", b"old")
    monkeypatch.setattr(os, "fsync", failing_at(1, OSError(errno.EIO, "Input/output error")))
    with pytest.raises(EdgesqzError, match=r"cannot write .*report\.json: Input/output error"):
        write_file(tmp_path / "report.json", b"new")
    assert contents(tmp_path) == {"report.json": b"old"}
