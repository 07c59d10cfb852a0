"""A workspace that can be read but not written."""

from __future__ import annotations

from pathlib import Path

from tests.permissions import run


def test_a_read_only_workspace_can_be_read(read_only: Path, images: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in read_only.rglob("*")}
    image, name = next((images / "test").glob("*/*.png")), "colors.int8.tflite"
    for arguments in (
        ("workspace", "list"),
        ("workspace", "verify"),
        ("workspace", "quota"),
        ("inspect", name),
        ("predict", name, image),
        ("bench", name, "--rounds", "1", "--limit", "6"),
        ("embed", name, "--target", "python"),
    ):
        done = run(*arguments, "--workspace", read_only)
        assert (done.returncode, "error" in done.stderr) == (0, False), (arguments, done.stderr)
    assert {path: path.stat().st_mtime_ns for path in read_only.rglob("*")} == before
