"""The workspace: its quota holds at every moment, and a write is complete or did not happen."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.workspace import OWN, TEMPORARY_SUFFIX, Workspace, disk, write_file
from edgesqz.workspace.sizes import format_size, parse_quota, parse_size

REAL_FSYNC = os.fsync


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a workspace by name, without its own records."""
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
        ("2 mb", 2_000_000),
        ("500k", 500_000),
        ("1e6", 1_000_000),
        ("1.5e3kB", 1_500_000),
        ("0.1MiB", 104_857),
    ],
)
def test_sizes_are_read_in_decimal_and_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size


NO_SIZES = [
    "",
    "lots",
    "-5",
    "0",
    "0.5",
    "1.5",
    "5 bananas",
    "MB",
    "nan",
    "inf",
    "9" * 400 + "MB",
    "1e99",
    "2MB!!!",
    "2MB 3",
]


@pytest.mark.parametrize("text", [*NO_SIZES, "0x10", "1.5.2MB", "iB", "1ib", "12,34,56", "\u0661\u0662", "3\u00b2"])
def test_a_size_that_is_not_above_zero_is_refused(text: str) -> None:
    with pytest.raises(EdgesqzError, match=r"expected a size above zero such as 500kB, .*, got " + repr(text)):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("300,000", "300000"),
        ("1,500,000 B", "1500000 B"),
        ("1.500.000", "1500000"),
        ("300 000", "300000"),
        ("1_000", "1000"),
        ("1,5MB", "1.5MB"),
        ("0,25 MiB", "0.25 MiB"),
    ],
)
def test_the_correct_form_of_a_size_with_separators_is_suggested(text: str, form: str) -> None:
    with pytest.raises(EdgesqzError, match=f"got {text!r}; write {form}$"):
        parse_size(text)
    assert parse_size(form) > 0


@pytest.mark.parametrize(("quota", "size"), [(None, None), (2000, 2000), ("2kB", 2000)])
def test_a_quota_is_none_a_number_or_a_size(quota: str | int | None, size: int | None) -> None:
    assert parse_quota(quota) == size


def test_a_quota_of_0_is_rejected_as_a_number_too() -> None:
    with pytest.raises(EdgesqzError, match="expected a size above zero"):
        parse_quota(0)


def test_sizes_are_formatted_like_quotas() -> None:
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
    workspace.write({"small": bytes(10_000), "large": bytes(49_900), "large.json": bytes(100)})
    before = contents(tmp_path)
    with pytest.raises(EdgesqzError) as refusal:
        workspace.write({"b": bytes(80_000), "c": bytes(10_001)})
    message = str(refusal.value)
    assert re.match(r"b, c: 90\.0 kB more would not fit the quota of 100\.0 kB \(60\.0 kB used\); ", message)
    assert "the largest removable files are large (49.9 kB), small (10.0 kB); remove them with edgesqz" in message
    assert f"edgesqz workspace rm large small --workspace {tmp_path}, or raise quota" in message
    assert contents(tmp_path) == before


def test_files_from_other_programs_count(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "notes.txt").write_bytes(bytes(30))
    (tmp_path / ".hidden").write_bytes(bytes(30))
    workspace = Workspace(tmp_path, 100)
    assert workspace.used_bytes() == 60
    with pytest.raises(EdgesqzError, match="60 bytes used"):
        workspace.write({"a": bytes(41)})


def test_without_a_quota_everything_fits(tmp_path: Path) -> None:
    Workspace(tmp_path, 10).write({"a": bytes(10)})
    Workspace(tmp_path).write({"b": bytes(10_000)})
    assert Workspace(tmp_path).used_bytes() == 10_010


def test_a_replacement_is_charged_in_addition_to_the_replaced_file(tmp_path: Path, peaks: list[int]) -> None:
    workspace = Workspace(tmp_path, 100)
    workspace.write({"a": bytes(60)})
    with pytest.raises(EdgesqzError, match=r"41 bytes more would not fit the quota of 100 bytes \(60 bytes"):
        workspace.write({"a": bytes(41)})
    assert contents(tmp_path) == {"a": bytes(60)}
    workspace.write({"a": b"x" * 40})
    assert contents(tmp_path) == {"a": b"x" * 40}
    assert peaks == [60, 100]


def test_writers_at_the_same_time_stay_within_the_quota_together(tmp_path: Path, peaks: list[int]) -> None:
    refusals: list[str] = []
    together = threading.Barrier(6)

    def write(name: str) -> None:
        workspace = Workspace(tmp_path, 100)  # one for each writer, as in separate processes
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
    ("error", "raised", "message"),
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
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = Workspace(tmp_path)
    workspace.write({"a": b"old a", "b": b"old b"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_at(call, error))
        with pytest.raises(raised, match=message):
            workspace.write({"a": b"new a", "b": b"new b"})
    assert contents(tmp_path) == {"a": b"old a", "b": b"old b"}
    workspace.write({"a": b"new a", "b": b"new b"})  # the lock is free again
    assert contents(tmp_path) == {"a": b"new a", "b": b"new b"}


def test_a_folder_in_the_place_of_a_file_leaves_the_others_unchanged(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write({"a": b"old"})
    (tmp_path / "b").mkdir()
    with pytest.raises(EdgesqzError, match="cannot write a, b"):
        workspace.write({"a": b"new", "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"


def test_leftovers_of_a_killed_process_are_removed_by_the_next_write(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 100)
    (tmp_path / f"net.last.npz{TEMPORARY_SUFFIX}").write_bytes(bytes(90))
    workspace.write({"a": bytes(50)})
    assert contents(tmp_path) == {"a": bytes(50)}


def test_files_are_removed_by_name_and_missing_ones_ignored(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write({"a": b"a", "b": b"b"})
    workspace.remove("a", "gone")
    assert contents(tmp_path) == {"b": b"b"}


def test_files_are_removed_with_the_same_change_that_writes_others(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 100)
    workspace.write({"net.last.npz": bytes(40), "net.best.npz": bytes(20)})
    workspace.write({"net.keras": bytes(39), "net.keras.json": b"{"}, removing=["net.last.npz", "net.best.npz"])
    assert {name: len(content) for name, content in contents(tmp_path).items()} == {
        "net.keras": 39,
        "net.keras.json": 1,
    }


class Killed(BaseException):
    """Stands for SIGKILL: the process has no chance to clean up."""


def killed_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a kill at the ``call``-th access to the file system."""
    calls = 0

    def counted(touch: Callable[..., object]) -> Callable[..., object]:
        def touched(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= call:
                raise Killed
            return touch(*arguments, **options)

        return touched

    for where, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "touch"), (shutil, "rmtree")):
        monkeypatch.setattr(where, name, counted(getattr(where, name)))


def test_a_kill_anywhere_leaves_the_old_state_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"a": b"old a", "a.json": b"old", "gone": b"gone"}
    new = {"a": b"new a", "a.json": b"new", "b": b"b"}
    seen = []
    for call in range(1, 100):
        folder = tmp_path / str(call)
        Workspace(folder).write(old)
        with monkeypatch.context() as patch:
            killed_at(call, patch)
            try:
                Workspace(folder, 100).write(new, removing=["gone"])
            except Killed:
                ended = False
            else:
                ended = True
        assert sum(disk.file_sizes(folder).values()) <= 100
        Workspace(folder)  # the next process
        seen.append(contents(folder))
        assert seen[-1] in (old, new)
        assert [path.name for path in (folder / OWN).iterdir()] == ["lock"]
        if ended:
            break
    assert seen[0] == old and seen[-1] == new
    assert len(seen) > 10


def test_a_kill_while_files_are_removed_leaves_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for call in range(1, 12):
        folder = tmp_path / str(call)
        Workspace(folder).write({"a": b"a", "a.json": b"{}"})
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            killed_at(call, patch)
            Workspace(folder, 3).remove("a", "a.json")  # the workspace is full, but removing files needs no space
        Workspace(folder)
        seen.add(frozenset(contents(folder)))
    assert seen == {frozenset(), frozenset({"a", "a.json"})}


def test_names_in_subfolders_and_unusual_names_are_supported(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    workspace = Workspace(tmp_path)
    workspace.write({"reports/a.json": b"a", "100 % ü.json": b"b"})
    assert workspace.sizes() == {"reports/a.json": 1, "100 % ü.json": 1, f"{OWN}/lock": 0}
    workspace.remove("reports/a.json", "100 % ü.json")
    assert workspace.used_bytes() == 0


# Claims


def test_claimed_space_is_reserved(tmp_path: Path) -> None:
    running, other = Workspace(tmp_path, 1000), Workspace(tmp_path, 1000)
    with running.claim(["net.last.npz", "net.keras"], 700):
        assert 0 < (other.room_for(()) or 0) < 300
        with pytest.raises(EdgesqzError, match=r"would not fit the quota of 1.0 kB \(7.. bytes used"):
            other.write({"a": bytes(300)})
        running.write({"net.last.npz": bytes(350)})
        running.write({"net.last.npz": bytes(350)})  # in addition to the file that it replaces
        with pytest.raises(EdgesqzError, match="would not fit"):
            running.write({"net.keras": bytes(600)})
        assert other.is_claimed("net.keras")
        assert other.is_claimed(f"net.last.npz{TEMPORARY_SUFFIX}")
        assert not other.is_claimed("net.keras.json")
    assert other.room_for(()) == 650
    other.write({"a": bytes(650)})


def test_more_than_the_remaining_space_cannot_be_claimed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 1000)
    workspace.write({"a": bytes(500)})
    with pytest.raises(EdgesqzError, match="net.keras: .* more would not fit"), workspace.claim(["net.keras"], 501):
        pytest.fail("there was no room")
    assert workspace.sizes() == {"a": 500, f"{OWN}/lock": 0}


def test_without_a_quota_nothing_is_claimed(tmp_path: Path) -> None:
    with Workspace(tmp_path).claim(["a"], 10**12):
        assert not tmp_path.joinpath(OWN).exists()


def test_the_claim_of_a_killed_process_is_dropped_with_its_folder(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from edgesqz.workspace import Workspace
with Workspace(Path({str(tmp_path)!r}), 1000).claim(["scratch", "net.keras"], 700):
    Path("scratch").mkdir()
    Path("scratch/left").write_bytes(bytes(100))
    Path("net.keras").write_bytes(b"kept")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert Workspace(tmp_path, 1000).room_for(()) == 996
    assert contents(tmp_path) == {"net.keras": b"kept"}


def test_an_incomplete_claim_of_a_killed_process_is_dropped(tmp_path: Path) -> None:
    claims = tmp_path / OWN / "claims"
    claims.mkdir(parents=True)
    (claims / "a.lock").touch()
    (claims / "a.unfinished").write_text('{"names": ["net.k')
    workspace = Workspace(tmp_path, 1000)
    assert workspace.room_for(()) == 1000
    assert not list(claims.iterdir())


# The effective quota


def test_the_flag_overrides_the_variable_and_the_variable_the_stored_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Workspace(tmp_path).quota_bytes is None
    Workspace(tmp_path).store_quota("3kB")
    assert Workspace(tmp_path).quota_bytes == 3000
    monkeypatch.setenv("EDGESQZ_QUOTA", "2kB")
    assert Workspace(tmp_path).quota_bytes == 2000
    assert Workspace(tmp_path, "1kB").quota_bytes == 1000
    monkeypatch.delenv("EDGESQZ_QUOTA")
    Workspace(tmp_path).drop_quota()
    assert Workspace(tmp_path).quota_bytes is None


def test_a_quota_below_the_used_bytes_is_not_stored(tmp_path: Path) -> None:
    Workspace(tmp_path).write({"a": bytes(2000)})
    with pytest.raises(EdgesqzError, match="holds 2.0 kB, more than a quota of 1.0 kB; edgesqz workspace clean"):
        Workspace(tmp_path).store_quota("1kB")
    assert Workspace(tmp_path).quota_bytes is None


def test_an_invalid_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESQZ_QUOTA", "plenty")
    with pytest.raises(EdgesqzError, match="EDGESQZ_QUOTA: expected a size .*, got 'plenty'"):
        Workspace(tmp_path)


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


# Files that are not artifacts


def test_a_report_in_a_workspace_is_charged_to_its_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Workspace(tmp_path).write({"a": bytes(500)})
    monkeypatch.setenv("EDGESQZ_QUOTA", "1kB")
    (tmp_path / "reports").mkdir()
    write_file(tmp_path / "reports" / "report.json", bytes(400))
    with pytest.raises(EdgesqzError, match="reports/page.html: 101 bytes more would not fit the quota of 1.0 kB"):
        write_file(Path("reports/page.html"), bytes(101))
    assert sum(disk.file_sizes(tmp_path).values()) == 900


def test_a_file_is_replaced_completely(tmp_path: Path) -> None:
    write_file(tmp_path / "report.json", b"a longer text")
    write_file(tmp_path / "report.json", b"{}")
    assert contents(tmp_path) == {"report.json": b"{}"}


def test_a_file_that_cannot_be_replaced_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "report.json", b"old")
    monkeypatch.setattr(os, "fsync", failing_at(1, OSError(errno.EIO, "Input/output error")))
    with pytest.raises(EdgesqzError, match=r"cannot write .*report\.json: Input/output error"):
        write_file(tmp_path / "report.json", b"new")
    assert contents(tmp_path) == {"report.json": b"old"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_folder_that_only_seems_writable_is_refused_at_once() -> None:
    with pytest.raises(EdgesqzError, match="the workspace /proc/ws cannot be used: "):
        Workspace(Path("/proc/ws"))


def test_checking_whether_a_folder_can_be_created_leaves_nothing(tmp_path: Path) -> None:
    Workspace(tmp_path / "new" / "workspace")
    assert not list(tmp_path.iterdir())
