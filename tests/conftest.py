"""Shared fixtures: generated images, and one small network that is trained and exported once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator, Sequence
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
from edgesqz.workspace import Workspace, disk, manifest_path
from tests import fakes, small

# A shell makes its background jobs ignore Ctrl-C, and the commands that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

CLASSES = ("blue", "green", "red")
SIDE = 32
SQUARE, WIDE = ImageSize(SIDE, SIDE), ImageSize(height=24, width=36)

# The longest files that would otherwise start near the end, when no others are left to run beside them.
FIRST = ("tests/integration/training/test_workers.py", "tests/integration/training/test_run.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files start first. The others stay in the order of their names, integration tests first."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.fixture(autouse=True)
def isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate each test from the caches, workspaces and data of the user, and from the network."""
    for name in cifar.DOWNLOADS:
        monkeypatch.setitem(cifar.DOWNLOADS, name, ("http://127.0.0.1:9/nobody-listens.tar.gz", "0" * 64))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("EDGESQZ_CACHE_DIR", str(tmp_path / "cache"))
    # Next to the test's folder, because Keras writes there when it is first imported.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path.with_name(f"{tmp_path.name}-keras")))
    monkeypatch.delenv("EDGESQZ_DATA_DIR", raising=False)
    monkeypatch.delenv("EDGESQZ_WORKSPACE", raising=False)
    monkeypatch.delenv("EDGESQZ_QUOTA", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # some terminals set it, and so do processes that the tests start
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def short_rounds() -> Iterator[None]:
    """Shorten the rounds of the bench: the tests do not depend on its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate, "ROUND_MS", 2)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_is_synced() -> Iterator[None]:
    """Skip waiting for the disk, which makes a difference only after a power failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def draw_folder(folder: Path, counts: dict[str, int], size: ImageSize = SQUARE) -> Path:
    """Write a folder of noisy images with one color per class, so easy that a few seconds of training are enough."""
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
    """Return a function that fills a folder once, for all of pytest-xdist's processes."""
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
def bright_and_dark(make_once: MakeOnce) -> Path:
    """A folder with two classes, bright and dark, that any network learns to distinguish."""

    def draw(folder: Path) -> None:
        for label, brightness in (("bright", 200), ("dark", 30)):
            (folder / label).mkdir()
            for number in range(60):
                color = tuple(brightness + (number * step) % 40 for step in (1, 3, 7))
                Image.new("RGB", (16, 16), color).save(folder / label / f"{number}.png")

    return make_once("bright_and_dark", draw)


@pytest.fixture(scope="session")
def trained(images: Path, make_once: MakeOnce) -> Path:
    """A workspace with ``colors.keras``, a small network trained on ``images``; read-only."""
    options: dict[str, Any] = {"name": "colors", "epochs": 5, "batch_size": 16, "learning_rate": 0.05}
    return make_once("trained", lambda home: edgesqz.train(small.NETWORK, str(images), workspace=home, **options))


@pytest.fixture(scope="session")
def exported(trained: Path, make_once: MakeOnce) -> Path:
    """``trained`` with its four common exports; read-only."""

    def export(home: Path) -> None:
        shutil.copytree(trained, home, dirs_exist_ok=True)
        export_common(home)

    return make_once("exported", export)


@pytest.fixture(scope="session")
def wide_images(make_once: MakeOnce) -> Path:
    """A folder like ``images``, of images that are not square."""
    return make_once("wide_images", lambda folder: draw_folder(folder, {"train": 60, "test": 4}, WIDE))


@pytest.fixture(scope="session")
def wide(wide_images: Path, make_once: MakeOnce) -> Path:
    """A workspace like ``exported``, for images that are not square; read-only."""

    def train_and_export(home: Path) -> None:
        options: dict[str, Any] = {"name": "colors", "epochs": 2, "batch_size": 4, "learning_rate": 0.02}
        edgesqz.train(small.NETWORK, str(wide_images), input_size=str(WIDE), workspace=home, **options)
        export_common(home)

    return make_once("wide", train_and_export)


def export_common(home: Path) -> None:
    edgesqz.export("colors", ["tflite", "onnx"], variant=["fp32", "int8"], calibration=50, workspace=home)


ConvertingOnce = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="session")
def converting_once(make_once: MakeOnce) -> ConvertingOnce:
    """Return a context manager in which each conversion runs once and is then repeated from its file."""

    @contextlib.contextmanager
    def converting() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for converter in plugins.converters().values():
                patch.setattr(converter, "convert", _remembering(converter, make_once))
            yield

    return converting


@pytest.fixture
def convert_once(converting_once: ConvertingOnce) -> Iterator[None]:
    """Apply ``converting_once`` to a whole test that is not about the conversion."""
    with converting_once():
        yield


def _remembering(converter: plugins.Converter, make_once: MakeOnce) -> Callable[..., bytes]:
    convert = converter.convert

    def remembered(model: Any, variant: str, calibration: Sequence[np.ndarray] | None) -> bytes:
        # Keras gives unnamed models and its own operations a new number each time.
        config = json.dumps(model.get_config() | {"name": None}, default=str)
        known = hashlib.sha256(re.sub(r'"(convert_to_tensor)_\d+"', r'"\1"', config).encode())
        for values in (*model.get_weights(), *(calibration or ())):
            known.update(values.tobytes())
        name = f"{variant}.{converter.FORMAT}-{known.hexdigest()}"
        folder = make_once(name, lambda new: (new / "file").write_bytes(convert(model, variant, calibration)))
        return (folder / "file").read_bytes()

    return remembered


@pytest.fixture
def fake_engine() -> Iterator[None]:
    """Install the fake engine, which runs the files of every format."""
    with fakes.fake_engine():
        yield


@pytest.fixture
def fake_exported(images: Path, tmp_path: Path, fake_engine: None) -> Path:
    """A workspace with ``squeezenet-nano.keras`` and its four common exports, for the fake engine."""
    home = tmp_path.with_name(f"{tmp_path.name}-exported")
    home.mkdir()
    fakes.write_workspace(home, images)
    return home


@pytest.fixture
def workspace(exported: Path, tmp_path: Path) -> Iterator[Path]:
    """A writable copy of ``exported`` for one test."""
    yield Path(shutil.copytree(exported, tmp_path / "workspace"))


@pytest.fixture
def alone(exported: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies an export, but not its source model, whose engine takes seconds to start."""

    def copied(name: str) -> Path:
        (tmp_path / "alone").mkdir(exist_ok=True)
        shutil.copy(manifest_path(exported / name), tmp_path / "alone")
        return Path(shutil.copy(exported / name, tmp_path / "alone"))

    return copied


@pytest.fixture
def read_only(workspace: Path) -> Iterator[Path]:
    """A workspace that can be read but not written."""
    Workspace(workspace).store_quota("5MB")
    places = [workspace, *workspace.rglob("*")]
    for place in places:
        place.chmod(place.stat().st_mode & ~0o222)
    yield workspace
    for place in places:
        place.chmod(place.stat().st_mode | 0o200)


@pytest.fixture
def peaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes in ``tmp_path`` each time a file is written and not yet renamed, which is when they peak."""
    seen, fsync = list[int](), os.fsync

    def sampling(descriptor: int) -> None:
        fsync(descriptor)
        time.sleep(0.02)  # long enough for other writers to interfere, if nothing stops them
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            seen.append(sum(disk.file_sizes(tmp_path).values()))

    monkeypatch.setattr(os, "fsync", sampling)
    return seen


@pytest.fixture
def damaged() -> Callable[[bytes, int], bytes]:
    """Return a function that damages the content of a file, in the same way for the same seed."""
    return _damaged


def _damaged(content: bytes, seed: int) -> bytes:
    """Flip bits of a file, truncate it, or overwrite one part of it with another."""
    rng = np.random.default_rng(seed)
    torn = bytearray(content)
    match rng.integers(3):
        case 0:
            # Half of the time near the beginning or the end, where formats keep their structure.
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
