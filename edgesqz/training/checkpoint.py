"""Checkpoints of training runs, in .npz files without pickles: ``NAME.last.npz`` and ``NAME.best.npz``.

``best`` contains the weights of the epoch to keep. See ``Recipe.kept_epoch``.

Under a quota, a run decides before its first step how much its checkpoints contain. See ``Detail``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgesqz.errors import DAMAGE, EdgesqzError, option
from edgesqz.training.recipe import Recipe
from edgesqz.workspace import Workspace

_LAST, _BEST = ".last.npz", ".best.npz"


@dataclass
class Progress:
    """The state of a run, apart from its weights.

    Attributes:
        step: Number of steps taken.
        seconds: Time spent training and validating.
        epoch_loss: Sum of the losses of the current epoch's steps.
        epoch_correct: Number of training images of the current epoch that were classified correctly.
        epoch_seconds: Time spent on the current epoch's steps.
        best_accuracy: Accuracy of the epoch to keep so far on the validation split, 0..1, or None if there is none.
        history: One entry per finished epoch. See ``edgesqz.training.history``.
    """

    step: int = 0
    seconds: float = 0.0
    epoch_loss: float = 0.0
    epoch_correct: int = 0
    epoch_seconds: float = 0.0
    best_accuracy: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)


class Detail(enum.Enum):
    """How much the checkpoints of a run contain. Each value is a description for the user."""

    FULL = "checkpoints of the best and the last epoch; a resumed run gives the same result"
    WEIGHTS = "checkpoints without the optimizer state; a resumed run gives a similar result"
    NOTHING = "no checkpoints; an interrupted run is lost"


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to resume a run.

    Attributes:
        name: Name of the model that the run trains.
        weights: Weights of the network, in Keras's order.
        optimizer: Variables of the optimizer. Empty if the checkpoint was written without them.
    """

    name: str
    recipe: Recipe
    progress: Progress
    weights: Sequence[np.ndarray]
    optimizer: Sequence[np.ndarray]

    def files(self) -> dict[str, bytes]:
        """Return the content of the checkpoint's file, by its name, for ``Workspace.write``."""
        facts = {"recipe": dataclasses.asdict(self.recipe), "progress": dataclasses.asdict(self.progress)}
        arrays = _numbered("weight", self.weights) | _numbered("optimizer", self.optimizer)
        # As bytes, because NumPy stores text with four bytes per character.
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        return {_last(self.name): _npz(arrays)}

    def write(self, workspace: Workspace) -> None:
        """Write the checkpoint, replacing an earlier one of the same model."""
        workspace.write(self.files())

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Checkpoint:
        """Read the last checkpoint of a model.

        Raises:
            EdgesqzError: There is no checkpoint, or it is damaged.
        """
        path = workspace.folder / _last(name)
        if not path.is_file():
            raise EdgesqzError(f"no checkpoint {path} to resume from; remove {option('resume')} to start over")
        with damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            recipe, progress = Recipe(**facts["recipe"]), Progress(**facts["progress"])
            return cls(name, recipe, progress, _in_order("weight", arrays), _in_order("optimizer", arrays))


def exists(workspace: Workspace, name: str) -> bool:
    """Return whether an unfinished run of a model left a checkpoint."""
    return (workspace.folder / _last(name)).is_file()


def best_files(name: str, weights: Sequence[np.ndarray]) -> dict[str, bytes]:
    """Return the content of the file with the kept epoch's weights, by its name, for ``Workspace.write``."""
    return {_best(name): _npz(_numbered("weight", weights))}


def read_best(workspace: Workspace, name: str) -> list[np.ndarray]:
    """Read the weights of a model's kept epoch.

    Raises:
        EdgesqzError: The file is missing or damaged.
    """
    path = workspace.folder / _best(name)
    with damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return _in_order("weight", arrays)


def check(path: Path) -> None:
    """Read every byte of a checkpoint.

    Raises:
        EdgesqzError: The file is damaged.
    """
    with damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            arrays[name]


def names(name: str) -> tuple[str, str]:
    """Return the names of a model's checkpoint files. A finished model no longer needs them."""
    return _last(name), _best(name)


def peak_bytes(present: Mapping[str, int], writes: Sequence[Mapping[str, int]]) -> int:
    """Return the peak size of a set of files while some are rewritten, each next to the file that it replaces.

    Args:
        present: Sizes in bytes of the existing files, by name.
        writes: For each write in order, the sizes of the files that it writes.
    """
    now, peak = dict(present), sum(present.values())
    for written in writes:
        peak = max(peak, sum(now.values()) + sum(written.values()))
        now |= written
    return peak


@contextlib.contextmanager
def damage_named(path: Path | str) -> Iterator[None]:
    """Turn the exceptions that damaged or foreign content raises into an ``EdgesqzError`` that names the checkpoint."""
    try:
        yield
    except (*DAMAGE, RuntimeError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgesqzError(f"the checkpoint {path} is damaged; remove it and train again ({error})") from error


def model_of(file_name: str) -> str | None:
    """Return the name of the model that a checkpoint file belongs to, or None for other files."""
    for suffix in (_LAST, _BEST):
        if file_name.endswith(suffix):
            return file_name.removesuffix(suffix)
    return None


def _last(name: str) -> str:
    return name + _LAST


def _best(name: str) -> str:
    return name + _BEST


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _numbered(prefix: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}{number}": array for number, array in enumerate(arrays)}


def _in_order(prefix: str, arrays: Any) -> list[np.ndarray]:
    """Return the arrays that ``_numbered`` named, from an open .npz file."""
    count = sum(name.startswith(prefix) for name in arrays.files)
    return [arrays[f"{prefix}{number}"] for number in range(count)]
