"""Advice after a failed verification names what can be tried for this file."""

from __future__ import annotations

import types
from typing import Any

import pytest

from edgesqz.exporting.advice import advice
from edgesqz.exporting.job import Job
from edgesqz.reading import ForeignModel

AVAILABLE: Any = types.SimpleNamespace(available=True, dataset="photos")
TRAINED: Any = types.SimpleNamespace(untrained=False, name="mine")
FOREIGN: Any = ForeignModel.__new__(ForeignModel)


@pytest.mark.parametrize(
    ("source", "format_name", "variant", "expected"),
    [
        (TRAINED, "tflite", "fp32", "try longer training or another variant"),
        (TRAINED, "tflite", "int4", "fine-tune with train init mine quantize_aware int4"),
        (TRAINED, "tflite", "int8", "try more calibration images, longer training, or variant fp16 or dynamic or fp32"),
        (FOREIGN, "tflite", "fp32", "try another format of the model, or another variant"),
        (FOREIGN, "tflite", "int4", "try variant int8, or keep_int8 LAYER"),
        (FOREIGN, "tflite", "int8", "try more calibration images, keep_float LAYER, or variant int16x8"),
        (FOREIGN, "tflite", "int16x8", "try more calibration images"),
        (FOREIGN, "onnx", "int8", "try more calibration images, keep_float LAYER, or variant fp16"),
    ],
)
def test_the_advice_follows_from_the_source_and_the_variant(
    source: Any, format_name: str, variant: str, expected: str
) -> None:
    found = advice(Job.parse(format_name, variant), source, AVAILABLE)
    assert "".join(each for each in found if each.isprintable()).startswith(expected)


def test_synthetic_images_are_the_likely_reason() -> None:
    images: Any = types.SimpleNamespace(available=False, dataset="cifar10")
    assert "synthetic because cifar10 is not available" in advice(Job.parse("tflite", "int8"), TRAINED, images)
