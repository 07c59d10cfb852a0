"""What the tests share: images made here, and one small network trained on them, exported once."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgesqz
from edgesqz.data import cifar
from edgesqz.image_size import ImageSize
from edgesqz.workspace import disk

# A shell has what it starts in the background ignore Ctrl-C, and so would the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

CLASSES = ("blue", "green", "red")
SIDE = 32
SQUARE, WIDE = ImageSize(SIDE, SIDE), ImageSize(height=24, width=36)


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each test away from the caches, workspaces and data of whoever runs it, and from the network."""
    for name in cifar.DOWNLOADS:
        monkeypatch.setitem(cifar.DOWNLOADS, name, ("http://127.0.0.1:9/nobody-listens.tar.gz", "0" * 64))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("EDGESQZ_CACHE_DIR", str(tmp_path / "cache"))
    # Beside the test's folder, for Keras writes there when it is first imported.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path.with_name(f"{tmp_path.name}-keras")))
    monkeypatch.delenv("EDGESQZ_DATA_DIR", raising=False)
    monkeypatch.delenv("EDGESQZ_WORKSPACE", raising=False)
    monkeypatch.delenv("EDGESQZ_QUOTA", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # which some terminals and the processes of tests set
    monkeypatch.chdir(tmp_path)


def draw_folder(folder: Path, counts: dict[str, int], size: ImageSize = SQUARE) -> Path:
    """Make a folder of noisy images, a class a color: easy, so that a few seconds of training are enough."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for channel, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 160, (*size, 3), np.uint8)
                pixels[..., 2 - channel] += 95
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 90 training and 10 test images for each of three classes."""
    return draw_folder(tmp_path_factory.mktemp("images"), {"train": 90, "test": 10})


@pytest.fixture(scope="session")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with ``squeezenet-nano.keras``, trained on ``images``; not to be written to."""
    workspace = tmp_path_factory.mktemp("trained")
    edgesqz.train("squeezenet-nano", str(images), epochs=15, batch_size=16, learning_rate=0.05, workspace=workspace)
    return workspace


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``trained`` with its four common exports; not to be written to."""
    workspace = tmp_path_factory.mktemp("exported") / "workspace"
    shutil.copytree(trained, workspace)
    edgesqz.export("squeezenet-nano", ["tflite", "onnx"], variant=["fp32", "int8"], calibration=50, workspace=workspace)
    return workspace


@pytest.fixture(scope="session")
def wide_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``images``, of images that are not square."""
    return draw_folder(tmp_path_factory.mktemp("wide_images"), {"train": 60, "test": 4}, WIDE)


@pytest.fixture(scope="session")
def wide(wide_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as ``exported``, for images that are not square; not to be written to."""
    workspace = tmp_path_factory.mktemp("wide")
    options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "learning_rate": 0.02, "workspace": workspace}
    edgesqz.train("squeezenet-nano", str(wide_images), input_size=str(WIDE), **options)
    edgesqz.export("squeezenet-nano", ["tflite", "onnx"], variant=["fp32", "int8"], calibration=50, workspace=workspace)
    return workspace


@pytest.fixture
def workspace(exported: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of ``exported`` for one test to do with as it likes."""
    yield Path(shutil.copytree(exported, tmp_path / "workspace"))


@pytest.fixture
def peaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes in ``tmp_path`` whenever a file has been written and not renamed yet: no moment has more of them."""
    seen, fsync = list[int](), os.fsync

    def sampling(descriptor: int) -> None:
        fsync(descriptor)
        time.sleep(0.02)  # long enough for others to come in between, if nothing keeps them out
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            seen.append(sum(disk.file_sizes(tmp_path).values()))

    monkeypatch.setattr(os, "fsync", sampling)
    return seen


@pytest.fixture
def damaged() -> Callable[[bytes, int], bytes]:
    """Damages a file's content, the same way for the same seed."""
    return _damaged


def _damaged(content: bytes, seed: int) -> bytes:
    """Flip bits of a file, cut it, or splice a part of it to where it does not belong."""
    rng = np.random.default_rng(seed)
    torn = bytearray(content)
    match rng.integers(3):
        case 0:
            # Half of the time where formats keep their structure: at the beginning or at the end.
            edge = min(len(torn), 4000)
            for _ in range(2 ** rng.integers(8)):
                place = rng.integers(edge) if rng.random() < 0.5 else rng.integers(len(torn))
                torn[-place if rng.random() < 0.5 else place] ^= 1 << rng.integers(8)
        case 1:
            del torn[rng.integers(len(torn)) :]
        case _:
            start, end, place = sorted(rng.integers(len(torn), size=2)) + [int(rng.integers(len(torn)))]
            torn[place : place + (end - start)] = torn[start:end]
    return bytes(torn)
