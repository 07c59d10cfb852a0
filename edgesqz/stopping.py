"""Stop a command early with Ctrl-C or SIGTERM. Both clean up in the same way."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM, which cleans up as Ctrl-C does."""


def raise_on_sigterm() -> None:
    """Make the first SIGTERM raise ``Terminated`` in the main thread. Later ones must not interrupt the cleanup."""

    def terminate(signum: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


@contextlib.contextmanager
def handler_kept() -> Iterator[None]:
    """Restore the SIGTERM handler after a block that may replace it. Ray's, for example, does not clean up."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # only the main thread can set handlers
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], type[KeyboardInterrupt] | None]]:
    """Defer signals instead of raising KeyboardInterrupt, so that a step completes before the work stops.

    A second signal of the same type raises immediately. Outside the main thread, where Python delivers no signals,
    nothing changes.

    Yields:
        A function that returns the type of the deferred exception, or None.
    """
    due: type[KeyboardInterrupt] | None = None
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    kinds: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
    previous = {signum: handler for signum in kinds if callable(handler := signal.getsignal(signum))}

    def note(signum: int, frame: object) -> None:
        nonlocal due
        due = kinds[signum]
        signal.signal(signum, previous[signum])

    for signum in previous:
        signal.signal(signum, note)
    try:
        yield lambda: due
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
