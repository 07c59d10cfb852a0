"""The best labels of picture files, by any artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgesqz import data, defaults
from edgesqz.artifact import Artifact, find_model_file
from edgesqz.engine import load
from edgesqz.tables import Column, Table

BEST = 5


@dataclass(frozen=True)
class Guess:
    """A label with its probability, 0..1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture: its best guesses, the best first."""

    picture: str
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class Predictions:
    """What a model says of several pictures."""

    artifact: str
    pictures: tuple[Prediction, ...]

    def to_json(self) -> str:
        """The predictions as JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def table(self) -> Table:
        """The predictions as a table, a block a picture."""
        rows: list[list[str] | None] = []
        for prediction in self.pictures:
            rows += [None] if rows else []
            for rank, guess in enumerate(prediction.guesses):
                rows.append([prediction.picture if rank == 0 else "", guess.label, f"{guess.probability:.1%}"])
        return Table([Column("image", is_name=True), Column("label"), Column("probability", "right")], rows)


def predict_files(
    artifact: str | Path,
    pictures: Sequence[Path],
    *,
    pixel_range: str | None = None,
    workspace: Path = defaults.WORKSPACE,
) -> Predictions:
    """Classify picture files of any kind and size; the largest centered crop of the model's aspect ratio is resized.

    Args:
        artifact: a model file, or the name of one in the workspace or the zoo.
        pictures: picture files.
        pixel_range: what pixels 0..255 become for a file without a manifest, as ``LOW..HIGH``.
        workspace: where names are looked up.

    Raises:
        EdgesqzError: no such model file, or a picture that cannot be read.
    """
    path = find_model_file(artifact, workspace)
    model = Artifact.open(path)
    with load(path, pixel_range=pixel_range) as engine:
        size, channels = engine.form
        batch = np.stack([data.read_picture(path, size) for path in pictures])
        answers = engine.predict(data.with_channels(batch, channels))
    labels = model.class_names(answers.shape[1])
    return Predictions(
        model.path.name,
        tuple(
            Prediction(str(path), tuple(Guess(labels[k], float(answer[k])) for k in np.argsort(-answer)[:BEST]))
            for path, answer in zip(pictures, answers, strict=True)
        ),
    )
