"""Contact sheets of the images that an export predicts differently from its source model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.benchmarking.candidate import Candidate, source_model_of
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE = 96  # width and height of an image on the sheet, in pixels
LINE = 13  # height of a line of text
CELL = (IMAGE + 24, IMAGE + 3 * LINE + 10)
COLUMNS = 8
MAX_IMAGES = 400  # on a sheet


@dataclass(frozen=True)
class Flip:
    """An image that two models predict differently.

    Attributes:
        image: uint8 (H, W, channels).
        label: Class of the image.
        before: Prediction of the source model.
        after: Prediction of the export.
    """

    image: np.ndarray
    label: str
    before: str
    after: str


def contact_sheet(title: str, flips: Sequence[Flip]) -> bytes:
    """Draw images with their class and both predictions: correct ones in green, wrong ones in red.

    Args:
        title: Start of the first line, which also contains the number of images and how many are shown.
        flips: The images. The first 400 are shown.

    Returns:
        The content of a PNG file.
    """
    from PIL import Image, ImageDraw

    shown = flips[:MAX_IMAGES]
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL[0], 2 * LINE + rows * CELL[1]), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((6, 6), f"{title}: {len(flips)} flipped, {len(shown)} shown; class, source model, export", fill="black")
    for place, flip in enumerate(shown):
        left, top = 12 + place % COLUMNS * CELL[0], 2 * LINE + place // COLUMNS * CELL[1]
        sheet.paste(_enlarged(flip.image), (left, top))
        for line, (text, color) in enumerate(_lines(flip)):
            draw.text((left, top + IMAGE + line * LINE), text, fill=color)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _enlarged(image: np.ndarray) -> Image:
    """Enlarge an image to the size of a cell, without smoothing and with the same aspect ratio."""
    from PIL import Image, ImageOps

    shown = Image.fromarray(image.squeeze()).convert("RGB")
    return ImageOps.pad(shown, (IMAGE, IMAGE), Image.Resampling.NEAREST, color="white")


def _lines(flip: Flip) -> list[tuple[str, str]]:
    predictions = [(each, "green" if each == flip.label else "firebrick") for each in (flip.before, flip.after)]
    return [(flip.label, "black"), *predictions]


def make_folder(folder: Path) -> None:
    """Create the folder for contact sheets.

    Raises:
        EdgesqzError: The folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgesqzError(f"cannot write to the folder {folder}: {error.strerror}") from error


def save(candidates: Sequence[Candidate], evaluation_set: EvaluationSet, folder: Path) -> None:
    """Draw a contact sheet for each export that predicts images differently from its source model."""
    for candidate in candidates:
        source_model = source_model_of(candidate, candidates)
        theirs, ours = source_model.predictions if source_model else None, candidate.predictions
        if theirs is None or ours is None:
            continue
        before, after = theirs.probabilities.argmax(axis=1), ours.probabilities.argmax(axis=1)
        split, labels = evaluation_set.split(ours.size), evaluation_set.labels
        flipped = [
            Flip(split.images[k], labels[split.labels[k]], labels[before[k]], labels[after[k]])
            for k in np.flatnonzero(before != after)
        ]
        if flipped:
            alone = sum(other.path == candidate.path for other in candidates) == 1
            name = candidate.name if alone else f"{candidate.name}.{candidate.choice}"
            sheet = folder / f"{name}.flips.png"  # the name may contain a folder
            make_folder(sheet.parent)
            write_file(sheet, contact_sheet(name, flipped))
            candidate.flips = sheet
