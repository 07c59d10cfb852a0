"""Trials proposed by Optuna. Proposals over the budget are never trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna import distributions
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from edgesqz.sweeping.candidates import Selection
from edgesqz.sweeping.space import Choice, Knob
from edgesqz.sweeping.trials import ACCURACY, Trial

MAX_REJECTED = 500  # consecutive proposals over the budget after which the search ends


class Proposals(Searcher):
    """Proposes trials based on the accuracy of earlier ones.

    Args:
        selection: The space, the budget, and the number of the first new trial.
        count: Number of trials to propose.
        seed: Seed for Optuna's sampler.
        waiting: Trials to run first, because an earlier run did not finish them.
        known: Finished trials to learn from.
    """

    def __init__(
        self, selection: Selection, count: int, seed: int, waiting: Sequence[Trial] = (), known: Sequence[Trial] = ()
    ) -> None:
        super().__init__(metric=ACCURACY, mode="max")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._selection, self._count, self._waiting = selection, count, list(waiting)
        self._proposed, self._names = 0, dict[str, str]()
        learned = [trial for trial in known if trial.accuracy is not None]
        self._optuna = OptunaSearch(
            {name: _distribution(knob) for name, knob in selection.space.knobs.items()},
            metric=ACCURACY,
            mode="max",
            seed=seed,
            points_to_evaluate=[trial.values for trial in learned] or None,
            evaluated_rewards=[trial.accuracy for trial in learned] or None,
        )

    def __len__(self) -> int:
        """Return the number of trials to propose."""
        return self._count

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Propose a trial that fits the budget."""
        if self._proposed == self._count:
            return str(Searcher.FINISHED)
        trial = self._waiting.pop(0) if self._waiting else self._next(trial_id)
        if trial is None:
            return str(Searcher.FINISHED)
        self._proposed += 1
        return {"trial": dataclasses.asdict(trial)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass the result of an epoch to Optuna."""
        if name := self._names.get(trial_id):
            self._optuna.on_trial_result(name, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Pass the result of a finished trial to Optuna."""
        if name := self._names.pop(trial_id, None):
            self._optuna.on_trial_complete(name, result, error or ACCURACY not in (result or {}))

    def save(self, checkpoint_path: str) -> None:
        """Do nothing, because a sweep resumes from its own record."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, because a sweep resumes from its own record."""

    def _next(self, trial_id: str) -> Trial | None:
        for number in range(MAX_REJECTED):
            name = f"{trial_id}/{number}"
            values = self._optuna.suggest(name)
            candidate = self._selection.space.candidate(_plain(values))
            if costs := self._selection.fits(candidate):
                self._names[trial_id] = name
                trial = Trial.of(self._selection.first, candidate, costs)
                self._selection.first += 1
                return trial
            self._optuna.on_trial_complete(name, error=True)
        return None


def _distribution(knob: Knob) -> distributions.BaseDistribution:
    if isinstance(knob, Choice):
        return distributions.CategoricalDistribution(knob.values)
    if all(isinstance(each, int) for each in (knob.low, knob.high, knob.step)):
        return distributions.IntDistribution(int(knob.low), int(knob.high), step=int(knob.step or 1))
    return distributions.FloatDistribution(knob.low, knob.high, log=knob.log, step=knob.step)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Round Optuna's numbers to four significant digits, as the other search methods do."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}
