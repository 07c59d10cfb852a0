"""The teacher for distillation: a model of any format, run by the engine for that format."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesqz import artifact, engine
from edgesqz.artifact import Artifact
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError, option
from edgesqz.lookup import find_model_file
from edgesqz.models.architectures import ARCHITECTURES
from edgesqz.outputs import are_probabilities, is_guessing, softmax
from edgesqz.workspace import Workspace

LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class TeacherFile:
    """The file of a teacher.

    Attributes:
        path: The file.
        sha256: SHA-256 of its content.
    """

    path: Path
    sha256: str

    @classmethod
    def find(cls, model: str | Path, workspace: Workspace) -> TeacherFile:
        """Find a model file by its path or its name. See ``edgesqz.lookup``.

        Raises:
            EdgesqzError: There is no such file, or it cannot be read.
        """
        try:
            path = find_model_file(model, workspace.folder)
        except EdgesqzError as error:
            if str(model) not in ARCHITECTURES:
                raise
            raise EdgesqzError(f"{error.args[0]}; to train it, run edgesqz train --model {model}") from error
        return cls(path, artifact.sha256(artifact.whole_bytes(path)))

    @contextlib.contextmanager
    def started(self) -> Iterator[Teacher]:
        """Run the teacher in its engine, on all cores that this process may use, during the ``with`` block.

        Raises:
            EdgesqzError: No engine runs the model, it is not an image classifier, or its outputs are quantized.
        """
        threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)  # a sweep sets it for its trials
        with engine.load(self.path, threads=threads) as running:
            problem = f"{option('teacher')} {self.path}"
            if not running.is_classifier:
                raise EdgesqzError(f"{problem} is not an image classifier")
            if running.output.scale is not None:
                raise EdgesqzError(
                    f"{problem} rounds its probabilities to {running.output.dtype}, which hides those of unlikely "
                    "classes; export its source model to ONNX, where probabilities are float32 in every variant"
                )
            manifest = Artifact.open(self.path).manifest
            yield Teacher(self.path, manifest.labels if manifest else (), running)


@dataclass(frozen=True)
class Teacher:
    """A running teacher.

    Attributes:
        path: Its file.
        labels: Its class names, or empty if they are unknown.
        engine: The engine that runs it.
    """

    path: Path
    labels: tuple[str, ...]
    engine: Engine

    def check(self, input_shape: tuple[int, ...], labels: tuple[str, ...]) -> None:
        """Check that the teacher takes the images of the network, and predicts the same classes.

        Args:
            input_shape: Height, width and channels of the network's images.
            labels: Class names.

        Raises:
            EdgesqzError: It does not.
        """
        problem = f"{option('teacher')} {self.path}"
        try:
            size, channels = self.engine.image_format
        except EdgesqzError as error:
            raise EdgesqzError(f"{problem}: {error}") from error
        found = (*size, channels), self.engine.output.shape[1]
        if found != (input_shape, len(labels)):
            raise EdgesqzError(
                f"{problem} takes images of shape {found[0]} and predicts {found[1]} classes; expected shape "
                f"{input_shape} and {len(labels)} classes"
            )
        for number, (known, wanted) in enumerate(zip(self.labels, labels, strict=False)):
            if known != wanted:
                raise EdgesqzError(
                    f"{problem} predicts other classes than the dataset has: class {number} is {known!r} in the "
                    f"teacher, but {wanted!r} in the dataset"
                )

    def check_accuracy(self, images: np.ndarray, labels: np.ndarray) -> str:
        """Check that the teacher is better than guessing the most common class.

        Args:
            images: Some training images, uint8 (N, H, W, C).
            labels: Their labels, int64 (N,).

        Returns:
            The teacher's accuracy, for messages.

        Raises:
            EdgesqzError: It is not better than guessing.
        """
        predicted = self.engine.predict(images).argmax(axis=1)
        found = f"{np.mean(predicted == labels):.1%} of {len(labels)} training images"
        if is_guessing(predicted, labels):
            raise EdgesqzError(
                f"{option('teacher')} {self.path} classifies {found} correctly, which is no better than guessing; "
                f"check that it was trained on these classes. If it expects pixel values other than 0..255, export it "
                f"with {option('pixel_range')} first, and use the exported file"
            )
        return found

    def predict(self, images: np.ndarray, temperature: float) -> np.ndarray:
        """Return softened probabilities.

        Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.

        Args:
            images: uint8 (N, H, W, C).
            temperature: Divisor of the logits.

        Returns:
            float32 (N, classes).
        """
        outputs = self.engine.predict(images)
        logits = np.log(np.maximum(outputs, LEAST_PROBABILITY)) if are_probabilities(outputs) else outputs
        return softmax(logits / temperature)
