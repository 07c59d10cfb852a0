"""Labelled pictures: CIFAR-10, CIFAR-100, a synthetic stand-in and folders of picture files.

A `Dataset` reads each of its two splits on demand and only from the files of that split, so whatever works with
``dataset.train()`` cannot have seen a test picture. Neither has whatever works with `hold_back` or `sample` of it.
"""

from __future__ import annotations

from pathlib import Path

from edgesqz.data import cifar, mnist, pictures, synthetic
from edgesqz.data.cifar import cache_dir as cache_dir
from edgesqz.data.pictures import read_picture as read_picture
from edgesqz.data.splits import Dataset as Dataset
from edgesqz.data.splits import Split as Split
from edgesqz.data.splits import hold_back as hold_back
from edgesqz.data.splits import sample as sample
from edgesqz.data.splits import with_channels as with_channels
from edgesqz.data.synthetic import draw as draw
from edgesqz.errors import EdgesqzError

DATASETS: tuple[str, ...] = ("cifar10", "cifar100", "mnist", "synthetic")
DEFAULT_SIDE = 32
SIDES = {"cifar10": 32, "cifar100": 32, "mnist": 28}  # height and width of the pictures, where that is fixed


def load(name: str, data_dir: Path | None = None, *, side: int | None = None) -> Dataset:
    """Find a data set, downloading CIFAR if it is not at hand; its pictures are read later, split by split.

    A folder of pictures has one sub-folder per class, either directly or in each of its sub-folders ``train`` and
    ``test``; without these, a fifth of the files of each class is the test split.

    Args:
        name: One of `DATASETS` or the path of a folder of pictures.
        data_dir: Where CIFAR lies: its unpacked folder, its archive or the folder that holds one of them. By default
            the cache, which a download fills.
        side: Height and width of the pictures in pixels, for drawn ones and folders; 32 if nothing is said. CIFAR
            has 32 and MNIST 28 only.

    Raises:
        EdgesqzError: The name is unknown, CIFAR is neither found nor downloadable, what is found is damaged, or a
            folder of pictures does not have the same two or more classes in both splits.
    """
    fixed = SIDES.get(name)
    if side is None:
        side = fixed or DEFAULT_SIDE
    if side < 1:
        raise EdgesqzError(f"expected pictures of at least 1 pixel a side, not {side}")
    if fixed and side != fixed:
        raise EdgesqzError(f"{name} has pictures of {fixed} pixels a side, not {side}")
    if name == "mnist":
        return mnist.load(name, data_dir)
    if name == "synthetic":
        return synthetic.load(name, side)
    if name not in cifar.LAYOUTS:
        return pictures.load(name, _picture_folder(name), side)
    return cifar.load(name, locate(name, data_dir) or cifar.download(name))


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
        return Path(synthetic.__file__)
    if name == "mnist":
        return mnist.find(data_dir)
    if name not in cifar.LAYOUTS:
        return _picture_folder(name)
    found = cifar.find(name, data_dir or cache_dir())
    if found is None and data_dir is not None:
        places = [place for layout in cifar.LAYOUTS[name] for place in (layout.folder, layout.archive)]
        raise EdgesqzError(f"no {name} in {data_dir}; expected one of {', '.join(places)} there")
    return found


def _picture_folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise EdgesqzError(f"'{name}' is neither a data set ({', '.join(DATASETS)}) nor a folder of pictures")
    return folder
