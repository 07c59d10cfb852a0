"""What stops a command before its end: Ctrl-C, and SIGTERM, which is to clean up as well."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM was sent; what Ctrl-C would clean up is cleaned up on its way."""


def raise_on_sigterm() -> None:
    """Let SIGTERM raise ``Terminated`` in the main thread; only the first, for cleaning up is not to be stopped."""

    def terminate(signum: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], type[KeyboardInterrupt] | None]]:
    """Note what would raise KeyboardInterrupt instead, so that a step is whole before the work stops.

    The second signal of a kind raises at once. Outside the main thread, where Python delivers no signals, nothing is
    changed.

    Yields:
        A function that gives the exception that is due, or None.
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
