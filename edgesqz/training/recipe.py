"""The recipe of a training run."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqz import defaults
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.image_size import ImageSize
from edgesqz.models.architectures import PREPROCESSING, architecture

PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("sgd", "muon")
QUANTIZED = ("int4",)
EPOCHS = ("best", "last")
MODELS = ("teacher", "init")  # fields that identify another model by its SHA-256


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on. The same recipe on the same machine gives the same network.

    The learning rate rises linearly from a fifth of its peak, then falls linearly to 0 at the last step.

    Attributes:
        model: Name of the network.
        dataset: Name of the dataset, or path of an image folder.
        epochs: Number of passes over the training images. See ``scaled_to`` for the defaults of this and the next two.
        batch_size: Number of images per step.
        learning_rate: Peak learning rate.
        steps: Maximum number of steps, for a run of a given duration, or None for all epochs.
        input_size: Input size of the network as in ``ImageSize.plain``, or None for the one that it was designed for.
        seed: Seed for random initial weights, shuffling and augmentation.
        warmup: Fraction of the steps during which the learning rate rises.
        optimizer: ``sgd``, or ``muon`` for kernels followed by batch normalization. See ``training.optimizers``.
        momentum: Nesterov momentum of ``sgd``.
        weight_decay: L2 penalty in the loss, on kernels only.
        label_smoothing: Fraction of each label that is spread evenly over all classes.
        shift: Maximum shift of an image in pixels. The border is filled by reflection.
        contrast: Maximum relative change of an image's contrast.
        brightness: Maximum change of an image's brightness, relative to white.
        validation_split: Fraction of the training images that is used for validation instead of for training.
        kept_epoch: The epoch whose weights the finished network has: ``last``, or ``best`` for the one with the highest
            validation accuracy.
        teacher: SHA-256 of the teacher's file for distillation, or None to train on the labels.
        temperature: Softmax temperature of the distillation.
        teacher_views: Number of epochs after which the augmentation repeats, so that the teacher's predictions can be
            cached.
        average: Momentum of the exponential moving average of the weights, which the finished network uses, or 0 for
            the weights after the last step.
        branches: Whether to train each 3x3 convolution as a sum of 3x3, 1x3 and 3x1 convolutions, which the finished
            network folds into one.
        quantize_aware: Variant whose weights the network computes with while it is trained, or None. Requires ``init``.
        precision: Data type of the convolutions during training. Weights are always float32.
        preprocessing: A name in ``edgesqz.models.PREPROCESSING``. ``course`` takes random crops instead of shifting.
        init: SHA-256 of the .keras file whose weights the run starts from, or None for random weights.
        freeze: Number of modules that are not trained, counted from the input.
    """

    model: str = "squeezenet"
    dataset: str = defaults.DATASET
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.2
    steps: int | None = None
    input_size: int | str | None = None
    seed: int = 0
    warmup: float = 0.2
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    shift: int = 4
    contrast: float = 0.0
    brightness: float = 0.0
    validation_split: float = 0.1
    kept_epoch: str = "best"
    teacher: str | None = None
    temperature: float = 4.0
    teacher_views: int = 10
    average: float = 0.0
    branches: bool = False
    quantize_aware: str | None = None
    precision: str = "float32"
    init: str | None = None
    freeze: int = 0
    preprocessing: str = "scale"

    def __post_init__(self) -> None:
        """Check the values."""
        architecture(self.model)
        for name in ("epochs", "batch_size", "learning_rate", "teacher_views"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise EdgesqzError(f"{option(name)} must be above 0, got {value}")
        if self.input_size is not None:
            parsed("input_size", ImageSize.parse, self.input_size)
        if self.freeze < 0:
            raise EdgesqzError(f"{option('freeze')} must be at least 0, got {self.freeze}")
        for name, limit in (
            ("weight_decay", math.inf),
            ("label_smoothing", 1),
            ("validation_split", 1),
            ("average", 1),
        ):
            if not 0 <= (value := getattr(self, name)) < limit:
                raise EdgesqzError(f"{option(name)} must be at least 0 and below {limit:g}, got {value}")
        for name, choices in (
            ("preprocessing", PREPROCESSING),
            ("precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
            ("kept_epoch", EPOCHS),
        ):
            if (value := getattr(self, name)) not in choices:
                raise EdgesqzError(f"unknown {option(name)} {value!r}; choose from {', '.join(choices)}")
        if self.quantize_aware not in (None, *QUANTIZED):
            raise EdgesqzError(
                f"{option('quantize_aware')} must be {' or '.join(QUANTIZED)}, got {self.quantize_aware!r}"
            )
        if not 0 <= self.seed < 2**32:
            raise EdgesqzError(f"{option('seed')} must be from 0 to {2**32 - 1}, got {self.seed}")

    @property
    def size(self) -> ImageSize:
        """Input size of the network."""
        return ImageSize.parse(self.input_size or architecture(self.model).input_size)

    @property
    def loss_temperature(self) -> float:
        """Softmax temperature of the loss, which is 1 for labels."""
        return self.temperature if self.teacher else 1.0

    def view_of(self, epoch: int) -> int:
        """Return the number of the augmented view that an epoch, from 0, trains on."""
        return epoch % self.teacher_views if self.teacher else epoch

    @property
    def mirrors(self) -> bool:
        """Whether augmentation may mirror images. Mirrored digits are no longer digits."""
        return self.dataset != "mnist"

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of step number ``step`` of ``steps``, from 0."""
        rising = self.warmup * steps
        if step < rising:
            return self.learning_rate * (0.2 + 0.8 * step / rising)
        return self.learning_rate * (steps - step) / (steps - rising)


@dataclass(frozen=True)
class _Defaults:
    """Default values for 50,000 images or more, and how they scale to fewer images.

    Attributes:
        epochs: Number of epochs, and the minimum for fewer images.
        learning_rate: Peak learning rate at the batch size of 128.
        min_steps: Number of steps for few images.
        power: Exponent of the batch size that the peak learning rate is proportional to.
    """

    epochs: int
    learning_rate: float
    min_steps: int = 1500
    power: float = 1.5


FROM_SCRATCH = _Defaults(Recipe.epochs, Recipe.learning_rate)
FINE_TUNING = _Defaults(10, Recipe.learning_rate, min_steps=500, power=0.5)
QUANTIZATION_AWARE = _Defaults(6, 0.0004)
MUON_RATE = 0.5  # relative to the rate of SGD
MAX_EPOCHS = 200
MIN_BATCH_SIZE, MIN_STEPS_PER_EPOCH = 16, 16
FEW_IMAGES = MIN_BATCH_SIZE * 2 * MIN_STEPS_PER_EPOCH  # below, batches have the minimum size
LIGHT = {"contrast": 0.3, "brightness": 0.15}  # for few images
MIN_VALIDATION_IMAGES = 1000  # to select an epoch


def scaled_to(images: int, recipe: Recipe) -> dict[str, Any]:
    """Return the values of a recipe that suit a number of training images.

    With few images, batches are smaller, down to 16, and there are more epochs, up to 200, which makes about 1,500
    steps in total. The peak learning rate falls with the batch size to the power of 1.5, faster than the linear rule
    (Goyal et al., "Accurate, Large Minibatch SGD", 2017), because the warm-up shrinks as well: it takes 2,340 steps
    with 50,000 images. From 2,048 images on, only the number of epochs changes; from 50,000 on, nothing does.

    Fine-tuning takes a third of the steps, about 500 as in BiT (Kolesnikov et al., "Big Transfer", 2020). Trained
    weights withstand a high rate, so its peak falls only with the square root of the batch size. The figures behind
    both rules are in ``docs/how-to/fine-tune.md``.

    Quantization-aware training adjusts trained weights without batch normalization, so it takes fewer epochs and a far
    lower rate. Starting from the zoo's ``squeezenet-nano``, a peak of 0.02 diverged after 11 steps.

    Muon takes half the rate of SGD. The figures are in ``docs/explanation/training.md``.

    Below 512 images, augmentation also changes contrast and brightness.

    A small validation split does not select the epoch: by chance, an early epoch classifies a few images better than
    the last one, whose learning rate is the lowest. The figures behind this and the augmentation are in
    ``docs/how-to/fine-tune.md``, too.

    Args:
        images: The number of training images.
        recipe: The recipe that the values are for.
    """
    defaults = QUANTIZATION_AWARE if recipe.quantize_aware else FINE_TUNING if recipe.init else FROM_SCRATCH
    peak = defaults.learning_rate * (MUON_RATE if recipe.optimizer == "muon" else 1)
    per_step = images // MIN_STEPS_PER_EPOCH
    power_of_two = 1 << max(per_step.bit_length() - 1, 0)
    batch_size = min(max(power_of_two, MIN_BATCH_SIZE), Recipe.batch_size)
    steps_per_epoch = max(images // batch_size, 1)
    share = batch_size / Recipe.batch_size
    return {
        "epochs": min(max(math.ceil(defaults.min_steps / steps_per_epoch), defaults.epochs), MAX_EPOCHS),
        "batch_size": batch_size,
        "learning_rate": float(f"{peak * share**defaults.power:.2g}"),
        "kept_epoch": "best" if images * recipe.validation_split >= MIN_VALIDATION_IMAGES else "last",
        **{name: limit if images < FEW_IMAGES else 0.0 for name, limit in LIGHT.items()},
    }


def fastest_precision(processor: Path = Path("/proc/cpuinfo")) -> str:
    """Return ``bfloat16`` on Linux on x86 processors that multiply it faster than float32, otherwise ``float32``.

    These are processors with AMX, and AMD's with AVX-512 BF16. Intel's without AMX also have AVX-512 BF16, but multiply
    no more of these numbers per cycle than of float32, and converting them takes time: on a Xeon, ``squeezenet``
    trained at 274 instead of 357 images/s. ``tests/benchmarks/test_training_speed.py`` repeats the comparison.

    Args:
        processor: The file in which Linux describes the processor.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):  # keeps TensorFlow's kernels from using these instructions
        return "float32"
    flags = set(processor.read_text().split()) if processor.is_file() else set()
    is_faster = "amx_bf16" in flags or {"avx512_bf16", "AuthenticAMD"} <= flags
    return "bfloat16" if is_faster else "float32"
