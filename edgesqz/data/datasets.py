"""Labeled images: CIFAR-10, CIFAR-100, MNIST, synthetic images, and folders of image files.

A `Dataset` reads each of its two splits on demand, only from the files of that split. Code that works with
``dataset.train()``, or with a `holdout_split` or `sample` of it, therefore never sees a test image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgesqz.data import cifar, folders, mnist, synthetic
from edgesqz.data.cifar import cache_dir
from edgesqz.data.splits import Dataset
from edgesqz.errors import EdgesqzError, option
from edgesqz.image_size import ImageSize, ImageSizeLike

DATASETS: tuple[str, ...] = ("cifar10", "cifar100", "mnist", "synthetic")
DEFAULT_SIZE = ImageSize(32, 32)
# Image sizes of the datasets that have only one.
SIZES = {"cifar10": ImageSize(32, 32), "cifar100": ImageSize(32, 32), "mnist": ImageSize(28, 28)}

CLASSES = {"cifar10": 10, "cifar100": 100}  # numbers of classes of the datasets that are downloaded as a whole

_provided: dict[str, Dataset] = {}


@contextlib.contextmanager
def provided(dataset: Dataset) -> Iterator[None]:
    """Make `load` return this dataset during a ``with`` block, because its images came from another machine."""
    _provided[dataset.name] = dataset
    try:
        yield
    finally:
        del _provided[dataset.name]


def load(name: str, data_dir: Path | None = None, *, size: ImageSizeLike | None = None) -> Dataset:
    """Find a dataset, and download it if necessary. Each split is read on demand.

    An image folder has one subfolder per class, either directly or in each of its subfolders ``train`` and ``test``.
    Without these two, a fifth of the files of each class is the test split. With only one of them, the dataset has only
    that split.

    Args:
        name: One of `DATASETS`, or the path of an image folder.
        data_dir: The unpacked folder of CIFAR, its archive, or the folder that contains one of them. By default, the
            download cache.
        size: Size of synthetic images and of images from a folder, by default 32x32. CIFAR images are always 32x32,
            and MNIST images 28x28.

    Raises:
        EdgesqzError: The name is unknown, the dataset is neither found nor downloadable, its files are damaged, or an
            image folder does not have the same two or more classes in each of its splits.
    """
    if name in _provided:
        return _provided[name]
    fixed = SIZES.get(name)
    size = fixed or DEFAULT_SIZE if size is None else ImageSize.parse(size)
    if fixed and size != fixed:
        raise EdgesqzError(f"{name} has images of {fixed} pixels, not {size}")
    if name == "mnist":
        return mnist.load(name, data_dir)
    if name == "synthetic":
        return synthetic.load(name, size)
    if name not in cifar.LAYOUTS:
        return folders.load(name, _image_folder(name), size)
    return cifar.load(name, locate(name, data_dir) or cifar.download(name))


def class_count(name: str) -> int:
    """Return the number of classes of a dataset, without downloading it.

    Raises:
        EdgesqzError: The name is unknown, or an image folder does not have the same two or more classes in each of its
            splits.
    """
    return CLASSES.get(name) or len(load(name).labels)


def locate(name: str, data_dir: Path | None = None) -> Path | None:
    """Return the location of a dataset, without downloading anything.

    Args:
        name: Name of the dataset, as for `load`.
        data_dir: Folder with its files, as for `load`.

    Returns:
        The folder or file that `load` would read, or None if it would start a download. For synthetic images, the
        module that draws them.

    Raises:
        EdgesqzError: The name is unknown, or `data_dir` is given and does not contain the dataset.
    """
    if name in _provided:
        return Path(name)
    if name == "synthetic":
        return Path(synthetic.__file__)
    if name == "mnist":
        return mnist.find(data_dir)
    if name not in cifar.LAYOUTS:
        return _image_folder(name)
    found = cifar.find(name, data_dir or cache_dir())
    if found is None and data_dir is not None:
        places = [place for layout in cifar.LAYOUTS[name] for place in (layout.folder, layout.archive)]
        raise EdgesqzError(
            f"no {name} in {data_dir}; expected one of {', '.join(places)} there; choose another {option('data_dir')}"
        )
    return found


def _image_folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise EdgesqzError(f"'{name}' is neither a dataset ({', '.join(DATASETS)}) nor an image folder")
    return folder
