"""MNIST: LeCun, Cortes and Burges's handwritten digits, through ``keras.datasets``, which fetches and checks them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from edgesqz import backend
from edgesqz.data.splits import Dataset, Split
from edgesqz.errors import EdgesqzError, first_line

FILE_NAME = "mnist.npz"
LABELS = tuple("0123456789")


def find(data_dir: Path | None) -> Path | None:
    """Return the file in ``data_dir``, else in Keras's cache; None if it would be downloaded.

    Raises:
        EdgesqzError: ``data_dir`` is given and does not hold it.
    """
    folder = data_dir or Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    path = folder / FILE_NAME
    if path.is_file():
        return path
    if data_dir is not None:
        raise EdgesqzError(f"no mnist in {data_dir}; expected {FILE_NAME} there")
    return None


def load(name: str, data_dir: Path | None) -> Dataset:
    """Describe MNIST; a split is read when it is asked for, and downloaded first if it is not at hand.

    Raises:
        EdgesqzError: ``data_dir`` is given and does not hold it.
    """
    path = find(data_dir)
    return Dataset(name, LABELS, lambda split: _read(path or _download(), split))


def _download() -> Path:
    backend.start_keras()
    from keras import datasets

    try:
        with backend.hush():
            datasets.mnist.load_data()
    except Exception as error:  # Keras raises just that when a download fails
        raise EdgesqzError(
            f"cannot download mnist: {first_line(error)}; give the folder of an {FILE_NAME} with --data-dir, "
            "or try --dataset synthetic"
        ) from error
    path = find(None)
    assert path is not None  # Keras has just put it there
    return path


def _read(path: Path, split: str) -> Split:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise EdgesqzError(f"{path} is damaged or not MNIST: {first_line(error)}") from error
    if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1] or labels.max() > 9:
        raise EdgesqzError(f"{path} is not MNIST: it holds {images.dtype} {images.shape}, labels {labels.shape}")
    return Split(images[..., None], labels.astype(np.int64))
