"""Files of the zoo that no export of a model equals, because they were fine-tuned."""

from __future__ import annotations

from edgesqz.artifact import ZOO, sha256
from edgesqz.exporting.shipped import fine_tuned

NANO = sha256((ZOO / "squeezenet-nano.keras").read_bytes())


def test_only_files_that_were_fine_tuned_from_the_same_model_are_found() -> None:
    found = fine_tuned("squeezenet-nano.int4.tflite", NANO)
    assert found and found.path == ZOO / "squeezenet-nano.int4.tflite"
    assert fine_tuned("squeezenet-nano.int8.tflite", NANO) is None
    assert fine_tuned("squeezenet-nano.int4.tflite", "0" * 64) is None
    assert fine_tuned("squeezenet-nano.mixed.tflite", NANO) is None
    assert fine_tuned("shapes.int4.tflite", NANO) is None
