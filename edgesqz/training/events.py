"""The history of a training run as an event file, which TensorBoard shows while training runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edgesqz.errors import EdgesqzError, first_line, option
from edgesqz.training.checkpoint import Progress
from edgesqz.training.history import FIGURES, Entry


@contextlib.contextmanager
def event_file(folder: Path, finished_epochs: int) -> Iterator[Callable[[Progress], None]]:
    """Write an event file. Call after ``backend.start_keras()``.

    Args:
        folder: Folder of the file. It is created if it is missing.
        finished_epochs: Number of epochs of a resumed run, which are not written again if the folder has event files.

    Yields:
        A function that writes the epochs that finished since its last call.

    Raises:
        EdgesqzError: The folder cannot be written to.
    """
    import tensorflow as tf

    written = finished_epochs if any(folder.glob("events.out.tfevents.*")) else 0
    with _errors_named(folder):
        writer = tf.summary.create_file_writer(str(folder))

    def write(progress: Progress) -> None:
        nonlocal written
        with _errors_named(folder), writer.as_default():
            for epoch, entry in enumerate(progress.history[written:], start=written + 1):
                _write_epoch(epoch, entry)
            writer.flush()
        written = max(written, len(progress.history))

    try:
        yield write
    finally:
        writer.close()


def _write_epoch(epoch: int, entry: Entry) -> None:
    import tensorflow as tf

    # What tf.summary.scalar writes, which needs the package tensorboard.
    scalar = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class="DATA_CLASS_SCALAR")
    for figure in FIGURES:
        if figure.name in entry:
            tf.summary.write(figure.tag, np.float32(entry[figure.name]), step=epoch, metadata=scalar)


@contextlib.contextmanager
def _errors_named(folder: Path) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise EdgesqzError(f"{option('tensorboard')}: cannot write to {folder}: {first_line(error)}") from error
