"""SavedModel folders of TensorFlow."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".savedmodel",)  # a folder, stored as a zip archive
REQUIREMENTS = ()
PYTHON = None

WEIGHTS = "variables/variables.data"  # start of the names of the files with weights
BYTES_PER_WEIGHT = 4
SIGNATURE = "serving_default"


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Store the folder as an archive. See ``readers/__init__.py``."""
    from edgesqz.artifact import read_bytes
    from edgesqz.plugins import Prepared

    weights = sum(each.stat().st_size for each in path.glob(f"{WEIGHTS}*"))
    return Prepared(read_bytes(path), weights // BYTES_PER_WEIGHT)


def read(content: bytes) -> bytes:
    """Convert the model's signature. See ``readers/__init__.py``."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        return bytes(converter.convert())
