"""Benchmark a thousand damaged model files. Each must yield a result or a failed row. Takes a quarter of an hour.

Run it with: python -m pytest -s tests/benchmarks/test_damage.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import edgesqz
from edgesqz.artifact import ZOO
from tests.rows import errors_of

EACH = int(os.environ.get("EDGESQZ_DAMAGED_FILES", "1000")) // 10
SHARES = {"int8.tflite": 4, "int8.onnx": 5, "keras": 1}  # tenths of all files; Keras takes seconds to start


@pytest.mark.parametrize("kind", SHARES)
def test_a_damaged_file_yields_a_result_or_a_failed_row(
    kind: str, damaged: Callable[[bytes, int], bytes], tmp_path: Path
) -> None:
    source_model = (ZOO / f"squeezenet-nano.{kind}").read_bytes()
    results: Counter[str] = Counter()
    for seed in range(EACH * SHARES[kind]):
        path = tmp_path / f"{seed}.{kind}"
        path.write_bytes(damaged(source_model, seed))
        report = edgesqz.bench([path], dataset="synthetic", pixel_range="-2..1.984", rounds=1, limit=10)
        (error,) = errors_of(report)
        assert "\n" not in error if error else report.measured[0].accuracy is not None
        results[error or "a result"] += 1
        path.unlink()
    print(f"{kind}: {results.total()} files, {results['a result']} with a result; the most common results:")
    for error, count in results.most_common(6):
        print(f"  {count:4} {error[:110]}")
