"""MNIST, the handwritten digits of LeCun, Cortes and Burges. ``keras.datasets`` downloads and verifies them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from edgesqz import backend
from edgesqz.data.splits import Dataset, Split
from edgesqz.errors import EdgesqzError, first_line, option

FILE_NAME = "mnist.npz"
LABELS = tuple("0123456789")


def find(data_dir: Path | None) -> Path | None:
    """Return the file in ``data_dir`` or else in Keras's cache, or None if it would have to be downloaded.

    Raises:
        EdgesqzError: ``data_dir`` is given and does not contain the file.
    """
    folder = data_dir or Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    path = folder / FILE_NAME
    if path.is_file():
        return path
    if data_dir is not None:
        raise EdgesqzError(f"no mnist in {data_dir}; expected {FILE_NAME} there")
    return None


def load(name: str, data_dir: Path | None) -> Dataset:
    """Open MNIST, and download it if necessary. Each split is read on demand.

    Raises:
        EdgesqzError: ``data_dir`` is given and does not contain the file.
    """
    path = find(data_dir)
    return Dataset(name, LABELS, lambda split: _read(path or _download(), split))


def _download() -> Path:
    backend.start_keras()
    from keras import datasets

    try:
        with backend.hush():
            datasets.mnist.load_data()
    except Exception as error:  # Keras raises a plain Exception when a download fails
        raise EdgesqzError(
            f"cannot download mnist: {first_line(error)}; give the folder of a copy of {FILE_NAME} with "
            f"{option('data_dir')}, or train with {option('dataset')} synthetic"
        ) from error
    path = find(None)
    assert path is not None  # Keras has just written it
    return path


def _read(path: Path, split: str) -> Split:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise EdgesqzError(f"{path} is damaged or not MNIST: {first_line(error)}") from error
    if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1] or labels.max() > 9:
        raise EdgesqzError(
            f"{path} is not MNIST: it contains images {images.dtype} {images.shape} and labels {labels.shape}"
        )
    return Split(images[..., None], labels.astype(np.int64))
