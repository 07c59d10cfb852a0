"""What the tests share: images made here, and one small network trained on them, exported once."""

from __future__ import annotations

import contextlib
import hashlib
import json
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
from filelock import FileLock
from PIL import Image

import edgesqz
from edgesqz import plugins
from edgesqz.benchmarking import candidate
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


@pytest.fixture(scope="session", autouse=True)
def short_rounds() -> Iterator[None]:
    """Let the bench time in short rounds: the tests are not about the figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate, "ROUND_MS", 2)
        yield


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


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Makes a folder by its name: in the first of pytest-xdist's processes that asks for it, for all of them."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def images(make_once: MakeOnce) -> Path:
    """A folder of 90 training and 10 test images for each of three classes."""
    return make_once("images", lambda folder: draw_folder(folder, {"train": 90, "test": 10}))


@pytest.fixture(scope="session")
def trained(images: Path, make_once: MakeOnce) -> Path:
    """A workspace with ``squeezenet-nano.keras``, trained on ``images``; not to be written to."""
    options: dict[str, Any] = {"epochs": 5, "batch_size": 16, "learning_rate": 0.05}
    return make_once("trained", lambda home: edgesqz.train("squeezenet-nano", str(images), workspace=home, **options))


@pytest.fixture(scope="session")
def exported(trained: Path, make_once: MakeOnce) -> Path:
    """``trained`` with its four common exports; not to be written to."""

    def export(home: Path) -> None:
        shutil.copytree(trained, home, dirs_exist_ok=True)
        export_common(home)

    return make_once("exported", export)


@pytest.fixture(scope="session")
def wide_images(make_once: MakeOnce) -> Path:
    """A folder as ``images``, of images that are not square."""
    return make_once("wide_images", lambda folder: draw_folder(folder, {"train": 60, "test": 4}, WIDE))


@pytest.fixture(scope="session")
def wide(wide_images: Path, make_once: MakeOnce) -> Path:
    """A workspace as ``exported``, for images that are not square; not to be written to."""

    def train_and_export(home: Path) -> None:
        options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "learning_rate": 0.02}
        edgesqz.train("squeezenet-nano", str(wide_images), input_size=str(WIDE), workspace=home, **options)
        export_common(home)

    return make_once("wide", train_and_export)


def export_common(home: Path) -> None:
    edgesqz.export("squeezenet-nano", ["tflite", "onnx"], variant=["fp32", "int8"], calibration=50, workspace=home)


ConvertingOnce = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="session")
def converting_once(make_once: MakeOnce) -> ConvertingOnce:
    """A context in which converters convert the same model the same way only once."""

    @contextlib.contextmanager
    def converting() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for converter in plugins.converters().values():
                patch.setattr(converter, "convert", _remembering(converter, make_once))
            yield

    return converting


@pytest.fixture
def convert_once(converting_once: ConvertingOnce) -> Iterator[None]:
    """``converting_once`` for a whole test, of what is done with the files."""
    with converting_once():
        yield


def _remembering(converter: plugins.Converter, make_once: MakeOnce) -> Callable[..., bytes]:
    convert = converter.convert

    def remembered(model: Any, variant: str, calibration: np.ndarray | None) -> bytes:
        config = model.get_config() | {"name": None}  # a model that has no name gets another each time
        known = hashlib.sha256(json.dumps(config, default=str).encode())
        for values in (*model.get_weights(), *([] if calibration is None else [calibration])):
            known.update(values.tobytes())
        name = f"{variant}.{converter.FORMAT}-{known.hexdigest()}"
        folder = make_once(name, lambda new: (new / "file").write_bytes(convert(model, variant, calibration)))
        return (folder / "file").read_bytes()

    return remembered


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
