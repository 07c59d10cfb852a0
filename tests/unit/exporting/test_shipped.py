"""Files of the zoo that no export of a model equals, because they were fine-tuned."""

from __future__ import annotations

import pytest

from edgesqz.artifact import ZOO, sha256
from edgesqz.exporting.precision import Keep
from edgesqz.exporting.shipped import better_file, fine_tuned

NANO = sha256((ZOO / "squeezenet-nano.keras").read_bytes())


def test_only_files_that_were_fine_tuned_from_the_same_model_are_found() -> None:
    found = fine_tuned("squeezenet-nano.int4.tflite", NANO)
    assert found and found.path == ZOO / "squeezenet-nano.int4.tflite"
    assert fine_tuned("squeezenet-nano.int8.tflite", NANO) is None
    assert fine_tuned("squeezenet-nano.int4.tflite", "0" * 64) is None
    assert fine_tuned("squeezenet-nano.mixed.tflite", NANO) is None
    assert fine_tuned("shapes.int4.tflite", NANO) is None


def test_an_export_says_how_to_use_a_better_file_of_the_zoo() -> None:
    name = "squeezenet-nano.int4.tflite"
    assert better_file(name, NANO, Keep()).endswith(f"file of this name, edgesqz bench {name} finds it")
    assert better_file("squeezenet-nano.int8.tflite", NANO, Keep()) == ""


@pytest.mark.parametrize("keep", [Keep(int8=("fire*",)), Keep(float=("stem",))])
def test_an_export_that_protects_layers_is_another_file(keep: Keep) -> None:
    assert better_file("squeezenet-nano.int4.tflite", NANO, keep) == ""
