"""Start TensorFlow and Keras without their log output. No other module sets them up."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence

# Keras imports these packages if they are installed, which takes a second. The command line needs no function that uses
# them, but a program that uses edgesqz as a library may.
UNNEEDED = ("matplotlib", "pandas")


@contextlib.contextmanager
def hush() -> Iterator[None]:
    """Hide what TensorFlow and the converters print, log and warn about.

    C++ code writes straight to file descriptors 1 and 2, so these are redirected, not only Python's ``sys.stdout``. If
    the body raises, the last lines are added to the exception as a note, because they may explain it.
    """
    with (
        tempfile.TemporaryFile("w+", errors="replace") as noise,
        warnings.catch_warnings(),
        _redirected(noise.fileno()),
        contextlib.redirect_stdout(noise),
        contextlib.redirect_stderr(noise),
    ):
        warnings.simplefilter("ignore")
        previous = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        except BaseException as error:
            noise.flush()
            noise.seek(0)
            error.add_note(noise.read()[-2000:])
            raise
        finally:
            logging.disable(previous)


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    """Point file descriptors 1 and 2 at ``target`` for the duration of the block."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        for descriptor in (1, 2):
            os.dup2(target, descriptor)
        yield
    finally:
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


def start_keras() -> None:
    """Import Keras on TensorFlow without log output. Must run before anything else imports either.

    The user's ``KERAS_BACKEND`` is overridden, because models are trained and converted on TensorFlow.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hush(), _without(UNNEEDED if "edgesqz.cli" in sys.modules else ()), _without_collector():
        import keras
        import tensorflow

        # TensorFlow's logger writes to the redirected standard error, which is about to close.
        logger = tensorflow.get_logger()
        logger.handlers.clear()
        logger.setLevel("ERROR")

    if keras.backend.backend() != "tensorflow":
        from edgesqz.errors import EdgesqzError

        raise EdgesqzError(
            f"expected Keras on TensorFlow, but Keras already runs on {keras.backend.backend()} in this process; "
            "set KERAS_BACKEND=tensorflow before Keras is imported"
        )


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Pause Python's garbage collector, which takes a fifth of the time of these imports and frees nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Make imports of packages fail during the block, unless they are already imported."""
    blocked = [name for name in names if name not in sys.modules]
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]


def free_models() -> None:
    """Free the memory of models that are no longer used, which Keras and TensorFlow otherwise keep."""
    import keras

    keras.utils.clear_session(free_memory=True)
    gc.collect()
