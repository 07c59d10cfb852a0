"""Data-parallel training: each worker computes gradients on its part of every batch, and all apply their average.

The workers are Ray actors, each in its own process. TensorFlow's MultiWorkerMirroredStrategy averages the gradients
across them. All workers start with the same weights and apply the same updates, so their weights stay identical. As
usual, each worker's batch normalization uses the statistics of its own part of the batch. The moving averages, which
the finished network uses, are averaged over the workers.

Ray Train would run the whole training loop in the workers, and write checkpoints to storage that all nodes share. Here
the loop, with its checkpoints, quota and Ctrl-C, is the same for any number of workers, and stays in the process that
the user started.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz.data import Split
from edgesqz.errors import EdgesqzError
from edgesqz.models.graph import Graph
from edgesqz.training.learner import LocalLearner
from edgesqz.training.recipe import Recipe

if TYPE_CHECKING:
    import tensorflow as tf


class WorkerLostError(EdgesqzError):
    """A worker or its node died."""


class Worker:
    """A worker, which runs as a Ray actor."""

    def __init__(self) -> None:
        self._learner: LocalLearner | None = None

    def address(self) -> str:
        """Return this worker's address, with a currently free port."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def start(self, addresses: Sequence[str], rank: int, graph: Graph, images: Split, recipe: Recipe) -> None:
        """Build the network, and connect to the other workers.

        Args:
            addresses: Addresses of all workers, by rank.
            rank: Rank of this worker, from 0.
            graph: The network.
            images: All images to train on.
            recipe: The recipe.
        """
        os.environ["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}}
        )
        from edgesqz import backend

        backend.start_keras()
        import tensorflow as tf

        # One thread computes on the core that Ray reserves, while another can wait for the other workers.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._learner = LocalLearner(graph, images, recipe, lambda gradients: _average(strategy, gradients))

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the learner."""
        return getattr(self._learner, name)(*arguments)


def _average(strategy: tf.distribute.Strategy, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    import tensorflow as tf

    def in_replica(*gradients: tf.Tensor) -> Any:
        placed = [tf.identity(gradient) for gradient in gradients]  # on the replica's device
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, placed)

    averaged: list[tf.Tensor] = strategy.run(in_replica, args=tuple(gradients))
    return averaged


class Workers:
    """A network that is trained on several workers.

    Args:
        count: Number of workers.
        graph: The network, for images at the size of the training crops.
        images: The images to train on.
        recipe: The recipe.
    """

    def __init__(self, count: int, graph: Graph, images: Split, recipe: Recipe) -> None:
        import ray

        self._count = count
        self._shared = [ray.put(each) for each in (graph, images, recipe)]
        self._workers: list[Any] = []
        self.start()

    def start(self) -> None:
        """Start all workers, after stopping any that are still running."""
        import ray

        for worker in self._workers:
            ray.kill(worker)
        actor = ray.remote(num_cpus=1)(Worker)
        self._workers = [actor.remote() for _ in range(self._count)]
        addresses = self._all([worker.address.remote() for worker in self._workers])
        self._all([worker.start.remote(addresses, rank, *self._shared) for rank, worker in enumerate(self._workers)])

    def step(self, indices: np.ndarray, view: int, targets: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Update the weights. See ``Learner.step``."""
        parts = zip(self._workers, np.split(indices, self._count), np.split(targets, self._count), strict=True)
        results = self._all(
            [worker.call.remote("step", rows, view, wanted, learning_rate) for worker, rows, wanted in parts]
        )
        return float(np.mean([loss for loss, _ in results])), sum(correct for _, correct in results)

    def use_average(self) -> None:
        """Replace the weights with their moving average. See ``Learner.use_average``."""
        self._all([worker.call.remote("use_average") for worker in self._workers])

    def estimate_statistics(self, batches: np.ndarray, view: int) -> None:
        """Estimate the statistics of batch normalization. See ``Learner.estimate_statistics``."""
        self._all([worker.call.remote("estimate_statistics", batches, view) for worker in self._workers])

    def count_correct(self, split: Split) -> float:
        """Return the number of correctly classified images, or NaN if a prediction is NaN or infinity."""
        parts = np.array_split(np.arange(len(split)), self._count)
        calls = [
            worker.call.remote("count_correct", split.take(part))
            for worker, part in zip(self._workers, parts, strict=True)
            if len(part)
        ]
        return float(sum(self._all(calls)))

    def weights(self) -> list[np.ndarray]:
        """Return the weights in the order of the Keras model, with moving averages averaged over the workers."""
        found = self._all([worker.call.remote("weights") for worker in self._workers])
        return [np.asarray(np.mean(each, axis=0, dtype=np.float32)) for each in zip(*found, strict=True)]

    def optimizer_state(self) -> list[np.ndarray]:
        """Return the state of the optimizer, which is the same on every worker."""
        (found,) = self._all([self._workers[0].call.remote("optimizer_state")])
        return list(found)

    def restore(self, weights: Sequence[np.ndarray], optimizer_state: Sequence[np.ndarray]) -> None:
        """Replace the weights, and the state of the optimizer unless that is empty."""
        self._all([worker.call.remote("restore", weights, optimizer_state) for worker in self._workers])

    def _all(self, calls: list[Any]) -> list[Any]:
        """Wait for calls to all workers. Stop at the first failure, because the others could wait forever.

        Raises:
            WorkerLostError: A worker died, or cannot reach another one.
        """
        import ray

        waiting = list(calls)
        try:
            while waiting:
                done, waiting = ray.wait(waiting)
                ray.get(done)
            return list(ray.get(calls))
        except ray.exceptions.RayActorError as error:
            raise WorkerLostError("a worker died") from error
        except ray.exceptions.RayTaskError as error:
            if "UnavailableError" in type(error).__name__ or "UNAVAILABLE" in str(error):
                raise WorkerLostError("a worker cannot reach another one") from error
            raise
