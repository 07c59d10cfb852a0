"""The trials of a sweep, their costs and their files, and which files are worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edgesqz.sweeping.space import Candidate, Value

ACCURACY = "validation_accuracy"  # the metric of a trial, for Ray Tune

State: TypeAlias = Literal["waiting", "running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Costs:
    """The costs of a network, computed from its graph before training.

    Attributes:
        parameters: Number of parameters.
        macs: Multiply-accumulates per image.
        file_bytes: Estimated size of each exported file.
        peak_activation_bytes: Peak memory of the int8 graph's tensors.
    """

    parameters: int
    macs: int
    file_bytes: tuple[int, ...]
    peak_activation_bytes: int

    @property
    def smallest_file_bytes(self) -> int:
        """Estimated size of the smallest exported file."""
        return min(self.file_bytes)


@dataclass(frozen=True)
class TrialFile:
    """A model file exported by a trial.

    Attributes:
        name: File name in the workspace.
        size_bytes: Total size of the model file and its manifest.
        accuracy: Top-1 accuracy of this file on the validation split, 0..1.
        kept: Whether the file is in the workspace.
        reason: Why the file was not kept. Empty for a kept file.
    """

    name: str
    size_bytes: int
    accuracy: float
    kept: bool
    reason: str


@dataclass(frozen=True)
class Trial:
    """One trial of a sweep: a network, its recipe, and the results.

    Attributes:
        number: Number in the sweep, from 1.
        model: Name of the network, for ``edgesqz train --model``.
        values: The knobs of the space and their values.
        costs: Costs of the network.
        state: ``waiting``, ``running``, ``finished``, ``stopped`` before its last epoch, or ``failed``.
        epochs: Number of completed epochs.
        accuracy: Validation accuracy of the network before export, 0..1, or None before the first epoch.
        minutes: Training time, in minutes.
        reason: Why the trial stopped or failed.
        files: Exported files.
    """

    number: int
    model: str
    values: dict[str, Value]
    costs: Costs
    state: State = "waiting"
    epochs: int = 0
    accuracy: float | None = None
    minutes: float = 0.0
    reason: str = ""
    files: tuple[TrialFile, ...] = ()

    @classmethod
    def of(cls, number: int, candidate: Candidate, costs: Costs) -> Trial:
        """Create a trial for a candidate."""
        return cls(number, candidate.model, dict(candidate.values), costs)

    @property
    def candidate(self) -> Candidate:
        """The candidate of this trial."""
        return Candidate(self.model, tuple(self.values.items()))

    @property
    def is_over(self) -> bool:
        """Whether the trial has ended."""
        return self.state in ("finished", "stopped", "failed")


def model_name(sweep: str, number: int) -> str:
    """Return the name of a trial's model, which is the prefix of its file names."""
    return f"{sweep}-{number:04}"


def front(files: Sequence[tuple[TrialFile, Trial]]) -> list[tuple[TrialFile, Trial]]:
    """Return the files on the Pareto front of accuracy, size and MACs: those that no other file dominates.

    MACs stand in for latency, which cannot be measured while trials are training on the same cores.
    """
    return [each for each in files if not any(_dominates(other, each) for other in files)]


def dominating(file: tuple[TrialFile, Trial], files: Sequence[tuple[TrialFile, Trial]]) -> TrialFile | None:
    """Return the most accurate file that dominates the given one, or None if no file does."""
    better = [other for other in files if _dominates(other, file)]
    return max(better, key=lambda each: each[0].accuracy)[0] if better else None


def _dominates(one: tuple[TrialFile, Trial], other: tuple[TrialFile, Trial]) -> bool:
    ours, theirs = _merits(one), _merits(other)
    return all(a >= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _merits(each: tuple[TrialFile, Trial]) -> tuple[float, int, int]:
    file, trial = each
    return file.accuracy, -file.size_bytes, -trial.costs.macs


def least_valuable(files: Sequence[tuple[TrialFile, Trial]]) -> tuple[TrialFile, Trial]:
    """Return the file to discard first.

    Dominated files are discarded first, starting with the least accurate. They are followed by the file on the front
    that adds the least accuracy per byte over the best smaller one. The most accurate file is discarded last.
    """
    best = front(files)
    dominated = [each for each in files if each not in best]
    if dominated:
        return min(dominated, key=lambda each: each[0].accuracy)

    def gain(each: tuple[TrialFile, Trial]) -> float:
        smaller = [file.accuracy for file, _ in best if file.size_bytes < each[0].size_bytes]
        return (each[0].accuracy - max(smaller, default=0.0)) / each[0].size_bytes

    most_accurate = max(best, key=lambda each: each[0].accuracy)
    return min([each for each in best if each is not most_accurate] or best, key=gain)
