"""The files that an export writes."""

from __future__ import annotations

from typing import Any

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.exporting.job import requested_jobs


def names(**options: Any) -> list[str]:
    return [job.file_name("net") for job in requested_jobs(Export("net", **options))]


def test_one_file_by_default() -> None:
    assert names() == ["net.fp32.tflite"]


def test_every_variant_of_every_format_is_exported_once() -> None:
    assert names(format=["onnx", "tflite", "onnx"], variant=["fp16", "int8"], quantize=True) == [
        "net.fp16.onnx",
        "net.int8.onnx",
        "net.fp16.tflite",
        "net.int8.tflite",
    ]


def test_of_all_variants_the_most_valuable_comes_first() -> None:
    assert names(all_variants=True)[:4] == ["net.int8.tflite", "net.int8.onnx", "net.int4.tflite", "net.fp16.onnx"]
    assert names(format="onnx", all_variants=True) == [
        f"net.{kind}.onnx" for kind in ("int8", "fp16", "dynamic", "fp32")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "coreml"}, "^unknown format 'coreml'"),
        ({"format": "onnx", "variant": "int16x8"}, "^unknown variant 'int16x8' for onnx; choose from int8, fp16"),
        ({"calibration": 20}, "^calibration applies only to calibrated variants such as int8, got fp32; add quantize"),
        ({"calibration": 20, "variant": ["fp16", "dynamic"]}, "such as int8, got fp16, dynamic; "),
        ({"keep_int8": "a*", "quantize": True}, "^keep_int8 does not apply to tflite int8; it applies to int4, mixed$"),
        (
            {"keep_float": "a*", "variant": "int16x8"},
            "^keep_float does not apply to tflite int16x8; .* int8, ",
        ),
        ({"keep_float": "a*", "format": "onnx"}, "^keep_float does not apply to onnx fp32; it applies to int8$"),
        ({"keep_int8": "a*", "format": "onnx", "quantize": True}, "it applies to no variant of this format$"),
        (
            {"quantize": True, "calibration_method": "percentile"},
            "^calibration_method 'percentile' does not apply to tflite int8; choose from min-max$",
        ),
        ({"variant": "int4", "calibration_method": "best"}, "'best' does not apply to tflite int4; .* min-max, mse$"),
        ({"calibration_method": "mse", "all_variants": True}, "^calibration_method applies to some variants only"),
        ({"variant": "mixed"}, "^variant mixed needs either max_size or max_accuracy_drop$"),
        ({"variant": "mixed", "max_size": 1000, "max_accuracy_drop": 1}, "^variant mixed needs either"),
        ({"variant": "int4", "max_size": "60kB"}, "^max_size or max_accuracy_drop chooses the layers of variant mixed"),
        ({"variant": "mixed", "max_size": "60qB"}, "^max_size: "),
        ({"variant": "mixed", "max_accuracy_drop": 101}, "^max_accuracy_drop must be from 0 to 100"),
        ({"max_accuracy_drop": 0, "all_variants": True}, "^max_accuracy_drop applies to some variants only"),
        ({"keep_float": "a*", "all_variants": True}, "name them with variant instead of all_variants$"),
    ],
)
def test_bad_requests(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        names(**options)


def test_calibration_images_are_for_quantized_files() -> None:
    assert names(calibration=20, variant=["fp32", "int8"]) == ["net.fp32.tflite", "net.int8.tflite"]
    assert len(names(calibration=20, all_variants=True)) == 10


def test_the_number_of_calibration_images_has_a_default() -> None:
    assert Export("net").calibration_images == 500
    with pytest.raises(EdgesqzError, match="^calibration must be at least 1, got -5"):
        Export("net", quantize=True, calibration=-5)
