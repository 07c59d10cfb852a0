"""The outputs that a device app is expected to produce for the test vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.artifact import ZOO, Artifact, Manifest, Tensor
from edgesqz.engine import Engine, EngineError, open_engine
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import model_files
from edgesqz.outputs import class_scores

ARENA_ALIGNMENT = 16  # alignment in tflite-micro's arena, in bytes


@dataclass(frozen=True)
class Outputs:
    """The outputs of an engine for the test vectors.

    Attributes:
        engine: The engine's name and version.
        machine: The processor that the engine ran on.
        arena_bytes: Size of the arena that the engine needs, rounded up to its alignment, or None without an arena.
        probabilities: Probabilities of the classes, float32 (N, classes).
        values: The same outputs as stored values, (N, classes).
    """

    engine: str
    machine: str
    arena_bytes: int | None
    probabilities: NDArray[np.float32]
    values: NDArray[Any]

    def agreement_count(self, other: Outputs) -> int:
        """Count the images for which both engines predict the same label."""
        own, theirs = (class_scores(each.probabilities, like=self.probabilities) for each in (self, other))
        return int(np.sum(own.argmax(1) == theirs.argmax(1)))

    def differing_values(self, other: Outputs) -> int:
        """Count the stored values that differ."""
        return int(np.sum(self.values != other.values))

    def max_steps(self, other: Outputs) -> int:
        """Return the largest difference of any stored integer."""
        return int(np.abs(self.values.astype(int) - other.values).max())

    def max_difference(self, other: Outputs) -> float:
        """Return the largest difference of any probability."""
        return float(np.abs(self.probabilities - other.probabilities).max())


def expected_outputs(found: Artifact, manifest: Manifest, runtime: str, images: NDArray[np.uint8]) -> Outputs:
    """Run the test vectors in an engine.

    Args:
        found: The file to run.
        manifest: The manifest of the file.
        runtime: The name of the runtime.
        images: The test vectors, uint8 (N, H, W, channels).

    Raises:
        EdgesqzError: The engine cannot run the file (the message names a variant that it can run), or the file has
            another input or output than its manifest describes.
    """
    with _engine(found, manifest, runtime) as engine:
        if (engine.input, engine.output) != (manifest.input, manifest.output):
            raise EdgesqzError(
                f"{found.path}: its manifest describes ({manifest.input}) and ({manifest.output}), "
                f"but the file has ({engine.input}) and ({engine.output}); export it again"
            )
        arena, probabilities = engine.arena_bytes, engine.predict(images)
        return Outputs(
            engine=f"{runtime} {engine.version}",
            machine=engine.machine.cpu,
            arena_bytes=None if arena is None else -(-arena // ARENA_ALIGNMENT) * ARENA_ALIGNMENT,
            probabilities=probabilities,
            values=_stored(probabilities, manifest.output),
        )


def _engine(found: Artifact, manifest: Manifest, runtime: str) -> Engine:
    try:
        return open_engine(found, runtime=runtime)
    except EngineError as error:
        supported = [path.name for path in _other_variants(found, manifest) if _runs(path, runtime)]
        advice = (
            f"it can run {', '.join(supported)}"
            if supported
            else f"it cannot run any other variant of {manifest.name} either"
        )
        raise EngineError(f"{found.path.name}: {runtime} cannot run it: {error}; {advice}") from error


def _other_variants(found: Artifact, manifest: Manifest) -> list[Path]:
    """Return the other variants of a network in the file's folder or the zoo, each name once."""
    by_name = {path.name: path for folder in (ZOO, found.path.parent) for path in model_files(folder)}
    prefix = f"{manifest.name}."
    return [
        path
        for name, path in by_name.items()
        if name.startswith(prefix) and name.endswith(found.path.suffix) and name != found.path.name
    ]


def _runs(path: Path, runtime: str) -> bool:
    try:
        open_engine(Artifact.open(path), runtime=runtime).close()
    except EngineError:
        return False
    return True


def _stored(probabilities: NDArray[np.float32], tensor: Tensor) -> NDArray[Any]:
    """Convert real outputs to stored values, which is exact because they are multiples of the scale."""
    if tensor.scale is None or tensor.zero_point is None:
        return probabilities
    return np.asarray(np.round(probabilities / np.float32(tensor.scale)) + tensor.zero_point, tensor.dtype)
