"""Run one trial on any node: train, export, measure validation accuracy, and return the files as bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgesqz.artifact import Artifact
from edgesqz.errors import EdgesqzError
from edgesqz.sweeping.keeper import Exported
from edgesqz.sweeping.trials import Trial, model_name
from edgesqz.training.recipe import MODELS
from edgesqz.workspace import manifest_path

if TYPE_CHECKING:
    from edgesqz.data import Split
    from edgesqz.training.checkpoint import Progress
    from edgesqz.training.result import TrainResult


class Reports(Protocol):
    """Receives the results of a trial."""

    def progress(self, epochs: int, accuracy: float | None, checkpoint: Mapping[str, bytes]) -> None:
        """Receive the result of an epoch. May raise ``SystemExit`` to stop the trial."""

    def finish(self, files: Sequence[Exported], minutes: float) -> None:
        """Receive the files of a trial that has completed all its epochs."""


@dataclass(frozen=True)
class Setting:
    """Settings shared by all trials of a sweep.

    Attributes:
        name: Name of the sweep.
        dataset: Name of the dataset, or its path on the driver's node.
        labels: Class names.
        formats: Formats to export to.
        variants: Variants to export.
        models: The file and the manifest of each teacher and ``init`` model, by the model's name.
        threads: Number of cores that a trial may use.
    """

    name: str
    dataset: str
    labels: tuple[str, ...]
    formats: tuple[str, ...]
    variants: tuple[str, ...]
    models: Mapping[str, Mapping[str, bytes]]
    threads: int


def run_trial(
    trial: Trial, setting: Setting, split: Split, checkpoint: Mapping[str, bytes] | None, reports: Reports
) -> None:
    """Train a trial's network and export it, in a temporary workspace.

    Args:
        trial: The trial to run.
        setting: Settings shared by all trials.
        split: Training split with uint8 images (N, H, W, C) and labels (N,).
        checkpoint: Files of the checkpoint to continue from, or None to start from scratch.
        reports: Receives the results.

    Raises:
        EdgesqzError: Training diverged, or an exported file disagrees with the network.
    """
    from edgesqz import backend, data
    from edgesqz.workspace import Workspace
    from edgesqz.workspace.scratch import scratch

    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(setting.threads)
    provided = data.Dataset(setting.dataset, setting.labels, {"train": split}.__getitem__)
    with scratch(None, Workspace(Path(tempfile.gettempdir())), 0), data.provided(provided):
        folder = Path(tempfile.mkdtemp())
        try:
            _Attempt(trial, setting, folder, reports).run(checkpoint or {})
        finally:
            backend.free_models()  # the worker will run more trials


class _Attempt:
    """One attempt at a trial, in its own folder."""

    def __init__(self, trial: Trial, setting: Setting, folder: Path, reports: Reports) -> None:
        self.trial, self.setting, self.folder, self.reports = trial, setting, folder, reports
        self.name = model_name(setting.name, trial.number)

    def run(self, checkpoint: Mapping[str, bytes]) -> None:
        for received in (checkpoint, *self._models.values()):
            for name, content in received.items():
                (self.folder / name).write_bytes(content)
        trained = self._train(resume=bool(checkpoint))
        files = self._export(trained)
        assert trained.manifest.training  # training writes it
        self.reports.finish(files, trained.manifest.training["minutes"])

    @property
    def _models(self) -> Mapping[str, Mapping[str, bytes]]:
        """The file and the manifest of the teacher and of the ``init`` model, if the trial has any."""
        recipe = self.trial.candidate.recipe
        return {option: self.setting.models[str(recipe[option])] for option in MODELS if option in recipe}

    def _train(self, *, resume: bool) -> TrainResult:
        from rich.console import Console

        from edgesqz.training import run
        from edgesqz.training.plan import Train

        options: dict[str, Any] = {**self.trial.candidate.recipe, "resume": resume, "workspace": self.folder}
        options |= {option: self.folder / next(iter(files)) for option, files in self._models.items()}
        plan = Train(
            self.trial.model,
            self.setting.dataset,
            name=self.name,
            input_size=self.trial.candidate.input_size,
            **options,
        )
        return run.run(plan, Console(quiet=True), after_epoch=self._after_epoch)

    def _after_epoch(self, progress: Progress) -> None:
        from edgesqz.training import checkpoint

        files = {name: (self.folder / name).read_bytes() for name in checkpoint.names(self.name)}
        self.reports.progress(len(progress.history), progress.history[-1].get("validation_accuracy"), files)

    def _export(self, trained: TrainResult) -> list[Exported]:
        from edgesqz.exporting import export

        result = export(trained.path, self.setting.formats, variant=self.setting.variants, workspace=self.folder)
        if result.failed:
            raise EdgesqzError(str(result.failed[0]))
        validation = self._validation_split(trained)
        return [
            Exported(
                each.path.name,
                each.path.read_bytes(),
                manifest_path(each.path).read_bytes(),
                _accuracy(each, validation),
            )
            for each in result
        ]

    def _validation_split(self, trained: TrainResult) -> Split:
        from edgesqz import data
        from edgesqz.training.loop import TrainingImages
        from edgesqz.training.recipe import Recipe

        assert trained.manifest.training  # training writes it
        dataset, recipe = data.load(self.setting.dataset), Recipe(**trained.manifest.training["recipe"])
        validation = TrainingImages.split(dataset, dataset.train(), recipe).validation
        assert validation  # no knob turns it off
        return validation


def _accuracy(artifact: Artifact, split: Split) -> float:
    """Return the top-1 accuracy of a file, 0..1."""
    from edgesqz.engine import open_engine

    with open_engine(artifact) as engine:
        return float(np.mean(engine.predict(split.images).argmax(axis=1) == split.labels))
