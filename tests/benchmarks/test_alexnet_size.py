"""Compare the predicted size of AlexNet's files with the actual size. Takes a minute and 3 GB of memory.

Run it with: python -m pytest tests/benchmarks/test_alexnet_size.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

import edgesqz
from edgesqz.models.costs import network_costs


@pytest.mark.parametrize("model", ["alexnet", "alexnet-grouped", "squeezenet-1.0"])
def test_the_predicted_size_matches_the_file(model: str, tmp_path: Path) -> None:
    costs = network_costs(model)
    fp32, int8 = edgesqz.export(model, untrained=True, variant=["fp32", "int8"], calibration=2, workspace=tmp_path)
    assert costs.tflite_fp32_bytes == pytest.approx(fp32.size_bytes, rel=0.05)
    assert costs.tflite_int8_bytes == pytest.approx(int8.size_bytes, rel=0.05)
