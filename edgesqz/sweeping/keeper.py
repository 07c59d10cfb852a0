"""The only writer of a sweep. It records every trial and decides which files are worth their size.

Trials run in other processes, on any node, and return their files as bytes. The record, ``NAME.sweep.json``, and the
files are written to one workspace under its quota. Checkpoints of running trials stay in memory, where they survive the
loss of a worker or a node and use no disk space.
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
from edgesqz.errors import EdgesqzError, NoRoomError, first_line, option
from edgesqz.sweeping.trials import State, Trial, TrialFile, dominating, least_valuable, model_name
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import format_size, parse_quota

RECORD_SUFFIX = ".sweep.json"
SCHEMA = 3
BYTES_PER_TRIAL = 1000  # upper limit for one trial's part of the record

Pair = tuple[TrialFile, Trial]


@dataclass(frozen=True)
class Exported:
    """A model file exported by a finished trial.

    Attributes:
        name: File name.
        content: Bytes of the model file.
        manifest: Bytes of its manifest.
        accuracy: Top-1 accuracy on the validation split, 0..1.
    """

    name: str
    content: bytes
    manifest: bytes
    accuracy: float

    @property
    def size_bytes(self) -> int:
        """Total size of the model file and its manifest."""
        return len(self.content) + len(self.manifest)


@dataclass(frozen=True)
class Record:
    """The record of a sweep in the workspace.

    Attributes:
        options: Options that the sweep was started with, including its space.
        trials: All trials so far, ordered by number.
    """

    options: dict[str, Any]
    trials: tuple[Trial, ...] = ()

    @property
    def waiting(self) -> list[Trial]:
        """The trials that have not ended."""
        return [trial for trial in self.trials if not trial.is_over]

    def to_json(self) -> str:
        """Return the record as JSON text."""
        content = TypeAdapter(Record).dump_json(self).decode()
        return f'{{"schema":{SCHEMA},{content[1:]}\n'

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            EdgesqzError: The record does not exist or is damaged.
        """
        try:
            content = json.loads(path.read_bytes())
            if content.pop("schema") != SCHEMA:
                raise ValueError(f"expected schema {SCHEMA}")
            return TypeAdapter(cls).validate_python(content)
        except OSError as error:
            raise EdgesqzError(
                f"no sweep to resume at {path}: {error.strerror}; remove {option('resume')} to start one"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EdgesqzError(
                f"the record of the sweep {path} is damaged or from another version of edgesqz: {first_line(error)}"
            ) from error


@dataclass(frozen=True)
class Snapshot:
    """The state of a sweep at one moment.

    Attributes:
        trials: All trials so far.
        used_bytes: Total size of all files in the workspace.
        quota_bytes: Quota of the workspace, or None if it has none.
    """

    trials: tuple[Trial, ...]
    used_bytes: int
    quota_bytes: int | None


def record_path(folder: Path, name: str) -> Path:
    """Return the path of a sweep's record in a workspace."""
    return folder / (name + RECORD_SUFFIX)


class Keeper:
    """Records the trials of one sweep and keeps their files.

    Args:
        folder: The workspace.
        quota: Quota of the workspace, in any form that ``Workspace`` accepts.
        name: Name of the sweep.
        record: The sweep so far, including the planned trials. A trial that was running when its driver died is
            scheduled to run again.
    """

    def __init__(self, folder: Path, quota: str | int | None, name: str, record: Record) -> None:
        self.workspace, self.name, self.options = Workspace(folder, quota), name, record.options
        self.trials = {trial.number: self._updated(trial) for trial in record.trials}
        self._max_bytes = parse_quota(record.options.get("max_size"))
        self._checkpoints: dict[int, dict[str, bytes]] = {}
        self._claims: dict[int, contextlib.ExitStack] = {}
        self._save()

    def is_over(self, number: int) -> bool:
        """Return whether a trial has ended. Ray may still restart it, if its worker dies after returning the files."""
        return number in self.trials and self.trials[number].is_over

    def snapshot(self) -> Snapshot:
        """Return the current state of the sweep."""
        return Snapshot(tuple(self.trials.values()), self.workspace.used_bytes(), self.workspace.quota_bytes)

    def start(self, trial: Trial, expected_bytes: int) -> dict[str, bytes]:
        """Reserve space for the files of a trial that starts or restarts, or as much of it as is free.

        Files of other trials are not removed yet. When this trial has finished, its files compete with theirs.

        Args:
            trial: The planned trial.
            expected_bytes: Expected total size of its files.

        Returns:
            The files of the checkpoint to continue from. Empty if the trial has no checkpoint yet.
        """
        number = trial.number
        self._release(number)
        if number not in self.trials:
            self.trials[number] = trial
            self._save()
        self.trials[number] = replace(self.trials[number], state="running", reason="")
        room = self.workspace.room_for(())
        if room is not None and room > BYTES_PER_TRIAL:
            claim = contextlib.ExitStack()
            files = model_name(self.name, number)
            size_bytes = min(expected_bytes, room - BYTES_PER_TRIAL)
            claim.enter_context(self.workspace.claim([files], size_bytes, f"the files of {files}"))
            self._claims[number] = claim
        return self._checkpoints.get(number, {})

    def progress(self, number: int, epochs: int, accuracy: float | None, checkpoint: Mapping[str, bytes]) -> None:
        """Record the progress of a trial, and keep its latest checkpoint."""
        self._checkpoints[number] = dict(checkpoint)
        self.trials[number] = replace(self.trials[number], epochs=epochs, accuracy=accuracy)

    def finish(self, number: int, files: Sequence[Exported], minutes: float) -> None:
        """Keep those files of a finished trial that are worth their size."""
        self._end(number, replace(self.trials[number], state="finished", minutes=minutes))
        for file in files:
            self._consider(number, file)
        self._save()

    def end(self, number: int, state: State, reason: str) -> None:
        """Record that a running trial failed, stopped early or will be resumed later, and why.

        A trial can also fail before it starts.
        """
        trial = self.trials.get(number)
        if trial and (trial.state == "running" or (state == "failed" and not trial.is_over)):
            self._end(number, replace(trial, state=state, reason=reason))
            self._save()

    def close(self) -> tuple[Trial, ...]:
        """Mark running trials as waiting, so that a resumed sweep runs them again, and return all trials."""
        for number in list(self.trials):
            self.end(number, "waiting", "interrupted")
        return tuple(self.trials.values())

    def _updated(self, trial: Trial) -> Trial:
        """Update a recorded trial: running ones wait again, and files may have been removed."""
        files = tuple(
            file
            if not file.kept or (self.workspace.folder / file.name).is_file()
            else replace(file, kept=False, reason="no longer in the workspace")
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
        """Write a file if it is within the limit and more valuable than the files that it would displace."""
        if self._max_bytes is not None and len(file.content) > self._max_bytes:  # its size was only predicted
            reason = f"larger than {format_size(self._max_bytes)}"
            self._set_file(number, TrialFile(file.name, file.size_bytes, file.accuracy, kept=False, reason=reason))
            return
        self._set_file(number, TrialFile(file.name, file.size_bytes, file.accuracy, kept=True, reason=""))
        while not self._has_room(file.size_bytes):
            victim = least_valuable(self._kept())
            self._discard(*victim)
            if victim[0].name == file.name:
                return
        try:
            self.workspace.write({file.name: file.content, file.name + MANIFEST_SUFFIX: file.manifest})
        except NoRoomError:  # another process used the space in the meantime
            self._discard(*next(each for each in self._kept() if each[0].name == file.name))

    def _has_room(self, size_bytes: int) -> bool:
        room = self.workspace.room_for(())
        return room is None or room >= size_bytes

    def _make_room(self, size_bytes: int) -> None:
        """Discard files, least valuable first, until there is enough space or no file is left."""
        while not self._has_room(size_bytes) and self._kept():
            self._discard(*least_valuable(self._kept()))

    def _kept(self) -> list[Pair]:
        return [(file, trial) for trial in self.trials.values() for file in trial.files if file.kept]

    def _discard(self, file: TrialFile, trial: Trial) -> None:
        better = dominating((file, trial), self._kept())
        reason = "over the quota"
        if better:
            reason += f"; {better.name} is at least as good in accuracy, size and MACs"
        self.workspace.remove(file.name, file.name + MANIFEST_SUFFIX)
        self._set_file(trial.number, replace(file, kept=False, reason=reason))

    def _set_file(self, number: int, file: TrialFile) -> None:
        trial = self.trials[number]
        others = tuple(each for each in trial.files if each.name != file.name)
        self.trials[number] = replace(trial, files=(*others, file))
