"""The best labels of image files, by any artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgesqz import data, defaults
from edgesqz.artifact import Artifact
from edgesqz.engine import Engine, load
from edgesqz.errors import EdgesqzError
from edgesqz.lookup import find_model_file
from edgesqz.tables import Column, Table
from edgesqz.workspace import settle

BEST = 5


@dataclass(frozen=True)
class Guess:
    """A label with its probability, 0..1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one image: its best guesses, the best first; or why the file could not be read."""

    image: str
    guesses: tuple[Guess, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for several images."""

    artifact: str
    images: tuple[Prediction, ...]

    def to_json(self) -> str:
        """The predictions as JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def table(self) -> Table:
        """The predictions as a table, a block an image."""
        rows: list[list[str] | None] = []
        for prediction in self.images:
            rows += [None] if rows else []
            rows += [[prediction.image, "unreadable", ""]] if prediction.error else []
            for rank, guess in enumerate(prediction.guesses):
                rows.append([prediction.image if rank == 0 else "", guess.label, f"{guess.probability:.1%}"])
        return Table([Column("image", is_name=True), Column("label"), Column("probability", "right")], rows)

    def failures(self) -> list[str]:
        """A line for each image that could not be read."""
        return [prediction.error for prediction in self.images if prediction.error]


def predict_files(
    artifact: str | Path,
    images: Sequence[Path],
    *,
    pixel_range: str | None = None,
    workspace: Path = defaults.WORKSPACE,
) -> Predictions:
    """Classify image files of any kind and size; the largest centered crop of the model's aspect ratio is resized.

    Args:
        artifact: a model file, or the name of one in the workspace or the zoo.
        images: image files, and folders of which every image is meant, in sub-folders too, in the order of their names.
        pixel_range: what pixels 0..255 become for a file without a manifest, as ``LOW..HIGH``.
        workspace: where names are looked up.

    Returns:
        An entry an image; one that cannot be read has an error in place of guesses.

    Raises:
        EdgesqzError: no such model file, or a folder without an image.
    """
    files = data.image_files(images)
    settle(workspace)
    path = find_model_file(artifact, workspace)
    model = Artifact.open(path)
    with load(path, pixel_range=pixel_range, workspace=workspace) as engine:
        predictions = tuple(_predicted(file, engine, model) for file in files)
    return Predictions(model.path.name, predictions)


def _predicted(file: Path, engine: Engine, model: Artifact) -> Prediction:
    """An image at a time, so that any number of them fits into the memory."""
    size, channels = engine.form
    try:
        image = data.read_image(file, size)
    except EdgesqzError as error:
        return Prediction(str(file), error=str(error))
    (answer,) = engine.predict(data.with_channels(image[None], channels))
    labels = model.class_names(len(answer))
    return Prediction(str(file), tuple(Guess(labels[k], float(answer[k])) for k in np.argsort(-answer)[:BEST]))
