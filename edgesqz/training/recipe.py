"""The recipe of a training run."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqz import defaults, models
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on: the same recipe on the same machine gives the same network.

    The rate rises linearly from a fifth of its peak, then falls linearly to 0 at the last step. With a teacher, a
    network learns the teacher's answers instead of the labels.
    """

    model: str = "squeezenet"
    dataset: str = defaults.DATASET
    epochs: int = 30  # this and the next two follow the number of images; see scaled_to
    batch_size: int = 128  # images a step
    learning_rate: float = 0.2  # at its peak
    steps: int | None = None  # the most to take, for a run that has a time to keep; None for all of its epochs
    input_size: int | str | None = None  # that the network works at, as ImageSize.plain; None for what it was made for
    seed: int = 0  # of the first weights, the order of the images, and their augmentation
    warmup: float = 0.2  # share of the steps in which the rate rises
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 5e-4  # L2 penalty on kernels only, in the loss
    label_smoothing: float = 0.1
    shift: int = 4  # most pixels an image is moved by, reflected at its border
    validation_split: float = 0.1  # share of the training images that train nothing and choose the epoch; 0 for none
    teacher: str | None = None  # SHA-256 of its .keras file
    temperature: float = 4.0  # that the teacher's answers are softened with
    teacher_views: int = 10  # epochs after which the augmentation begins anew, so that its answers can be kept
    precision: str = "float32"  # or bfloat16, of the convolutions while training; weights are float32 in any case
    preprocessing: str = "scale"  # or "course": a crop at random in place of the shift; see SqueezeNetModel

    def __post_init__(self) -> None:
        """Check the values before any work is done with them."""
        models.architecture(self.model)
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and (not value > 0 or not math.isfinite(value)):
                raise EdgesqzError(f"--{name.replace('_', '-')} must be above 0, got {value}")
        if self.input_size is not None:
            ImageSize.parse(self.input_size)
        for name, limit in (("weight_decay", math.inf), ("label_smoothing", 1), ("validation_split", 1)):
            if not 0 <= getattr(self, name) < limit:
                raise EdgesqzError(
                    f"--{name.replace('_', '-')} must be from 0 to below {limit:g}, got {getattr(self, name)}"
                )
        for name, known in (("preprocessing", models.PREPROCESSING), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise EdgesqzError(f"unknown --{name} {getattr(self, name)!r}; the known are {', '.join(known)}")
        if not 0 <= self.seed < 2**32:
            raise EdgesqzError(f"--seed must be from 0 to {2**32 - 1}, got {self.seed}")

    @property
    def size(self) -> ImageSize:
        """What the network works at."""
        return ImageSize.parse(self.input_size or models.architecture(self.model).side)

    @property
    def softness(self) -> float:
        """The temperature of what is learned; labels are learned as they are."""
        return self.temperature if self.teacher else 1.0

    def view_of(self, epoch: int) -> int:
        """Which augmentation of the images an epoch (from 0) sees."""
        return epoch % self.teacher_views if self.teacher else epoch

    @property
    def mirrored(self) -> bool:
        """Whether an image may be mirrored: most things look alike from both sides, but digits do not."""
        return self.dataset != "mnist"

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step number ``step`` (from 0) of ``steps``."""
        rising = self.warmup * steps
        if step < rising:
            return self.learning_rate * (0.2 + 0.8 * step / rising)
        return self.learning_rate * (steps - step) / (steps - rising)


LEAST_STEPS, MOST_EPOCHS = 1500, 200
LEAST_BATCH, LEAST_STEPS_AN_EPOCH = 16, 16


def scaled_to(images: int) -> dict[str, Any]:
    """The recipe that fits a number of training images, where nobody asks for another.

    Of a few images an epoch needs some steps, so batches are smaller, down to 16, and there are more epochs, up to 200,
    for about 1,500 steps in all. The peak rate falls with the batch to the power of 1.5, faster than the linear rule
    (Goyal et al., "Accurate, Large Minibatch SGD", 2017), for the rise to it is as much shorter than the 2,340 steps of
    50,000 images: ``squeezenet``, trained on 180 images of three drawn shapes, had 66 % right of 300 others with a peak
    of 0.05, and 87 % with 0.01 (one seed each). From 2,048 images on only the epochs differ, from 50,000 on nothing
    does. ``tests/benchmarks/test_small_data.py`` repeats the trial.
    """
    share = images // LEAST_STEPS_AN_EPOCH
    power_of_two = 1 << max(share.bit_length() - 1, 0)
    batch_size = min(max(power_of_two, LEAST_BATCH), Recipe.batch_size)
    steps_an_epoch = max(images // batch_size, 1)
    return {
        "epochs": min(max(math.ceil(LEAST_STEPS / steps_an_epoch), Recipe.epochs), MOST_EPOCHS),
        "batch_size": batch_size,
        "learning_rate": round(Recipe.learning_rate * (batch_size / Recipe.batch_size) ** 1.5, 3),
    }


def fastest_precision() -> str:
    """``bfloat16`` where the processor multiplies it faster than float32: x86 with AVX-512 BF16 or AMX, on Linux."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):  # TensorFlow's kernels are held below what the processor has
        return "float32"
    processor = Path("/proc/cpuinfo")
    flags = set(processor.read_text().split()) if processor.is_file() else set()
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"
