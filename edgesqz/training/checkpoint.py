"""Training runs at rest, in .npz files without pickles: ``NAME.last.npz`` and ``NAME.best.npz``.

Under a quota, how much of a run is kept is decided before it begins; see ``Keeping``.
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

from edgesqz.errors import DAMAGE, EdgesqzError
from edgesqz.training.recipe import Recipe
from edgesqz.workspace import Workspace

_LAST, _BEST = ".last.npz", ".best.npz"


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    seconds: float = 0.0
    epoch_loss: float = 0.0  # summed over the steps of the current epoch
    epoch_correct: int = 0  # images of the current epoch that were classified right as they passed
    best_accuracy: float | None = None  # on the validation split
    history: list[dict[str, float]] = field(default_factory=list)  # an entry an epoch


class Keeping(enum.Enum):
    """How much of a run its checkpoints keep; the value is how a person is told."""

    EXACTLY = "the best and the last epoch with the optimizer's state: --resume goes on to the same result"
    WEIGHTS = "the best and the last epoch without the optimizer's state: --resume goes on, to a similar result"
    NOTHING = "no checkpoints: what is interrupted is lost"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that going on exactly needs; without the optimizer's state, what going on needs."""

    name: str  # of the model that the run makes
    recipe: Recipe
    progress: Progress
    weights: Sequence[np.ndarray]
    optimizer: Sequence[np.ndarray]

    def files(self) -> dict[str, bytes]:
        """The model's last checkpoint, as ``Workspace.write`` takes it."""
        facts = {"recipe": dataclasses.asdict(self.recipe), "progress": dataclasses.asdict(self.progress)}
        arrays = _numbered("weight", self.weights) | _numbered("optimizer", self.optimizer)
        # As bytes, for NumPy stores text with four bytes a letter.
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        return {_last(self.name): _npz(arrays)}

    def write(self, workspace: Workspace) -> None:
        """Replace the model's last checkpoint."""
        workspace.write(self.files())

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Checkpoint:
        """Read the model's last checkpoint.

        Raises:
            EdgesqzError: there is none, or it is damaged.
        """
        path = workspace.folder / _last(name)
        if not path.is_file():
            raise EdgesqzError(f"no checkpoint {path} to resume from; leave --resume out to start anew")
        with damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            recipe, progress = Recipe(**facts["recipe"]), Progress(**facts["progress"])
            return cls(name, recipe, progress, _in_order("weight", arrays), _in_order("optimizer", arrays))


def is_at_rest(workspace: Workspace, name: str) -> bool:
    """Whether an unfinished run of the model left a checkpoint."""
    return (workspace.folder / _last(name)).is_file()


def best_files(name: str, weights: Sequence[np.ndarray]) -> dict[str, bytes]:
    """The weights of the model's best epoch, as ``Workspace.write`` takes them."""
    return {_best(name): _npz(_numbered("weight", weights))}


def read_best(workspace: Workspace, name: str) -> list[np.ndarray]:
    """The weights of the model's best epoch; EdgesqzError if the file is missing or damaged."""
    path = workspace.folder / _best(name)
    with damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return _in_order("weight", arrays)


def check(path: Path) -> None:
    """Read a checkpoint's every byte; EdgesqzError if it is damaged."""
    with damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            arrays[name]


def names(name: str) -> tuple[str, str]:
    """The files that a finished model no longer needs."""
    return _last(name), _best(name)


def peak_bytes(present: Mapping[str, int], writes: Sequence[Mapping[str, int]]) -> int:
    """The most bytes that files have together while some are written, in an order, each beside what it replaces.

    Args:
        present: the sizes of those that are there, by name, in bytes.
        writes: the sizes of those that are written at one time, for each time.
    """
    now, peak = dict(present), sum(present.values())
    for written in writes:
        peak = max(peak, sum(now.values()) + sum(written.values()))
        now |= written
    return peak


@contextlib.contextmanager
def damage_named(path: Path | str) -> Iterator[None]:
    """Turn what damaged or foreign content raises into one line."""
    try:
        yield
    except (*DAMAGE, RuntimeError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgesqzError(f"the checkpoint {path} is damaged; remove it and train anew ({error})") from error


def model_of(file_name: str) -> str | None:
    """The name of the model that a file is a checkpoint of; None if it is none."""
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
    """What ``_numbered`` named, of an open .npz file."""
    count = sum(name.startswith(prefix) for name in arrays.files)
    return [arrays[f"{prefix}{number}"] for number in range(count)]
