"""CIFAR-10 and CIFAR-100 in both official formats, unpacked or not, downloaded if necessary.

The datasets are by Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). The file formats are
described at https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgesqz.data.splits import Dataset, Split
from edgesqz.errors import DAMAGE, EdgesqzError, option

# URL and SHA-256 of the official archives.
DOWNLOADS: dict[str, tuple[str, str]] = {
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": (
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}

SIDE = 32  # height and width of the images, in pixels
_VALUES = 3 * SIDE**2  # of one image: the red plane, then green, then blue

_Parsed = TypeVar("_Parsed")


def cache_dir() -> Path:
    """Return the folder for downloads: EDGESQZ_CACHE_DIR if set, otherwise the system's cache folder."""
    if chosen := os.environ.get("EDGESQZ_CACHE_DIR"):
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("edgesqz"))


class _PickledArray:
    """Stands in for a NumPy array, whose own unpickling trusts its input and warns about pickles from Python 2."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran_order, content = state
        if not isinstance(dtype, _PickledDtype) or dtype.name not in ("u1", b"u1") or fortran_order:
            raise ValueError("its array is not a plain array of unsigned bytes")
        self.values = np.frombuffer(content, np.uint8).reshape(shape)


class _PickledDtype:
    """Stands in for a NumPy data type."""

    def __init__(self, name: str | bytes, _align: int, _copy: int) -> None:
        self.name = name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Ignore byte order and alignment, which do not matter for bytes."""


def _new_pickled_array(_subtype: type, _shape: tuple[int, ...], _dtype: bytes) -> _PickledArray:
    return _PickledArray()


def _encode_latin1(text: str, _encoding: str) -> bytes:
    """Return the bytes that Python 3 stores as text when it pickles for Python 2."""
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Allows only what the official batches contain, and nothing that could run code."""

    _ALLOWED = {
        ("numpy", "ndarray"): _PickledArray,
        ("numpy", "dtype"): _PickledDtype,
        ("numpy.core.multiarray", "_reconstruct"): _new_pickled_array,
        ("numpy._core.multiarray", "_reconstruct"): _new_pickled_array,
        ("_codecs", "encode"): _encode_latin1,
    }

    def find_class(self, module: str, name: str, /) -> object:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it contains {module}.{name}, which no CIFAR batch contains") from None


def _unpickle(content: bytes) -> dict[bytes, Any]:
    unpickled = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(unpickled, dict):
        raise ValueError(f"it contains a {type(unpickled).__name__} instead of a dict")
    return unpickled


def _unpickle_batch(content: bytes, label_key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixel rows (N, 3072) and labels (N,)."""
    batch = _unpickle(content)
    return batch[b"data"].values, np.array(batch[label_key], np.int64)


def _unpickle_class_names(content: bytes, key: bytes) -> tuple[str, ...]:
    return tuple(name.decode() for name in _unpickle(content)[key])


def _split_records(content: bytes, label_bytes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixel rows (N, 3072) and labels (N,) from the byte before the pixels, CIFAR-100's fine label."""
    record_bytes = label_bytes + _VALUES
    if len(content) % record_bytes:
        raise ValueError(f"its {len(content)} bytes are not a whole number of records of {record_bytes} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
    return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)


def _split_class_names(content: bytes) -> tuple[str, ...]:
    return tuple(content.decode().split())


@dataclass(frozen=True)
class _Layout:
    """One official format of a CIFAR dataset."""

    folder: str
    archive: str
    class_names: str
    batches: dict[str, tuple[str, ...]]
    parse_class_names: Callable[[bytes], tuple[str, ...]]
    parse_batch: Callable[[bytes], tuple[NDArray[np.uint8], NDArray[np.int64]]]


LAYOUTS: dict[str, tuple[_Layout, ...]] = {
    "cifar10": (
        _Layout(
            "cifar-10-batches-py",
            "cifar-10-python.tar.gz",
            "batches.meta",
            {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
            partial(_unpickle_class_names, key=b"label_names"),
            partial(_unpickle_batch, label_key=b"labels"),
        ),
        _Layout(
            "cifar-10-batches-bin",
            "cifar-10-binary.tar.gz",
            "batches.meta.txt",
            {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
            _split_class_names,
            partial(_split_records, label_bytes=1),
        ),
    ),
    "cifar100": (
        _Layout(
            "cifar-100-python",
            "cifar-100-python.tar.gz",
            "meta",
            {"train": ("train",), "test": ("test",)},
            partial(_unpickle_class_names, key=b"fine_label_names"),
            partial(_unpickle_batch, label_key=b"fine_labels"),
        ),
        _Layout(
            "cifar-100-binary",
            "cifar-100-binary.tar.gz",
            "fine_label_names.txt",
            {"train": ("train.bin",), "test": ("test.bin",)},
            _split_class_names,
            partial(_split_records, label_bytes=2),
        ),
    ),
}


def find(name: str, place: Path) -> Path | None:
    """Find an unpacked folder or else an archive in `place`."""
    for layout in LAYOUTS[name]:
        for folder in (place / layout.folder, place):
            if (folder / layout.class_names).is_file():
                return folder
    for layout in LAYOUTS[name]:
        for archive in (place / layout.archive, place):
            if archive.name == layout.archive and archive.is_file():
                return archive
    return None


def _layout_of(name: str, source: Path) -> _Layout:
    """Return the layout of a folder or archive that `find` found."""
    return next(
        layout for layout in LAYOUTS[name] if source.name == layout.archive or (source / layout.class_names).is_file()
    )


def load(name: str, source: Path) -> Dataset:
    """Open the folder or archive that `find` or `download` returned. Each split is read on demand.

    Raises:
        EdgesqzError: The class names are missing or damaged.
    """
    layout = _layout_of(name, source)
    ((file, content),) = _contents(source, (layout.class_names,))
    class_names = _parse(file, content, layout.parse_class_names)
    return Dataset(name, class_names, partial(_read, source, layout, len(class_names)))


def _read(source: Path, layout: _Layout, classes: int, split: str) -> Split:
    parse = partial(_checked_batch, parse=layout.parse_batch, classes=classes)
    batches = {file.name: _parse(file, content, parse) for file, content in _contents(source, layout.batches[split])}
    in_order = [batches[name] for name in layout.batches[split]]  # an archive may have another order
    return Split(
        np.concatenate([batch.images for batch in in_order]), np.concatenate([batch.labels for batch in in_order])
    )


def _checked_batch(
    content: bytes, parse: Callable[[bytes], tuple[NDArray[np.uint8], NDArray[np.int64]]], classes: int
) -> Split:
    rows, labels = parse(content)
    if not len(rows):
        raise ValueError("it contains no images")
    if labels.shape != (len(rows),):
        raise ValueError(f"it contains {len(rows)} images but {labels.size} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"its labels range from {labels.min()} to {labels.max()}, but there are {classes} classes")
    planes = rows.reshape(len(rows), 3, SIDE, SIDE)
    return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _parse(file: Path, content: bytes, parse: Callable[[bytes], _Parsed]) -> _Parsed:
    try:
        return parse(content)
    except DAMAGE as error:
        raise EdgesqzError(f"{file} is damaged or not part of CIFAR: {type(error).__name__}: {error}") from error


def _contents(source: Path, names: Iterable[str]) -> Iterator[tuple[Path, bytes]]:
    """Yield the path inside `source` and the content of each named file of a folder or archive."""
    try:
        if source.is_dir():
            for name in names:
                yield source / name, (source / name).read_bytes()
        else:
            yield from _archived_contents(source, set(names))
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise EdgesqzError(f"cannot read {source}: {error}") from error


def _archived_contents(archive: Path, names: set[str]) -> Iterator[tuple[Path, bytes]]:
    """Read files while the archive is decompressed, without writing anything to disk."""
    with gzip.open(archive) as decompressed, tarfile.open(fileobj=decompressed, mode="r:") as tar:
        for stored in tar:
            member = tarfile.data_filter(stored, os.curdir)  # rejects paths that lead outside
            name = PurePosixPath(member.name).name
            if name in names and member.isfile() and (file := tar.extractfile(member)):
                names.remove(name)
                yield archive / name, file.read()
        while decompressed.read(1 << 20):  # gzip verifies the checksum only at the end
            pass
    if names:
        raise EdgesqzError(f"{archive} is missing {', '.join(sorted(names))}")


def download(name: str) -> Path:
    """Download the official archive into the cache and return its path."""
    import pooch

    url, sha256 = DOWNLOADS[name]
    archive = cache_dir() / LAYOUTS[name][0].archive
    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(url, f"sha256:{sha256}", archive.name, archive.parent, progressbar=True)
    except OSError as error:
        raise EdgesqzError(
            f"cannot download {url} ({type(error).__name__}); give the location of a copy with {option('data_dir')} or "
            f"EDGESQZ_DATA_DIR, put the archive at {archive}, or train with {option('dataset')} synthetic"
        ) from error
    except ValueError as error:  # pooch has removed the file
        raise EdgesqzError(f"the file at {url} is not the official archive: its SHA-256 is not {sha256}") from error
    return archive
