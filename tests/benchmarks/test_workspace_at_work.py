"""Test the quota with real commands: eight simultaneous exports, two hundred kills. Takes a quarter of an hour.

Run it with: python -m pytest -s tests/benchmarks/test_workspace_at_work.py
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from edgesqz.artifact import ZOO
from edgesqz.workspace import OWN, TEMPORARY_SUFFIX, disk

EDGESQZ = (sys.executable, "-c", "from edgesqz.cli import main; main()")
KILLS = 100  # of each command


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*EDGESQZ, *map(str, arguments)], text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def used(folder: Path) -> int:
    return sum(disk.file_sizes(folder).values())


def test_eight_simultaneous_exports_share_a_quota_for_three(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for number in range(8):
        shutil.copy(ZOO / "squeezenet-nano.keras", tmp_path / "models" / f"net{number}.keras")
    home, quota, seen = tmp_path / "workspace", 3 * 272_500, [0]
    home.mkdir()
    options = ["--format", "tflite", "--workspace", str(home), "--quota", str(quota)]
    exports = [start("export", tmp_path / "models" / f"net{number}.keras", *options) for number in range(8)]
    while any(each.poll() is None for each in exports):
        seen.append(used(home))
        time.sleep(0.001)
    codes = [each.returncode for each in exports]
    errors = [each.communicate()[1] for each in exports]
    assert sorted(codes) == [0] * 3 + [1] * 5
    assert all(
        "would not fit the quota of 817.5 kB" in error for error, code in zip(errors, codes, strict=True) if code
    )
    assert 2 * 270_000 < max(seen) <= quota
    assert len(list(home.glob("*.tflite"))) == 3
    print(f"quota {quota:,} bytes; maximum of {len(seen):,} samples: {max(seen):,}; exit codes {sorted(codes)}")


COMMANDS = {
    "export": ["squeezenet-nano", "--quantize", "--quota", "150kB"],
    "train": ["--model", "squeezenet-nano", "--dataset", "synthetic", "--epochs", "3", "--quota", "2500kB", "--force"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_after_a_kill_the_next_command_finds_no_damage(command: str, tmp_path: Path) -> None:
    home, quota, chance = tmp_path / "workspace", {"export": 150_000, "train": 2_500_000}[command], random.Random(0)
    found: Counter[str] = Counter()
    while found["killed"] < KILLS:
        attempt = found.total() - found["torn"]
        if attempt % 10 == 0:
            shutil.rmtree(home, ignore_errors=True)
        running = start(command, *COMMANDS[command], "--workspace", home)
        if attempt % 2:  # kill it at any time
            time.sleep(chance.uniform(0, 4 if command == "export" else 15))
        else:  # kill it in the middle of a change, if it makes one
            while running.poll() is None and not torn(home):
                time.sleep(0.0001)
            time.sleep(chance.uniform(0, 0.004))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        found["killed" if running.returncode == -signal.SIGKILL else "had ended"] += 1
        found["torn"] += torn(home)
        assert used(home) <= quota
        verified = subprocess.run(
            [*EDGESQZ, "workspace", "verify", "--workspace", str(home)], capture_output=True, text=True, check=False
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert not torn(home)
        assert used(home) <= quota
    print(f"{command}: {dict(found)}; verify was clean after each")


def torn(folder: Path) -> bool:
    """Return whether a change is unfinished, that is, there are temporary files or a record of a change."""
    own = folder / OWN
    return (own / "committed").is_dir() or any(name.endswith(TEMPORARY_SUFFIX) for name in disk.file_sizes(folder))
