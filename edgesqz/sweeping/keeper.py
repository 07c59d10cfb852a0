"""The one writer of a sweep: it records every trial, and decides which files are worth their bytes.

Trials run in other processes, on any node; they hand over bytes. The record, ``NAME.sweep.json``, and the files lie in
one workspace under its quota. Checkpoints of running trials are kept in memory: they outlive a worker or a node, and
take no room on the disk.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgesqz.artifact import MANIFEST_SUFFIX
from edgesqz.errors import EdgesqzError, NoRoomError, option
from edgesqz.sweeping.trials import State, Trial, TrialFile, dominating, least_valuable
from edgesqz.workspace import Workspace

RECORD_SUFFIX = ".sweep.json"
SCHEMA = 1
BYTES_PER_TRIAL = 1500  # of the record, at most

Pair = tuple[TrialFile, Trial]


@dataclass(frozen=True)
class Exported:
    """A file of a finished trial, as its bytes.

    Attributes:
        name: The file's name.
        content: The bytes of the model file.
        manifest: The bytes of its manifest.
        accuracy: Its top-1 accuracy on the validation split, 0..1.
    """

    name: str
    content: bytes
    manifest: bytes
    accuracy: float

    @property
    def size_bytes(self) -> int:
        """The size of the file and its manifest."""
        return len(self.content) + len(self.manifest)


@dataclass(frozen=True)
class Record:
    """A sweep as the workspace keeps it.

    Attributes:
        options: What the sweep was started with, its space included.
        trials: Every trial so far, by number.
    """

    options: dict[str, Any]
    trials: tuple[Trial, ...] = ()

    def to_json(self) -> str:
        """Return the record as JSON text."""
        content = TypeAdapter(Record).dump_json(self).decode()
        return f'{{"schema":{SCHEMA},{content[1:]}\n'

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            EdgesqzError: There is none, or it is damaged.
        """
        try:
            content = json.loads(path.read_bytes())
            if content.pop("schema") != SCHEMA:
                raise ValueError("it was written by another version of edgesqz")
            return TypeAdapter(cls).validate_python(content)
        except OSError as error:
            raise EdgesqzError(
                f"no sweep to resume at {path}: {error.strerror}; leave out {option('resume')} to begin one"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EdgesqzError(f"the record of the sweep {path} is damaged: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True)
class Snapshot:
    """A sweep at one moment.

    Attributes:
        trials: All trials so far.
        used_bytes: Bytes of all files in the workspace.
        quota_bytes: The workspace's quota; None without one.
    """

    trials: tuple[Trial, ...]
    used_bytes: int
    quota_bytes: int | None


def record_path(folder: Path, name: str) -> Path:
    """Return where a workspace keeps the record of a sweep."""
    return folder / (name + RECORD_SUFFIX)


class Keeper:
    """Records the trials of one sweep and keeps their files.

    Args:
        folder: The workspace.
        quota: Its quota, as `Workspace` takes it.
        name: The name of the sweep.
        record: The sweep so far, with the trials that are planned. A trial that was running when its driver died waits
            to be run again.
    """

    def __init__(self, folder: Path, quota: str | int | None, name: str, record: Record) -> None:
        self.workspace, self.name, self.options = Workspace(folder, quota), name, record.options
        self.trials = {trial.number: self._as_found(trial) for trial in record.trials}
        self._checkpoints: dict[int, dict[str, bytes]] = {}
        self._claims: dict[int, contextlib.ExitStack] = {}
        self._save()

    def is_over(self, number: int) -> bool:
        """Whether nothing more will come of a trial: a worker may die after it handed over the files."""
        return number in self.trials and self.trials[number].is_over

    def snapshot(self) -> Snapshot:
        """Return the sweep as it stands."""
        return Snapshot(tuple(self.trials.values()), self.workspace.used_bytes(), self.workspace.quota_bytes)

    def start(self, trial: Trial, expected_bytes: int) -> dict[str, bytes]:
        """Set room aside for the files of a trial that begins, or begins again.

        Args:
            trial: The trial as it was planned.
            expected_bytes: What its files are expected to take together.

        Returns:
            The files of the checkpoint to go on from; none for a trial that begins.

        Raises:
            EdgesqzError: There is no room, even without all other files of the sweep.
        """
        number = trial.number
        self._release(number)
        if number not in self.trials:
            self.trials[number] = trial
            self._save()
        self.trials[number] = replace(self.trials[number], state="running")
        self._make_room(expected_bytes + BYTES_PER_TRIAL)
        claim = contextlib.ExitStack()
        files = f"{self.name}-{number:04}"
        claim.enter_context(self.workspace.claim([files], expected_bytes, f"the files of {files}"))
        self._claims[number] = claim
        return self._checkpoints.get(number, {})

    def progress(self, number: int, epochs: int, accuracy: float | None, checkpoint: Mapping[str, bytes]) -> None:
        """Remember how far a trial has come."""
        self._checkpoints[number] = dict(checkpoint)
        self.trials[number] = replace(self.trials[number], epochs=epochs, accuracy=accuracy)

    def finish(self, number: int, files: Sequence[Exported], minutes: float) -> None:
        """Keep those files of a finished trial that are worth their bytes."""
        self._end(number, replace(self.trials[number], state="finished", minutes=minutes))
        for file in files:
            self._consider(number, file)
        self._save()

    def end(self, number: int, state: State, reason: str) -> None:
        """Record that a running trial failed, stopped early, or waits to be resumed, and why."""
        if number in self.trials and self.trials[number].state == "running":
            self._end(number, replace(self.trials[number], state=state, reason=reason))
            self._save()

    def close(self) -> tuple[Trial, ...]:
        """Let trials that are still running wait for another time, and return all trials."""
        for number in list(self.trials):
            self.end(number, "waiting", "interrupted")
        return tuple(self.trials.values())

    def _as_found(self, trial: Trial) -> Trial:
        """Correct what changed since the record was written."""
        files = tuple(
            file
            if not file.kept or (self.workspace.folder / file.name).is_file()
            else replace(file, kept=False, reason="removed since")
            for file in trial.files
        )
        return replace(trial, state="waiting" if trial.state == "running" else trial.state, files=files)

    def _end(self, number: int, trial: Trial) -> None:
        self.trials[number] = trial
        self._checkpoints.pop(number, None)
        self._release(number)

    def _release(self, number: int) -> None:
        if claim := self._claims.pop(number, None):
            claim.close()

    def _save(self) -> None:
        content = Record(self.options, tuple(self.trials.values())).to_json().encode()
        self._make_room(len(content))
        self.workspace.write({record_path(Path(), self.name).name: content})

    def _consider(self, number: int, file: Exported) -> None:
        """Write a file if it is worth more than those that would have to go for it."""
        self._set_file(number, TrialFile(file.name, file.size_bytes, file.accuracy, kept=True, reason=""))
        while not self._has_room(file.size_bytes):
            going = least_valuable(self._kept())
            self._give_up(*going)
            if going[0].name == file.name:
                return
        try:
            self.workspace.write({file.name: file.content, file.name + MANIFEST_SUFFIX: file.manifest})
        except NoRoomError:  # somebody else took the room just now
            self._give_up(*next(each for each in self._kept() if each[0].name == file.name))

    def _has_room(self, size_bytes: int) -> bool:
        room = self.workspace.room_for(())
        return room is None or room >= size_bytes

    def _make_room(self, size_bytes: int) -> None:
        """Give up files, the least valuable first, until there is room for other bytes or none is left."""
        while not self._has_room(size_bytes) and self._kept():
            self._give_up(*least_valuable(self._kept()))

    def _kept(self) -> list[Pair]:
        return [(file, trial) for trial in self.trials.values() for file in trial.files if file.kept]

    def _give_up(self, file: TrialFile, trial: Trial) -> None:
        better = dominating((file, trial), self._kept())
        reason = "no room in the quota"
        if better:
            reason += f"; {better.name} is at least as good in accuracy, bytes and MACs"
        self.workspace.remove(file.name, file.name + MANIFEST_SUFFIX)
        self._set_file(trial.number, replace(file, kept=False, reason=reason))

    def _set_file(self, number: int, file: TrialFile) -> None:
        trial = self.trials[number]
        others = tuple(each for each in trial.files if each.name != file.name)
        self.trials[number] = replace(trial, files=(*others, file))
