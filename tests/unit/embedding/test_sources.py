"""Folders for device apps: rejected input, and the names of operators."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgesqz import EdgesqzError, plugins
from edgesqz.embedding import embed
from edgesqz.embedding.sources import c_float, micro_operator

MODEL = "squeezenet-nano.int8.tflite"


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("PADV2", "AddPadV2"),
        ("RELU6", "AddRelu6"),
        ("ADD_N", "AddAddN"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
    ],
)
def test_operators_are_added_by_the_names_that_the_resolver_has(operator: str, method: str) -> None:
    assert micro_operator(operator) == method


@pytest.mark.parametrize(("value", "literal"), [(0.1, "0.1f"), (1 / 64, "0.015625f"), (2, "2.0f"), (1e-8, "1e-08f")])
def test_float_literals_have_the_fewest_digits(value: float, literal: str) -> None:
    assert c_float(value) == literal


def test_without_uv_the_micro_target_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EdgesqzError, match="needs uv; try pip install"):
        embed(MODEL, "micro", out=tmp_path / "app")
    assert not list(tmp_path.glob("*app*"))


def test_the_web_target_needs_an_onnx_file(tmp_path: Path) -> None:
    message = rf"^expected a \.onnx file, got {MODEL} \(the zoo\); use squeezenet-nano\.int8\.onnx$"
    with pytest.raises(EdgesqzError, match=message):
        embed(MODEL, "web", out=tmp_path / "app")
    alone = tmp_path / "mine.int8.tflite"
    alone.touch()
    with pytest.raises(EdgesqzError, match=f"got {alone}; run edgesqz export mine --format onnx --quantize$"):
        embed(alone, "web", out=tmp_path / "app")


def test_the_web_target_says_how_to_install_its_engine() -> None:
    with pytest.raises(EdgesqzError, match=r"onnxruntime-web is not installed; try mkdir -p .* && npm pack"):
        plugins.engine_files("onnxruntime-web")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read report.json: No such file"),
        ("{", "is not a report from edgesqz bench --json"),
        ("[1]", "is not a report from edgesqz bench --json"),
        ('{"schema": 3}', "is not a report from edgesqz bench --json"),
        ('{"schema": 1}', r"report.json was written by an older edgesqz .*; measure again with edgesqz bench --json"),
        ('{"schema": 99}', "report.json was written by a newer edgesqz"),
    ],
)
def test_a_report_that_does_not_fit_is_refused(content: str | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        Path("report.json").write_text(content)
    with pytest.raises(EdgesqzError, match=words):
        embed(MODEL, "c", report=Path("report.json"))
