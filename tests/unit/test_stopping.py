"""SIGTERM handlers."""

from __future__ import annotations

import signal
import threading

from edgesqz import stopping


def test_the_handler_of_sigterm_survives_a_block_that_sets_another() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopping.handler_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_leave_the_handler_alone() -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            with stopping.handler_kept():
                pass
        except ValueError as error:  # Python allows only the main thread to set a handler
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not errors
