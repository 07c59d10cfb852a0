"""Reports on disks that are full, limited or broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.benchmarking.report import save
from edgesqz.workspace import OWN, Workspace
from tests.disks import MESSAGES, Failure, broken_after, full_after, limited_to


@pytest.mark.parametrize("place", ["workspace", "elsewhere"])
@pytest.mark.parametrize("failure", [full_after, limited_to, broken_after])
def test_a_report_is_the_old_one_or_the_new(
    failure: Failure, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace(tmp_path / "workspace").write({"report.json": b"old"})
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / place / "report.json"
    path.write_bytes(b"old")
    for each in range(1) if failure is broken_after else range(0, 1000, 50):
        with monkeypatch.context() as patch:
            failure(patch, each)
            with pytest.raises(EdgesqzError, match=f"cannot write .*: {MESSAGES[failure]} .the disk mounted at /"):
                save("x" * 1000, path)
        assert [each.name for each in path.parent.iterdir() if each.name != OWN] == ["report.json"]
        assert path.read_bytes() == b"old"
    save("x" * 1000, path)
    assert path.read_text() == "x" * 1000
