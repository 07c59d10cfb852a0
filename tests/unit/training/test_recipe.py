"""The recipe: its learning rate over the steps, and the values that it rejects."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesqz import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.training.recipe import Recipe, fastest_precision, scaled_to


@pytest.mark.parametrize("steps", [7, 10, 10_000])
def test_the_rate_rises_from_a_fifth_to_its_peak_and_falls_to_zero(steps: int) -> None:
    recipe = Recipe(learning_rate=0.3)
    rates = [recipe.rate_at(step, steps) for step in range(steps)]
    np.testing.assert_allclose(rates, np.interp(range(steps), (0, 0.2 * steps, steps), (0.06, 0.3, 0)))
    assert rates[0] == pytest.approx(0.3 / 5)
    assert 0 < rates[-1] <= 0.3 / (0.8 * steps) * (1 + 1e-9)


def test_the_peak_is_reached_when_the_warm_up_ends() -> None:
    assert Recipe(learning_rate=0.3).rate_at(20, 100) == pytest.approx(0.3)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_shortest_runs_have_a_rate(steps: int) -> None:
    assert all(0 < Recipe(learning_rate=0.3).rate_at(step, steps) <= 0.3 for step in range(steps))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"epochs": 0}, "epochs must be above 0, got 0"),
        ({"epochs": -3}, "epochs must be above 0, got -3"),
        ({"batch_size": 0}, "batch_size must be above 0, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must be above 0, got 0\.0"),
        ({"learning_rate": -0.1}, r"learning_rate must be above 0, got -0\.1"),
        ({"learning_rate": math.nan}, r"learning_rate must be above 0, got nan"),
        ({"learning_rate": math.inf}, r"learning_rate must be .*, got inf"),
        ({"weight_decay": -1e-4}, "weight_decay must be at least 0 and below inf, got -0.0001"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be at least 0 and below 1, got 1\.0"),
        ({"validation_split": 1.5}, r"validation_split must be at least 0 and below 1, got 1\.5"),
        ({"validation_split": math.nan}, "validation_split must be .*, got nan"),
        ({"precision": "float8"}, "unknown precision 'float8'; choose from float32, bfloat16"),
        ({"kept_epoch": "first"}, "unknown kept_epoch 'first'; choose from best, last"),
        ({"seed": -1}, "seed must be from 0 to 4294967295, got -1"),
        ({"model": "resnet"}, "unknown model 'resnet'; choose from squeezenet, squeezenet-nano"),
    ],
)
def test_impossible_values_are_rejected_with_their_names(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(EdgesqzError, match=problem):
        Recipe(**values)


def test_the_smallest_valid_values_are_accepted() -> None:
    assert Recipe(model="squeezenet-nano", epochs=1, batch_size=1, learning_rate=1e-9, seed=0).epochs == 1


def test_the_input_size_is_read_from_a_checkpoint() -> None:
    assert Recipe("squeezenet-nano").size == Recipe("squeezenet-nano", input_size=32).size == ImageSize(32, 32)
    assert Recipe("squeezenet-nano", input_size="160x120").size == ImageSize(height=120, width=160)


@pytest.mark.parametrize("input_size", [0, -3, "160x0"])
def test_an_invalid_input_size_is_rejected(input_size: int | str) -> None:
    with pytest.raises(EdgesqzError, match="expected an image size"):
        Recipe(input_size=input_size)


def test_the_augmentation_repeats_only_with_a_teacher() -> None:
    assert [Recipe().view_of(epoch) for epoch in (0, 9, 10, 25)] == [0, 9, 10, 25]
    assert [Recipe(teacher="a teacher").view_of(epoch) for epoch in (0, 9, 10, 25)] == [0, 9, 0, 5]
    assert [Recipe(teacher="a teacher", teacher_views=3).view_of(epoch) for epoch in (0, 2, 3)] == [0, 2, 0]


@pytest.mark.parametrize("images", [50_000, 60_000])
def test_the_defaults_for_many_images_are_the_recipes(images: int) -> None:
    assert Recipe(**scaled_to(images, Recipe())) == Recipe()


def test_fewer_images_mean_smaller_batches_a_lower_rate_and_more_epochs() -> None:
    found = [scaled_to(images, Recipe()) for images in (1, 60, 180, 600, 5_000, 50_000)]
    assert [each["batch_size"] for each in found] == [16, 16, 16, 32, 128, 128]
    assert [each["learning_rate"] for each in found] == [0.0088, 0.0088, 0.0088, 0.025, 0.2, 0.2]
    assert [each["epochs"] for each in found] == [200, 200, 137, 84, 39, 30]


def test_fine_tuning_takes_a_third_of_the_steps_and_a_rate_that_falls_more_slowly() -> None:
    found = [scaled_to(images, Recipe(init="…")) for images in (180, 600, 5_000, 50_000)]
    assert [each["batch_size"] for each in found] == [16, 32, 128, 128]
    assert [each["learning_rate"] for each in found] == [0.071, 0.1, 0.2, 0.2]
    assert [each["epochs"] for each in found] == [46, 28, 13, 10]


@pytest.mark.parametrize(
    ("images", "validation_split", "epoch"), [(9_999, 0.1, "last"), (10_000, 0.1, "best"), (5_000, 0.2, "best")]
)
def test_a_thousand_validation_images_select_the_epoch(images: int, validation_split: float, epoch: str) -> None:
    assert scaled_to(images, Recipe(validation_split=validation_split))["kept_epoch"] == epoch


@pytest.mark.parametrize(("images", "contrast", "brightness"), [(200, 0.3, 0.15), (511, 0.3, 0.15), (512, 0, 0)])
def test_few_images_also_change_in_contrast_and_brightness(images: int, contrast: float, brightness: float) -> None:
    found = scaled_to(images, Recipe())
    assert (found["contrast"], found["brightness"]) == (contrast, brightness)
    assert (found["batch_size"] == 16) is (images < 512)


def test_if_tensorflows_kernels_are_limited_training_uses_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert fastest_precision() == "float32"


@pytest.mark.parametrize(
    ("description", "precision"),
    [
        ("vendor_id : AuthenticAMD\nflags : avx2 avx512f avx512_bf16", "bfloat16"),
        ("vendor_id : GenuineIntel\nflags : avx2 avx512f avx512_bf16", "float32"),  # no more products per cycle
        ("vendor_id : GenuineIntel\nflags : avx2 avx512f avx512_bf16 amx_bf16", "bfloat16"),
        ("vendor_id : AuthenticAMD\nflags : avx2", "float32"),
    ],
)
def test_processors_that_multiply_bfloat16_faster_use_it(description: str, precision: str, tmp_path: Path) -> None:
    processor = tmp_path / "cpuinfo"
    processor.write_text(description)
    assert fastest_precision(processor) == precision


def test_quantization_aware_training_takes_fewer_epochs_and_a_far_lower_rate() -> None:
    found = [scaled_to(images, Recipe(init="…", quantize_aware="int4")) for images in (180, 50_000)]
    assert [each["epochs"] for each in found] == [137, 6]
    assert [each["learning_rate"] for each in found] == [1.8e-05, 0.0004]


def test_muon_takes_half_the_rate() -> None:
    assert scaled_to(50_000, Recipe(optimizer="muon"))["learning_rate"] == Recipe.learning_rate / 2
