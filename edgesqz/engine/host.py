"""Run engines on another machine, such as the target board of a model, through ssh."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from edgesqz.errors import EdgesqzError, option

# ssh never prompts for a password or an unknown host's key, and it detects when a board is disconnected.
CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 60
ALIVE_INTERVAL_S = 5
ALIVE_MISSES = 3

# Text that needs no quoting on a command line.
_ADDRESS = re.compile(r"([A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9_][\w.-]*")
_PYTHON = re.compile(r"[\w./~+-]+")


@dataclass(frozen=True)
class Host:
    """A machine to run engines on.

    Attributes:
        address: ``board`` or ``user@board``, where ``board`` may be a name in ssh's configuration.
        port: Port of the ssh server, or None for ssh's default.
        python: Command that starts a Python with NumPy and the engines on that machine.
    """

    address: str
    port: int | None = None
    python: str = "python3"

    @classmethod
    def parse(cls, text: str) -> Host:
        """Parse ``ssh://user@board:22?python=/path/to/python``. User, port and python are optional.

        Raises:
            EdgesqzError: The text is malformed.
        """
        problem = f"expected a host such as ssh://user@board:22?python=/usr/bin/python3, got {text!r}"
        try:
            parts = urlsplit(text)
            port, options = parts.port, parse_qs(parts.query, keep_blank_values=True)
        except ValueError as error:
            raise EdgesqzError(problem) from error
        address = parts.netloc.removesuffix(f":{port}")
        (python,) = options.pop("python", ["python3"])[:1]
        if parts.scheme != "ssh" or parts.path not in ("", "/") or options:
            raise EdgesqzError(problem)
        if not (_ADDRESS.fullmatch(address) and _PYTHON.fullmatch(python)):
            raise EdgesqzError(problem)
        return cls(address, port, python)

    def check(self) -> None:
        """Connect once to check the machine.

        Raises:
            EdgesqzError: ssh is not installed or cannot connect, Python or NumPy is missing on the machine, or its
                shell prints text that would be mistaken for an engine's answer.
        """
        command = ["ssh", *self._options, self.address, f"{self.python} -c 'import numpy'"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=False)
        except FileNotFoundError as error:
            raise EdgesqzError(f"{option('host')} needs ssh, which is not installed here") from error
        except subprocess.TimeoutExpired as error:
            raise EdgesqzError(f"{self.address} did not answer within {ANSWER_TIMEOUT_S} s") from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"ssh exited with {done.returncode}"])[-1]
            raise EdgesqzError(f"cannot run {self.python} with NumPy on {self.address}: {reason}")
        if done.stdout:
            greeting = done.stdout.split("\n")[0]
            raise EdgesqzError(
                f"expected a shell on {self.address} that prints nothing, got {greeting!r}; "
                "change its startup files to print only in interactive shells"
            )

    @property
    def gateway(self) -> str:
        """Specification for execnet to start a process on the machine."""
        return f"ssh={' '.join([*self._options, self.address])}//python={self.python}"

    @property
    def _options(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_TIMEOUT_S,
            "ServerAliveInterval": ALIVE_INTERVAL_S,
            "ServerAliveCountMax": ALIVE_MISSES,
            "LogLevel": "ERROR",
        }
        pairs = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return [*pairs, *(["-p", str(self.port)] if self.port else [])]
