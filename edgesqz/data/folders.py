"""Image files, alone or in folders with one subfolder per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesqz.data.splits import Dataset, Split, holdout_mask
from edgesqz.errors import DAMAGE, EdgesqzError
from edgesqz.image_size import ImageSize, ImageSizeLike

_SPLITS = ("train", "test")
_TEST_SHARE = 0.2  # of the images of a folder without train/ and test/
_SEED = 0
_DIVISION = "no train/ and test/ subfolders; a fifth of each class, always the same images, is the test split"

_Paths = NDArray[np.object_]


def read_image(path: Path, size: ImageSizeLike) -> NDArray[np.uint8]:
    """Read an image file in any format that Pillow supports as an RGB image of a given size.

    The EXIF orientation is applied, and the largest centered crop with the aspect ratio of ``size`` is resized.
    Transparent images are drawn on white, the background that most of them are designed for. Ignoring the transparency
    would reveal arbitrary hidden colors.

    Args:
        path: The image file.
        size: Size of the result.

    Returns:
        The image, uint8 (H, W, 3).

    Raises:
        EdgesqzError: The file is missing or is not a readable image.
    """
    from PIL import Image, ImageOps

    height, width = ImageSize.parse(size)
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):  # Pillow clips 16-bit gray at 255, making most of it white
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.array(ImageOps.fit(image.convert("RGB"), (width, height)))
    except (OSError, RuntimeError, SyntaxError, Image.DecompressionBombError, *DAMAGE) as error:
        reason = getattr(error, "strerror", None) or error
        raise EdgesqzError(f"cannot read the image {path}: {reason}") from error


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Replace each folder by the image files in it and in its subfolders, sorted by path.

    Raises:
        EdgesqzError: A folder contains no image file.
    """
    files: list[Path] = []
    for path in paths:
        found = [path]
        if path.is_dir():
            found = [file for file in sorted(path.rglob("*")) if _may_be_image(file) and file.is_file()]
        if not found:
            raise EdgesqzError(f"no image file in the folder {path}")
        files += found
    return files


def _may_be_image(file: Path) -> bool:
    from PIL import Image

    return file.suffix.lower() in Image.registered_extensions() and not file.name.startswith(".")


def load(name: str, folder: Path, size: ImageSize) -> Dataset:
    """List the images of a folder. The images of each split are read on demand.

    Raises:
        EdgesqzError: The splits do not have the same classes, there are fewer than two, or one has no image.
    """
    given = [split for split in _SPLITS if (folder / split).is_dir() and _class_names(folder / split)]
    if given:
        class_names = _class_names(folder / given[0])
        if len(given) == 2:
            _check_same_classes(folder, set(class_names), set(_class_names(folder / "test")))
        listed = {split: _list_images(folder / split, class_names) for split in given}
    else:
        class_names = _class_names(folder)
        listed = _divide_images(*_list_images(folder, class_names))
    if len(class_names) < 2:
        found = ", ".join(class_names) or "none"
        raise EdgesqzError(f"expected at least two subfolders, one per class, in {folder}; found: {found}")

    def read(split: str) -> Split:
        if split not in listed:
            raise EdgesqzError(_describe_missing(folder, split))
        return _read_images(*listed[split], size)

    test_images = len(listed["test"][0]) if "test" in listed else 0
    return Dataset(name, class_names, read, test_images, None if given else _DIVISION)


def _describe_missing(folder: Path, split: str) -> str:
    """Describe a split that is needed but missing from a folder that has the other one."""
    (present,) = set(_SPLITS) - {split}
    needed_for = "training and calibration need" if split == "train" else "measuring accuracy needs"
    return f"{folder} has {present}/ but no {split}/ with a subfolder of images per class, which {needed_for}"


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _class_names(folder: Path) -> tuple[str, ...]:
    return tuple(path.name for path in _visible(folder) if path.is_dir())


def _check_same_classes(folder: Path, train: set[str], test: set[str]) -> None:
    for split, absent in (("test", train - test), ("train", test - train)):
        if absent:
            raise EdgesqzError(f"{folder / split} is missing classes of the other split: {', '.join(sorted(absent))}")


def _list_images(folder: Path, class_names: tuple[str, ...]) -> tuple[_Paths, NDArray[np.int64]]:
    """Return the paths (N,) and the labels (N,) of the images of all classes, without opening the files."""
    files: list[Path] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        of_class = [file for file in _visible(folder / class_name) if _may_be_image(file)]
        if not of_class:
            raise EdgesqzError(f"no image file in the class folder {folder / class_name}")
        files += of_class
        labels += [label] * len(of_class)
    return np.array(files, object), np.array(labels, np.int64)


def _divide_images(files: _Paths, labels: NDArray[np.int64]) -> dict[str, tuple[_Paths, NDArray[np.int64]]]:
    lone = np.flatnonzero(np.bincount(labels)[labels] == 1)
    if len(lone):
        raise EdgesqzError(f"{files[lone[0]]} is the only image of its class; splitting takes at least two per class")
    test = holdout_mask(labels, _TEST_SHARE, _SEED)
    return {"train": (files[~test], labels[~test]), "test": (files[test], labels[test])}


def _read_images(files: _Paths, labels: NDArray[np.int64], size: ImageSize) -> Split:
    return Split(np.stack([read_image(file, size) for file in files]), labels)
