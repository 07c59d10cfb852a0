"""Labeled images: CIFAR-10, CIFAR-100, a synthetic stand-in and folders of image files.

A `Dataset` reads each of its two splits on demand and only from the files of that split, so whatever works with
``dataset.train()`` cannot have seen a test image. Neither has whatever works with `holdout_split` or `sample` of it.
"""

from __future__ import annotations

from pathlib import Path

from edgesqz.data import cifar, folders, mnist, synthetic
from edgesqz.data.cifar import cache_dir
from edgesqz.data.splits import Dataset
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize, ImageSizeLike

DATASETS: tuple[str, ...] = ("cifar10", "cifar100", "mnist", "synthetic")
DEFAULT_SIZE = ImageSize(32, 32)
# Where the size of the images is fixed.
SIZES = {"cifar10": ImageSize(32, 32), "cifar100": ImageSize(32, 32), "mnist": ImageSize(28, 28)}


def load(name: str, data_dir: Path | None = None, *, size: ImageSizeLike | None = None) -> Dataset:
    """Find a data set, downloading CIFAR if it is not at hand; its images are read later, split by split.

    An image folder has one sub-folder per class, either directly or in each of its sub-folders ``train`` and
    ``test``; without these, a fifth of the files of each class is the test split. Where one of the two is missing, the
    dataset has the other alone.

    Args:
        name: One of `DATASETS` or the path of an image folder.
        data_dir: Where CIFAR lies: its unpacked folder, its archive or the folder that holds one of them. By default
            the cache, which a download fills.
        size: Of the images, for drawn ones and folders; 32x32 if nothing is said. CIFAR has 32x32 and MNIST 28x28
            only.

    Raises:
        EdgesqzError: The name is unknown, CIFAR is neither found nor downloadable, what is found is damaged, or a
            folder of images does not have the same two or more classes in each split it has.
    """
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


def locate(name: str, data_dir: Path | None = None) -> Path | None:
    """Say where the data of `name` lie, without downloading anything.

    Args:
        name: As for `load`.
        data_dir: As for `load`.

    Returns:
        The folder or archive that `load` would read, for the synthetic images the module that draws them, None if
        `load` would start a download.

    Raises:
        EdgesqzError: The name is unknown, or `data_dir` is given and holds no such data.
    """
    if name == "synthetic":
        return Path(synthetic.__file__)
    if name == "mnist":
        return mnist.find(data_dir)
    if name not in cifar.LAYOUTS:
        return _image_folder(name)
    found = cifar.find(name, data_dir or cache_dir())
    if found is None and data_dir is not None:
        places = [place for layout in cifar.LAYOUTS[name] for place in (layout.folder, layout.archive)]
        raise EdgesqzError(f"no {name} in {data_dir}; expected one of {', '.join(places)} there")
    return found


def _image_folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise EdgesqzError(f"'{name}' is neither a data set ({', '.join(DATASETS)}) nor an image folder")
    return folder
