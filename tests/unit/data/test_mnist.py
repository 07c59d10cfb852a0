"""MNIST from a folder, and conversion between grayscale and color images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesqz import data
from edgesqz.data import mnist
from edgesqz.errors import EdgesqzError
from tests.stripes import draw, write_mnist


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small mnist.npz."""
    return write_mnist(tmp_path)


def test_it_is_read_from_a_folder(folder: Path) -> None:
    found = data.load("mnist", folder)
    assert found.labels == tuple("0123456789")
    assert found.train().images.shape == (300, 28, 28, 1)
    assert found.test().labels[:3].tolist() == [0, 1, 2]


def test_a_file_that_is_not_mnist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"expected mnist\.npz there"):
        data.load("mnist", tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"torn")
    with pytest.raises(EdgesqzError, match="is damaged or not MNIST"):
        data.load("mnist", tmp_path).train()
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((3, 28, 28)), y_train=np.zeros(3, np.uint8))
    with pytest.raises(EdgesqzError, match="is not MNIST: it contains images float64"):
        data.load("mnist", tmp_path).train()


def test_the_test_split_is_not_read_for_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x_train, y_train = draw(20, 0)
    np.savez(folder / "mnist.npz", x_train=x_train, y_train=y_train)  # no test images at all
    assert len(mnist.load("mnist", folder).train()) == 20


def test_grayscale_and_color_images_are_converted() -> None:
    color = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]]], np.uint8)
    gray = data.with_channels(color, 1)
    assert gray[0, 0, :, 0].tolist() == [76, 150, 29, 9]
    assert data.with_channels(gray, 3)[0, 0, 1].tolist() == [150, 150, 150]
    assert data.with_channels(color, 3) is color
