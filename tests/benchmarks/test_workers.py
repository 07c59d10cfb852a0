"""Images per second on two workers of one core each, against one worker of one core: three minutes. Run it with:

python -m pytest -s tests/benchmarks/test_workers.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgesqz import cluster, data
from edgesqz.models.architectures import network_graph
from edgesqz.training.recipe import Recipe, fastest_precision
from edgesqz.training.workers import Workers
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch
from tests.processes import descendants

STEPS, ROUNDS, IMAGES = 20, 3, 1024
ONE, TWO, TWO_ALONE = (1,), (2,), (1, 1)


def keep_each_on_a_core() -> None:
    """Keep each worker on one core, which TensorFlow's threads would exceed where another is idle."""
    for core, worker in enumerate(descendants("Worker")):
        for thread in worker.threads():
            os.sched_setaffinity(thread.id, {core})


def images_per_second(groups: Sequence[int], model: str, folder: Path) -> float:
    """Train for some steps after a few that compile. Groups of workers divide the batch, and exchange nothing."""
    recipe = Recipe(model=model, precision=fastest_precision())
    split, graph = data.draw(IMAGES, 32, seed=0), network_graph(model, classes=10)
    targets, batch_size = np.eye(10, dtype=np.float32)[split.labels], recipe.batch_size // len(groups)

    def train(learner: Workers, steps: int) -> None:
        for step in range(steps):
            indices = np.arange(batch_size) + step
            learner.step(indices, 0, targets[indices], 0.1)

    with scratch(None, Workspace(folder), 0), cluster.started(None, split.images.nbytes):
        learners = [Workers(count, graph, split, recipe) for count in groups]
        keep_each_on_a_core()
        with ThreadPoolExecutor(len(groups)) as threads:
            list(threads.map(lambda learner: train(learner, 3), learners))
            started = time.perf_counter()
            list(threads.map(lambda learner: train(learner, STEPS), learners))
            return STEPS * recipe.batch_size / (time.perf_counter() - started)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize("model", ["squeezenet", "squeezenet-nano"])
def test_two_workers_are_faster_than_one(model: str, tmp_path: Path) -> None:
    speeds = [[images_per_second(groups, model, tmp_path) for groups in (ONE, TWO, TWO_ALONE)] for _ in range(ROUNDS)]
    one, two, alone = np.median(speeds, axis=0)
    print(f"{model}: {one:.0f} images/s on one worker, {two:.0f} on two: {two / one:.2f} times")
    print(f"two workers that exchange nothing: {alone:.0f} images/s, {alone / one:.2f} times")
    assert two >= 1.6 * one
