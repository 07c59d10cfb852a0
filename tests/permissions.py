"""Commands to which file modes apply, even if the tests run as root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Tests often run as root, which ignores file modes. Without two capabilities, they apply to root as well.
RESTRICTED = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
if os.geteuid() == 0:
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


COMMAND = "from edgesqz.cli import main; main()"


def run(*arguments: str | Path, program: str = COMMAND) -> subprocess.CompletedProcess[str]:
    """Run a command to which file modes apply."""
    command = [sys.executable, "-c", RESTRICTED, program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
