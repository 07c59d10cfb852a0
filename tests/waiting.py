"""Waiting for events, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 600


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something has happened. Fail only after a time that no machine needs."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
