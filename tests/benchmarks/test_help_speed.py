"""Measure how long `edgesqz --help` takes. Not part of the suite, because it depends on the machine and its load.

Run it with: python -m pytest -s tests/benchmarks/test_help_speed.py
"""

from __future__ import annotations

import os
import subprocess
import sys

MAX_S = 0.4  # of processor time, on a quiet machine of 2025


def test_help_is_fast() -> None:
    def seconds() -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, "-c", "from edgesqz.cli import main; main()", "--help"], check=True, capture_output=True
        )
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    fastest = min(seconds() for _ in range(5))
    print(f"help takes {fastest * 1000:.0f} ms of processor time")
    assert fastest < MAX_S
