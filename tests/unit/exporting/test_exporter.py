"""Running a new file on the verification images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgesqz.exporting import exporter


class FakeEngine:
    """Answers each image with its first value, and notes how many images came at once."""

    def __init__(self) -> None:
        self.batches = list[int]()

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        return images[:, 0, 0].astype(np.float32)


def predict(count: int) -> tuple[np.ndarray, list[int]]:
    engine: Any = FakeEngine()
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return exporter._predict(engine, images), engine.batches


def test_all_images_are_run() -> None:
    outputs, batches = predict(120)
    assert outputs[:, 0].tolist() == list(range(120))
    assert batches == [50, 50, 20]


def test_a_slow_engine_runs_the_first_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "VERIFICATION_SECONDS", -1)
    outputs, batches = predict(120)
    assert outputs[:, 0].tolist() == list(range(50))
    assert batches == [50]
