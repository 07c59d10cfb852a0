"""Compare the training speed of two workers with that of one, with one core each. Takes two minutes. Run it with:

python -m pytest -s tests/benchmarks/test_workers.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgesqz import cluster, data
from edgesqz.models.architectures import network_graph
from edgesqz.training.recipe import Recipe, fastest_precision
from edgesqz.training.workers import Workers
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch

STEPS, ROUNDS, IMAGES = 20, 3, 1024


def keep_each_on_a_core() -> None:
    """Pin each worker to one core. Otherwise, TensorFlow's threads would also use idle cores."""
    children = psutil.Process().children(recursive=True)
    workers = [child for child in children if "Worker" in "".join(child.cmdline()[:1])]
    for core, worker in enumerate(workers):
        for thread in worker.threads():
            os.sched_setaffinity(thread.id, {core})


def images_per_second(workers: int, model: str, folder: Path) -> float:
    """Measure some training steps, after a few that compile the network."""
    recipe = Recipe(model=model, precision=fastest_precision())
    split, graph = data.draw(IMAGES, 32, seed=0), network_graph(model, classes=10)
    targets = np.eye(10, dtype=np.float32)[split.labels]
    with scratch(None, Workspace(folder), 0), cluster.started(None, split.images.nbytes):
        learner = Workers(workers, graph, split, recipe)
        keep_each_on_a_core()

        def train(steps: int) -> float:
            started = time.perf_counter()
            for step in range(steps):
                indices = np.arange(recipe.batch_size) + step
                learner.step(indices, 0, targets[indices], 0.1)
            return steps * recipe.batch_size / (time.perf_counter() - started)

        train(3)
        return train(STEPS)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize("model", ["squeezenet", "squeezenet-nano"])
def test_two_workers_are_faster_than_one(model: str, tmp_path: Path) -> None:
    speeds = [[images_per_second(workers, model, tmp_path) for workers in (1, 2)] for _ in range(ROUNDS)]
    one, two = np.median(speeds, axis=0)
    print(f"{model}: {one:.0f} images/s on one worker, {two:.0f} on two, {two / one:.2f} times as many")
    assert two >= 1.6 * one
