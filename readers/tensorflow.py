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

WEIGHTS = "variables/variables.data"  # start of the names of the files that hold weights
BYTES_PER_WEIGHT = 4
SIGNATURE = "serving_default"


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Store the folder as an archive. See ``readers/__init__.py``."""
    from edgesqz.plugins import Prepared

    file, weights = io.BytesIO(), 0
    with zipfile.ZipFile(file, "w") as archive:
        for each in sorted(each for each in path.rglob("*") if each.is_file()):
            name = each.relative_to(path).as_posix()
            archive.writestr(zipfile.ZipInfo(name), each.read_bytes())  # without the time, which would change the hash
            weights += each.stat().st_size * name.startswith(WEIGHTS)
    return Prepared(file.getvalue(), weights // BYTES_PER_WEIGHT)


def read(content: bytes) -> bytes:
    """Convert the model's signature. See ``readers/__init__.py``."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        return bytes(converter.convert())
