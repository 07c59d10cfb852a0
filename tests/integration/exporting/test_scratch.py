"""Temporary files of converters stay within their reserved space."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import edgesqz
from edgesqz.workspace.scratch import for_conversion


@pytest.mark.parametrize(("format", "variant"), [("tflite", "fp32"), ("onnx", "int8")])
def test_converters_stay_within_their_reserved_space(
    format: str, variant: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgesqz")
    tmp_path.joinpath("scratch").mkdir()
    edgesqz.export(
        "squeezenet-nano",
        format,
        variant=variant,
        untrained=True,
        calibration=2 if variant == "int8" else None,
        workspace=tmp_path,
        quota=for_conversion(67_322) + 500_000,
        scratch_dir=tmp_path / "scratch",
    )
    assert "temporary files: " in caplog.text
    assert "temporary files: 0 bytes" not in caplog.text
