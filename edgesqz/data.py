"""Labelled pictures: CIFAR-10, CIFAR-100, a synthetic stand-in and folders of picture files.

A `Dataset` reads each of its two splits on demand and only from the files of that split, so whatever works with
``dataset.train()`` cannot have seen a test picture. Neither has whatever works with `hold_back` or `sample` of it.

CIFAR is due to Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). Both official packagings
are read, unpacked or not; their file formats are described at https://www.cs.toronto.edu/~kriz/cifar.html.
"""

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

from edgesqz.errors import EdgesqzError

DATASETS: tuple[str, ...] = ("cifar10", "cifar100", "synthetic")

# Where the official archives come from, with their SHA-256.
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

# How hard the synthetic pictures are: smaller shapes, less contrast and more noise make them harder.
SYNTHETIC_RADIUS = (0.3, 0.45)  # of the side
SYNTHETIC_CONTRAST = (0.4, 1.0)  # of the distance between two random colours
SYNTHETIC_NOISE = 10.0  # standard deviation, of 255
SYNTHETIC_COUNTS = {"train": 10_000, "test": 2_000}

_CIFAR_SIDE = 32
_CIFAR_VALUES = 3 * _CIFAR_SIDE**2  # of one picture: the red plane, then green, then blue
_FOLDER_TEST_SHARE = 0.2
_FOLDER_SEED = 0
_SYNTHETIC_SEEDS = {"train": 1, "test": 2}

# What unpickling or parsing damaged bytes may raise.
_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)

_Floats = NDArray[np.floating[Any]]
_Paths = NDArray[np.object_]
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures with their labels.

    Attributes:
        pictures: uint8 (N, H, W, 3), RGB.
        labels: int64 (N,), positions in the class names of the data set.
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def take(self, indices: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> "Split":
        """Return the pictures at integer `indices` (M,), in that order, or where a boolean mask (N,) is true."""
        return Split(self.pictures[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A training and a test split, each read when asked for.

    Attributes:
        name: What `load` was asked for.
        labels: The class names.
        read: Reads the split called "train" or "test" and no file of the other.
    """

    name: str
    labels: tuple[str, ...]
    read: Callable[[str], Split]

    def train(self) -> Split:
        """Read the training split; EdgesqzError if one of its files is missing or damaged."""
        return self.read("train")

    def test(self) -> Split:
        """Read the test split; EdgesqzError if one of its files is missing or damaged."""
        return self.read("test")


def load(name: str, data_dir: Path | None = None, *, side: int = 32) -> Dataset:
    """Find a data set, downloading CIFAR if it is not at hand; its pictures are read later, split by split.

    A folder of pictures has one sub-folder per class, either directly or in each of its sub-folders ``train`` and
    ``test``; without these, a fifth of the files of each class is the test split.

    Args:
        name: One of `DATASETS` or the path of a folder of pictures.
        data_dir: Where CIFAR lies: its unpacked folder, its archive or the folder that holds one of them. By default
            the cache, which a download fills.
        side: Height and width of the pictures in pixels; CIFAR has 32 only.

    Raises:
        EdgesqzError: The name is unknown, CIFAR is neither found nor downloadable, what is found is damaged, or a
            folder of pictures does not have the same two or more classes in both splits.
    """
    if side < 1:
        raise EdgesqzError(f"expected pictures of at least 1 pixel a side, not {side}")
    if name == "synthetic":
        return Dataset(name, tuple(_SHAPES), partial(_draw_synthetic, side=side))
    if name not in _CIFAR:
        return _load_folder(name, _picture_folder(name), side)
    if side != _CIFAR_SIDE:
        raise EdgesqzError(f"{name} has pictures of {_CIFAR_SIDE} pixels a side, not {side}")
    return _load_cifar(name, locate(name, data_dir) or _download(name))


def locate(name: str, data_dir: Path | None = None) -> Path | None:
    """Say where the data of `name` lie, without downloading anything.

    Args:
        name: As for `load`.
        data_dir: As for `load`.

    Returns:
        The folder or archive that `load` would read, for the synthetic pictures the module that draws them, None if
        `load` would start a download.

    Raises:
        EdgesqzError: The name is unknown, or `data_dir` is given and holds no such data.
    """
    if name == "synthetic":
        return Path(__file__)
    if name not in _CIFAR:
        return _picture_folder(name)
    found = _find_cifar(name, data_dir or cache_dir())
    if found is None and data_dir is not None:
        places = [place for layout in _CIFAR[name] for place in (layout.folder, layout.archive)]
        raise EdgesqzError(f"no {name} in {data_dir}; expected one of {', '.join(places)} there")
    return found


def cache_dir() -> Path:
    """Return the folder for downloads: EDGESQZ_CACHE_DIR if set, else the usual cache folder of the system."""
    if chosen := os.environ.get("EDGESQZ_CACHE_DIR"):
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("edgesqz"))


def hold_back(split: Split, *, share: float = 0.1, seed: int) -> tuple[Split, Split]:
    """Divide a split at random into a large and a small part, class by class.

    Args:
        split: What to divide.
        share: Of each class, how much is held back; rounded, but at least one picture is held back and one is not.
        seed: The same seed divides the same way.

    Returns:
        The rest and the part held back, each in the order of `split`.

    Raises:
        EdgesqzError: A class has one picture only.
    """
    held_back = _held_back(split.labels, share, seed)
    return split.take(~held_back), split.take(held_back)


def sample(split: Split, count: int, *, seed: int) -> Split:
    """Draw pictures at random without replacement, equally many of every class as far as it has them.

    Args:
        split: What to draw from.
        count: How many to draw; all of them if there are no more.
        seed: The same seed draws the same pictures.

    Returns:
        The pictures drawn, in the order of `split`.
    """
    rng = np.random.default_rng(seed)
    ranks = _ranks_within_class(split.labels, rng)
    # First one of every class, then a second one, and so on; chance says which classes the last round serves.
    drawn = np.lexsort((rng.random(len(split)), ranks))[:count]
    return split.take(np.sort(drawn))


def read_picture(path: Path, side: int) -> NDArray[np.uint8]:
    """Read any picture file that Pillow knows as a square RGB picture.

    The EXIF orientation is applied, and the largest centred square is resized. Transparency is put on white, for which
    most pictures with transparency are made; dropping it would bring up arbitrary hidden colours instead.

    Args:
        path: The picture file.
        side: Height and width of the result.

    Returns:
        uint8 (side, side, 3), RGB.

    Raises:
        EdgesqzError: The file is missing or no readable picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I;16"):  # Pillow clips 16-bit grey at 255: nearly all of it would be white
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            return np.array(ImageOps.fit(picture.convert("RGB"), (side, side)))
    except (OSError, RuntimeError, SyntaxError, Image.DecompressionBombError, *_DAMAGE) as error:
        raise EdgesqzError(f"cannot read the picture {path}: {error}") from error


def _ranks_within_class(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle every class and return each picture's place (N,) in its own class, from 0."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    class_starts = np.searchsorted(labels[by_class], labels[by_class])
    ranks = np.empty(len(labels), np.int64)
    ranks[by_class] = np.arange(len(labels)) - class_starts
    return ranks


def _held_back(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask (N,) of the pictures to hold back."""
    sizes = np.bincount(labels)
    if 1 in sizes:
        raise EdgesqzError(f"class number {sizes.tolist().index(1)} has one picture; to hold some back takes two")
    held_back_of_class: _Floats = np.rint(share * sizes).clip(1, sizes - 1)
    return _ranks_within_class(labels, np.random.default_rng(seed)) < held_back_of_class[labels]


# CIFAR


class _PickledArray:
    """Stands for a pickled NumPy array, whose own unpickling trusts its input and warns of what Python 2 wrote."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran_order, content = state
        if not isinstance(dtype, _PickledDtype) or dtype.name not in ("u1", b"u1") or fortran_order:
            raise ValueError("its array is not a plain one of unsigned bytes")
        self.values = np.frombuffer(content, np.uint8).reshape(shape)


class _PickledDtype:
    """Stands for a pickled NumPy data type."""

    def __init__(self, name: str | bytes, _align: int, _copy: int) -> None:
        self.name = name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Accept byte order and alignment, which bytes do not have."""


def _new_pickled_array(_subtype: type, _shape: tuple[int, ...], _dtype: bytes) -> _PickledArray:
    return _PickledArray()


def _encode_latin1(text: str, _encoding: str) -> bytes:
    """Return the bytes that Python 3 pickles for Python 2 as text."""
    return text.encode("latin1")


class _CifarUnpickler(pickle.Unpickler):
    """Admits what the official batches hold and nothing that could run code."""

    _ADMITTED = {
        ("numpy", "ndarray"): _PickledArray,
        ("numpy", "dtype"): _PickledDtype,
        ("numpy.core.multiarray", "_reconstruct"): _new_pickled_array,
        ("numpy._core.multiarray", "_reconstruct"): _new_pickled_array,
        ("_codecs", "encode"): _encode_latin1,
    }

    def find_class(self, module: str, name: str, /) -> object:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which no CIFAR batch holds") from None


def _unpickle(content: bytes) -> dict[bytes, Any]:
    unpickled = _CifarUnpickler(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(unpickled, dict):
        raise ValueError(f"it holds a {type(unpickled).__name__} instead of a dict")
    return unpickled


def _unpickle_batch(content: bytes, label_key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixel rows (N, 3072) and labels (N,)."""
    batch = _unpickle(content)
    return batch[b"data"].values, np.array(batch[label_key], np.int64)


def _unpickle_class_names(content: bytes, key: bytes) -> tuple[str, ...]:
    return tuple(name.decode() for name in _unpickle(content)[key])


def _split_records(content: bytes, label_bytes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixel rows (N, 3072) and labels (N,): the byte before the pixels, CIFAR-100's fine label."""
    record_bytes = label_bytes + _CIFAR_VALUES
    if len(content) % record_bytes:
        raise ValueError(f"its {len(content)} bytes are no whole number of records of {record_bytes} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
    return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)


def _split_class_names(content: bytes) -> tuple[str, ...]:
    return tuple(content.decode().split())


@dataclass(frozen=True)
class _Layout:
    """One official packaging of a CIFAR data set."""

    folder: str
    archive: str
    class_names: str
    batches: dict[str, tuple[str, ...]]
    parse_class_names: Callable[[bytes], tuple[str, ...]]
    parse_batch: Callable[[bytes], tuple[NDArray[np.uint8], NDArray[np.int64]]]


_CIFAR: dict[str, tuple[_Layout, ...]] = {
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


def _find_cifar(name: str, place: Path) -> Path | None:
    """Look in `place` for a folder that is unpacked or, failing that, for an archive."""
    for layout in _CIFAR[name]:
        for folder in (place / layout.folder, place):
            if (folder / layout.class_names).is_file():
                return folder
    for layout in _CIFAR[name]:
        for archive in (place / layout.archive, place):
            if archive.name == layout.archive and archive.is_file():
                return archive
    return None


def _layout_of(name: str, source: Path) -> _Layout:
    """Return the layout of a folder or archive that `_find_cifar` found."""
    return next(
        layout for layout in _CIFAR[name] if source.name == layout.archive or (source / layout.class_names).is_file()
    )


def _load_cifar(name: str, source: Path) -> Dataset:
    layout = _layout_of(name, source)
    ((file, content),) = _contents(source, (layout.class_names,))
    class_names = _parse(file, content, layout.parse_class_names)
    return Dataset(name, class_names, partial(_read_cifar, source, layout, len(class_names)))


def _read_cifar(source: Path, layout: _Layout, classes: int, split: str) -> Split:
    parse = partial(_checked_batch, parse=layout.parse_batch, classes=classes)
    batches = {file.name: _parse(file, content, parse) for file, content in _contents(source, layout.batches[split])}
    in_order = [batches[name] for name in layout.batches[split]]  # an archive has its own order
    return Split(
        np.concatenate([batch.pictures for batch in in_order]), np.concatenate([batch.labels for batch in in_order])
    )


def _checked_batch(
    content: bytes, parse: Callable[[bytes], tuple[NDArray[np.uint8], NDArray[np.int64]]], classes: int
) -> Split:
    rows, labels = parse(content)
    if not len(rows):
        raise ValueError("it holds no pictures")
    if labels.shape != (len(rows),):
        raise ValueError(f"it holds {len(rows)} pictures but {labels.size} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"its labels are {labels.min()} to {labels.max()}, but there are {classes} classes")
    planes = rows.reshape(len(rows), 3, _CIFAR_SIDE, _CIFAR_SIDE)
    return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _parse(file: Path, content: bytes, parse: Callable[[bytes], _Parsed]) -> _Parsed:
    try:
        return parse(content)
    except _DAMAGE as error:
        raise EdgesqzError(f"{file} is damaged or no part of CIFAR: {type(error).__name__}: {error}") from error


def _contents(source: Path, names: Iterable[str]) -> Iterator[tuple[Path, bytes]]:
    """Yield each named file of a folder or archive, as its path inside `source`, with its content."""
    try:
        if source.is_dir():
            for name in names:
                yield source / name, (source / name).read_bytes()
        else:
            yield from _archived_contents(source, set(names))
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise EdgesqzError(f"cannot read {source}: {error}") from error


def _archived_contents(archive: Path, names: set[str]) -> Iterator[tuple[Path, bytes]]:
    """Read from the archive as it is decompressed: nothing is written to disk."""
    with gzip.open(archive) as decompressed, tarfile.open(fileobj=decompressed, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            if name in names and member.isfile() and (file := tar.extractfile(member)):
                names.remove(name)
                yield archive / name, file.read()
        while decompressed.read(1 << 20):  # only at its end does gzip compare the checksum
            pass
    if names:
        raise EdgesqzError(f"{archive} lacks {', '.join(sorted(names))}")


def _download(name: str) -> Path:
    """Download the official archive into the cache and return its path."""
    import pooch

    url, sha256 = DOWNLOADS[name]
    archive = cache_dir() / _CIFAR[name][0].archive
    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(url, f"sha256:{sha256}", archive.name, archive.parent, progressbar=True)
    except OSError as error:
        raise EdgesqzError(
            f"cannot download {url}: {error}; give the place of a copy with --data-dir, put the archive at {archive}, "
            "or try --dataset synthetic"
        ) from error
    except ValueError as error:  # pooch has removed the file
        raise EdgesqzError(f"what {url} sent is not the official archive: its SHA-256 is not {sha256}") from error
    return archive


# Folders of pictures


def _picture_folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise EdgesqzError(f"'{name}' is neither a data set ({', '.join(DATASETS)}) nor a folder of pictures")
    return folder


def _load_folder(name: str, folder: Path, side: int) -> Dataset:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        class_names = _class_names(folder / "train")
        _check_same_classes(folder, set(class_names), set(_class_names(folder / "test")))
        listed = {split: _list_pictures(folder / split, class_names) for split in ("train", "test")}
    else:
        class_names = _class_names(folder)
        listed = _divide_pictures(*_list_pictures(folder, class_names))
    if len(class_names) < 2:
        found = ", ".join(class_names) or "none"
        raise EdgesqzError(f"expected at least two sub-folders, one per class, in {folder}; found: {found}")
    return Dataset(name, class_names, lambda split: _read_pictures(*listed[split], side))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _class_names(folder: Path) -> tuple[str, ...]:
    return tuple(path.name for path in _visible(folder) if path.is_dir())


def _check_same_classes(folder: Path, train: set[str], test: set[str]) -> None:
    for split, absent in (("test", train - test), ("train", test - train)):
        if absent:
            raise EdgesqzError(f"{folder / split} lacks classes of the other split: {', '.join(sorted(absent))}")


def _list_pictures(folder: Path, class_names: tuple[str, ...]) -> tuple[_Paths, NDArray[np.int64]]:
    """Return the picture files (N,) of all classes, without opening them, and their labels (N,)."""
    from PIL import Image

    suffixes = Image.registered_extensions()
    files: list[Path] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        of_class = [file for file in _visible(folder / class_name) if file.suffix.lower() in suffixes]
        if not of_class:
            raise EdgesqzError(f"no picture in the class folder {folder / class_name}")
        files += of_class
        labels += [label] * len(of_class)
    return np.array(files, object), np.array(labels, np.int64)


def _divide_pictures(files: _Paths, labels: NDArray[np.int64]) -> dict[str, tuple[_Paths, NDArray[np.int64]]]:
    lone = np.flatnonzero(np.bincount(labels)[labels] == 1)
    if len(lone):
        raise EdgesqzError(f"{files[lone[0]]} is the only picture of its class; to divide them takes two")
    test = _held_back(labels, _FOLDER_TEST_SHARE, _FOLDER_SEED)
    return {"train": (files[~test], labels[~test]), "test": (files[test], labels[test])}


def _read_pictures(files: _Paths, labels: NDArray[np.int64], side: int) -> Split:
    return Split(np.stack([read_picture(file, side) for file in files]), labels)


# Synthetic pictures

# Each shape is a field over coordinates u to the right and v down, in units of the shape's radius: positive inside,
# negative outside and, near the outline, about the distance from it.
_SHAPES: dict[str, Callable[[_Floats, _Floats], _Floats]] = {
    "circle": lambda u, v: 0.9 - np.hypot(u, v),
    "ring": lambda u, v: 0.2 - np.abs(np.hypot(u, v) - 0.7),
    "square": lambda u, v: 0.8 - _box_radius(u, v),
    "frame": lambda u, v: 0.2 - np.abs(_box_radius(u, v) - 0.6),
    "triangle": lambda u, v: 0.5 - np.maximum(v, np.sqrt(0.75) * np.abs(u) - v / 2),
    "cross": lambda u, v: np.minimum(1 - _box_radius(u, v), 0.3 - np.minimum(np.abs(u), np.abs(v))),
    "star": lambda u, v: 0.7 + 0.3 * np.cos(5 * np.arctan2(u, -v)) - np.hypot(u, v),
    "checkerboard": lambda u, v: np.minimum(0.9 - _box_radius(u, v), np.sin(4 * u) * np.sin(4 * v) / 4),
    "horizontal-stripes": lambda u, v: np.minimum(0.9 - _box_radius(u, v), np.cos(8 * v) / 8),
    "vertical-stripes": lambda u, v: np.minimum(0.9 - _box_radius(u, v), np.cos(8 * u) / 8),
}


def _box_radius(u: _Floats, v: _Floats) -> _Floats:
    return np.maximum(np.abs(u), np.abs(v))


def _draw_synthetic(split: str, side: int) -> Split:
    rng = np.random.default_rng(_SYNTHETIC_SEEDS[split])
    count = SYNTHETIC_COUNTS[split] // len(_SHAPES)
    pictures = np.concatenate([_draw_shape(field, count, side, rng) for field in _SHAPES.values()])
    labels = np.repeat(np.arange(len(_SHAPES)), count)
    return Split(pictures, labels).take(rng.permutation(len(labels)))


def _draw_shape(
    field: Callable[[_Floats, _Floats], _Floats], count: int, side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw (count, side, side, 3) pictures of one shape, crossed by a bar that tells nothing of the class."""
    background, colour, bar_colour = rng.uniform(0, 255, (3, count, 1, 1, 3)).astype(np.float32)
    contrast = rng.uniform(*SYNTHETIC_CONTRAST, (count, 1, 1, 1)).astype(np.float32)
    shape = _coverage(field, np.pi / 10, count, side, rng)
    bar = _coverage(lambda u, v: 0.1 - np.abs(u), np.pi, count, side, rng)
    pictures: _Floats = background + contrast * shape * (colour - background)
    pictures += contrast * bar * (bar_colour - pictures)
    pictures += SYNTHETIC_NOISE * rng.standard_normal(pictures.shape, np.float32)
    np.rint(pictures, out=pictures)
    return pictures.clip(0, 255).astype(np.uint8)


def _coverage(
    field: Callable[[_Floats, _Floats], _Floats], max_angle: float, count: int, side: int, rng: np.random.Generator
) -> _Floats:
    """Place a shape at random and return how much of each pixel it covers, float32 (count, side, side, 1)."""
    centre_x, centre_y = rng.uniform(0.35, 0.65, (2, count, 1, 1)).astype(np.float32)
    radius = rng.uniform(*SYNTHETIC_RADIUS, (count, 1, 1)).astype(np.float32)
    angle = rng.uniform(-max_angle, max_angle, (count, 1, 1)).astype(np.float32)
    middles = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = (middles - centre_x) / radius, (middles[:, None] - centre_y) / radius
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    # A pixel is half covered where the outline passes through its middle and not at all half a pixel further out.
    return (0.5 + field(u, v) * radius * side).clip(0, 1)[..., None]
