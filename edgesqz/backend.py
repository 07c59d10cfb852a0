"""TensorFlow and Keras without their noise: the one place that sets them up and hushes them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def hush() -> Iterator[None]:
    """Keep what TensorFlow and the converters print, log and warn about away from the user.

    Much of it is written by C++ straight to file descriptors 1 and 2, so those are redirected, not only Python's
    ``sys.stdout``. If the body raises, the exception carries the last lines as a note: they may tell why.
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
    """Point file descriptors 1 and 2 at ``target`` for the length of the block."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        for descriptor in (1, 2):
            os.dup2(target, descriptor)
        yield
    finally:
        for descriptor, source_model in zip((1, 2), saved, strict=True):
            os.dup2(source_model, descriptor)
            os.close(source_model)


def start_keras() -> None:
    """Import Keras on TensorFlow, quietly; to be called before anything else imports either.

    A ``KERAS_BACKEND`` of the user's is overruled: the models are trained and converted on TensorFlow.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hush():
        import keras
        import tensorflow

        # TensorFlow's logger has taken hold of the standard error of this moment, which is about to close.
        logger = tensorflow.get_logger()
        logger.handlers.clear()
        logger.setLevel("ERROR")

    if keras.backend.backend() != "tensorflow":
        from edgesqz.errors import EdgesqzError

        raise EdgesqzError(
            f"expected Keras on TensorFlow, but Keras runs on {keras.backend.backend()} in this process already; "
            "set KERAS_BACKEND=tensorflow before Keras is imported"
        )
