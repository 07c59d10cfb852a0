"""Compare the training speed with that of plain Keras ``compile()`` and ``fit()``. Takes fifteen minutes.

All train the same network on the same images with the same batch size, learning rate and augmentation. They take turns,
so that a machine that slows down affects all of them. The comparison is repeated in processes that use no instructions
beyond AVX2, as on older processors. Run it on a quiet machine, with:
python -m pytest -s tests/benchmarks/test_training_speed.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgesqz
from edgesqz import backend, data
from edgesqz.models.architectures import network_graph
from edgesqz.training.recipe import Recipe, fastest_precision

BATCH, STEPS, ROUNDS = 128, 12, 5
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
ROOT = Path(__file__).parents[2]

Turn = Callable[[], None]  # trains for STEPS steps


def random_images() -> data.Split:
    rng = np.random.default_rng(0)
    return data.Split(rng.integers(0, 256, (5000, 32, 32, 3), np.uint8), rng.integers(0, 10, 5000))


def by_fit(name: str, split: data.Split, **compile_options: object) -> Turn:
    import keras
    import tensorflow as tf

    def augmented(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        padded = tf.pad(image, [[4, 4], [4, 4], [0, 0]], "REFLECT")
        moved = tf.image.random_flip_left_right(tf.image.random_crop(padded, [32, 32, 3]))
        return tf.cast(moved, tf.float32), label

    images = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).shuffle(5000).repeat()
    batches = images.map(augmented, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    model = edgesqz.SqueezeNetModel(name=name).build()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel_regularizer = keras.regularizers.L2(2.5e-4)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **compile_options)
    return lambda: model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)


def by_edgesqz(name: str, split: data.Split) -> Turn:
    from edgesqz.training.step import FusedBatchNormalization, Views, training_step

    recipe = Recipe(name, learning_rate=0.05, precision=fastest_precision())
    network = network_graph(name).to_keras(FusedBatchNormalization)
    _, take_step = training_step(network, Views(split, split.size, recipe), recipe)
    certain = np.eye(10, dtype=np.float32)[split.labels]
    rng = np.random.default_rng(0)

    def turn() -> None:
        for view in range(STEPS):
            indices = rng.permutation(len(split))[:BATCH]
            loss, _ = take_step(indices, view, certain[indices])
            assert np.isfinite(float(loss))

    return turn


def measure(name: str) -> None:
    """Print a line of JSON with the seconds and the processor's seconds of each turn."""
    backend.start_keras()
    split = random_images()
    turns = {
        "edgesqz": by_edgesqz(name, split),
        "fit": by_fit(name, split),
        "fit, jit_compile=False": by_fit(name, split, jit_compile=False),
    }
    times: dict[str, list[tuple[float, float]]] = {who: [] for who in turns}
    for round_number in range(ROUNDS + 1):
        for who, turn in turns.items():
            start, processor_start = time.perf_counter(), time.process_time()
            turn()
            if round_number:  # the first one compiles
                times[who].append((time.perf_counter() - start, time.process_time() - processor_start))
    print(json.dumps(times))


# Smaller convolutions leave less to gain, and so does float32 in place of bfloat16. With AVX2, convolutions take up a
# larger share of the step, which leaves less to gain elsewhere.
@pytest.mark.parametrize(
    ("name", "settings", "times_fit"),
    [
        pytest.param("squeezenet", {}, 1.6, id="squeezenet, all instructions"),
        pytest.param("squeezenet-nano", {}, 1.4, id="squeezenet-nano, all instructions"),
        pytest.param("squeezenet", AVX2, 1.25, id="squeezenet, AVX2"),
        pytest.param("squeezenet-nano", AVX2, 1.4, id="squeezenet-nano, AVX2"),
    ],
)
def test_a_step_is_faster_than_fits(name: str, settings: dict[str, str], times_fit: float) -> None:
    program = f"from tests.benchmarks.test_training_speed import measure; measure({name!r})"
    found = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | settings, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    times = json.loads(found.stdout.splitlines()[-1])
    seconds, processor_seconds = (
        {who: statistics.median(pair[place] for pair in pairs) for who, pairs in times.items()} for place in (0, 1)
    )
    instructions = "AVX2" if settings else "all instructions"
    for who in times:
        print(
            f"{name}, {instructions}, {who}: {BATCH * STEPS / seconds[who]:.0f} images/s, "
            f"edgesqz takes {seconds['edgesqz'] / seconds[who]:.2f} of its time "
            f"and {processor_seconds['edgesqz'] / processor_seconds[who]:.2f} of its processor time"
        )
    for who in ("fit", "fit, jit_compile=False"):
        assert seconds[who] >= times_fit * seconds["edgesqz"]
