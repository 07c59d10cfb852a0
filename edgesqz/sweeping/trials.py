"""What is known of each trial of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edgesqz.sweeping.space import Candidate, Value

State: TypeAlias = Literal["waiting", "running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Costs:
    """What a network costs, known from its graph before training.

    Attributes:
        parameters: Number of parameters.
        macs: Multiply-accumulates for one image.
        tflite_int8_bytes: Size of the int8 .tflite file, within a few percent.
        peak_activation_bytes: Most memory that the tensors of the int8 graph need at one time.
    """

    parameters: int
    macs: int
    tflite_int8_bytes: int
    peak_activation_bytes: int


@dataclass(frozen=True)
class TrialFile:
    """A file that a trial was exported to.

    Attributes:
        name: Its file name in the workspace.
        size_bytes: Size of the model file and its manifest.
        accuracy: Top-1 accuracy of this file on the validation split, 0..1.
        kept: Whether it is in the workspace.
        reason: Why it is kept, or why it is not.
    """

    name: str
    size_bytes: int
    accuracy: float
    kept: bool
    reason: str


@dataclass(frozen=True)
class Trial:
    """A trial: a network, its recipe, and what came of it.

    Attributes:
        number: Its number in the sweep, from 1.
        model: The network's name, which `edgesqz train --model` takes.
        values: The knobs of the space and their values.
        costs: What the network costs.
        state: ``waiting``, ``running``, ``finished``, ``stopped`` before its last epoch, or ``failed``.
        epochs: Epochs that it has trained.
        accuracy: Validation accuracy of the network before export, 0..1; None before the first epoch.
        minutes: How long it has trained.
        reason: Why it stopped or failed.
        files: What it was exported to.
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
        """Make a trial of a candidate."""
        return cls(number, candidate.model, dict(candidate.values), costs)

    @property
    def candidate(self) -> Candidate:
        """The candidate that is tried."""
        return Candidate(self.model, tuple(self.values.items()))

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("finished", "stopped", "failed")


def front(files: Sequence[tuple[TrialFile, Trial]]) -> list[tuple[TrialFile, Trial]]:
    """Pick the files of which no other is at least as good in all of accuracy, bytes and MACs, and better in one.

    MACs stand in for latency, which nobody can measure while trials are training on the same cores.
    """
    return [each for each in files if not any(_dominates(other, each) for other in files)]


def dominating(file: tuple[TrialFile, Trial], files: Sequence[tuple[TrialFile, Trial]]) -> TrialFile | None:
    """Find the most accurate file that makes another one superfluous."""
    better = [other for other in files if _dominates(other, file)]
    return max(better, key=lambda each: each[0].accuracy)[0] if better else None


def _dominates(one: tuple[TrialFile, Trial], other: tuple[TrialFile, Trial]) -> bool:
    ours, theirs = _merits(one), _merits(other)
    return all(a >= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _merits(each: tuple[TrialFile, Trial]) -> tuple[float, int, int]:
    file, trial = each
    return file.accuracy, -file.size_bytes, -trial.costs.macs


def least_valuable(files: Sequence[tuple[TrialFile, Trial]]) -> tuple[TrialFile, Trial]:
    """Pick the file to give up first.

    Files off the front go first, the least accurate of them first; then the file of the front that adds the least
    accuracy per byte over the best smaller one. The most accurate file goes last.
    """
    best = front(files)
    behind = [each for each in files if each not in best]
    if behind:
        return min(behind, key=lambda each: each[0].accuracy)

    def gain(each: tuple[TrialFile, Trial]) -> float:
        smaller = [file.accuracy for file, _ in best if file.size_bytes < each[0].size_bytes]
        return (each[0].accuracy - max(smaller, default=0.0)) / each[0].size_bytes

    most_accurate = max(best, key=lambda each: each[0].accuracy)
    return min([each for each in best if each is not most_accurate] or best, key=gain)
