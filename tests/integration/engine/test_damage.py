"""Damaged model files yield a result or a failed row, and nothing worse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import edgesqz


@pytest.mark.parametrize("kind", ["int8.tflite", "fp32.onnx"])
def test_a_damaged_file_gets_a_result_or_a_failed_row(
    kind: str, damaged: Callable[[bytes, int], bytes], exported: Path, images: Path, tmp_path: Path
) -> None:
    """A small sample of the thousand files in the damage benchmark."""
    source_model = (exported / f"colors.{kind}").read_bytes()
    paths = [tmp_path / f"{seed}.{kind}" for seed in range(8)]
    for seed, path in enumerate(paths):
        path.write_bytes(damaged(source_model, seed))
    report = edgesqz.bench(paths, dataset=str(images), pixel_range="-2..1.984", rounds=1, limit=6)
    assert len(report.rows) == len(paths)
    assert all(row.accuracy is not None for row in report.measured)
    assert report.failed and not any("\n" in row.error for row in report.failed)
