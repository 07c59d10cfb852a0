"""Predict the most likely labels of image files. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError
from edgesqz.options import PixelOptions, WorkspaceOptions, as_list
from edgesqz.results import Result
from edgesqz.tables import Column, Table

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.artifact import Artifact
    from edgesqz.engine import Engine

TOP = 5  # labels to show


@dataclass(frozen=True)
class Guess:
    """A label and its probability, 0..1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The most likely labels of one image, in descending order, or the reason why the image could not be read."""

    image: str
    guesses: tuple[Guess, ...] = ()
    error: str | None = None


@dataclass(frozen=True, repr=False)
class Predictions(Result):
    """The predictions of a model for several images."""

    artifact: str
    images: tuple[Prediction, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per label, and one without a label for each unreadable image."""
        return [
            {"image": prediction.image, "error": prediction.error, "label": None, "probability": None} | guess
            for prediction in self.images
            for guess in (list(map(asdict, prediction.guesses)) or [{}])
        ]

    def table(self) -> Table:
        """Return a table with a block of rows for each image."""
        rows: list[list[str] | None] = []
        for prediction in self.images:
            rows += [None] if rows else []
            rows += [[prediction.image, "unreadable", ""]] if prediction.error else []
            for rank, guess in enumerate(prediction.guesses):
                rows.append([prediction.image if rank == 0 else "", guess.label, f"{guess.probability:.1%}"])
        return Table([Column("image", is_name=True), Column("label"), Column("probability", "right")], rows)

    @property
    def readable(self) -> Predictions:
        """The predictions without the images that could not be read."""
        return replace(self, images=tuple(each for each in self.images if not each.error))

    def failures(self) -> list[str]:
        """Return a line for each unreadable image."""
        return [prediction.error for prediction in self.images if prediction.error]


@dataclass(frozen=True)
class Predict(PixelOptions, WorkspaceOptions):
    """Show the five most likely labels of images, with their probabilities.

    Each image is cropped around its center to the model's aspect ratio, and resized. If an image cannot be read, the
    others are still classified, and the exit code is 1.

    Example: `edgesqz predict squeezenet.int8.tflite cat.jpg`
    """

    model: Annotated[
        str | Path,
        Option(
            "A model file, or the name of a model file in the workspace or the zoo.", metavar="MODEL", positional=True
        ),
    ]
    images: Annotated[
        str | Path | Sequence[str | Path],
        Option(
            "Image files of any format and size, or folders to search for images, including their subfolders.",
            metavar="IMAGE",
            positional=True,
        ),
    ]

    def run(self, console: Console) -> Predictions:
        """Classify the images one at a time, so that any number of them fits into memory.

        Raises:
            EdgesqzError: The model file does not exist, or a folder contains no images.
        """
        from edgesqz import data
        from edgesqz.artifact import Artifact
        from edgesqz.engine import load
        from edgesqz.lookup import find_model_file
        from edgesqz.workspace import settle

        workspace = Path(self.workspace)
        files = data.image_files([Path(image) for image in as_list(self.images)])
        settle(workspace)
        path = find_model_file(self.model, workspace)
        artifact = Artifact.open(path)
        with load(path, pixel_range=self.pixels, workspace=workspace) as engine:
            if not engine.is_classifier:
                raise EdgesqzError(f"{path} is not a classifier, so it has no labels to predict; run edgesqz bench")
            predictions = tuple(_prediction(file, engine, artifact) for file in files)
        return Predictions(artifact.path.name, predictions)


predict = command(Predict)


def _prediction(file: Path, engine: Engine, artifact: Artifact) -> Prediction:
    import numpy as np

    from edgesqz import data
    from edgesqz.outputs import class_scores

    size, channels = engine.image_format
    try:
        image = data.read_image(file, size)
    except EdgesqzError as error:
        return Prediction(str(file), error=str(error))
    (scores,) = class_scores(engine.predict(data.with_channels(image[None], channels)))
    labels = artifact.class_names(len(scores))
    best = np.argsort(-scores)[:TOP]
    return Prediction(str(file), tuple(Guess(labels[k], float(scores[k])) for k in best))
