"""The trials of a sweep as Ray Tune runs them: what proposes them, what a worker does, and when one is given up."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import cluster, plugins
from edgesqz.errors import EdgesqzError
from edgesqz.sweeping.keeper import Exported, Keeper, Record
from edgesqz.sweeping.live import Live
from edgesqz.sweeping.plan import Sweep
from edgesqz.sweeping.trial import Setting, run_trial
from edgesqz.sweeping.trials import Trial

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from rich.console import Console

    from edgesqz.data import Split
    from edgesqz.sweeping.proposals import Proposals

EPOCH, ACCURACY = "epoch", "validation_accuracy"
MOST_RESTARTS = 3  # of a trial whose worker or node dies
MANIFEST_BYTES = 6000  # of a file's manifest, at most
# ASHA is gentle: it stops half of the trials at a rung, not three quarters as usual, and none before a third of the
# epochs, for distilled networks rank late.
HALF, FIRST_RUNG = 2, 1 / 3

Body = Callable[[Trial, Setting, "Split", Mapping[str, bytes], "Reporter"], None]


@dataclass(frozen=True)
class Reporter:
    """Sends what a trial reports to the keeper, and its accuracy to Tune, which may stop the trial there."""

    keeper: Any
    number: int

    def progress(self, epochs: int, accuracy: float | None, checkpoint: Mapping[str, bytes]) -> None:
        """Report an epoch."""
        import ray
        from ray import tune

        ray.get(self.keeper.progress.remote(self.number, epochs, accuracy, checkpoint))
        tune.report({EPOCH: epochs, ACCURACY: accuracy or 0.0})

    def finish(self, files: Sequence[Exported], minutes: float) -> None:
        """Report the end."""
        import ray

        ray.get(self.keeper.finish.remote(self.number, files, minutes))


def attempt(config: Mapping[str, Any], *, body: Body, setting: Setting, split: Split, keeper: Any) -> None:
    """Run a trial in a worker of Ray, or go on with one whose worker died.

    A trial that fails by its own fault ends well for Tune, which would try it again; the keeper records the reason.
    """
    import ray

    trial = trial_of(config)
    try:
        if not ray.get(keeper.is_over.remote(trial.number)):
            checkpoint = ray.get(keeper.start.remote(trial, expected_bytes(trial, setting)))
            body(trial, setting, split, checkpoint, Reporter(keeper, trial.number))
    except EdgesqzError as error:  # of the keeper too: Ray raises it as a subclass, with a traceback for its text
        ray.get(keeper.end.remote(trial.number, "failed", str(getattr(error, "cause", error))))


def trial_of(config: Mapping[str, Any]) -> Trial:
    """Read a trial from a configuration of Tune."""
    from pydantic import TypeAdapter

    return TypeAdapter(Trial).validate_python(config["trial"])


def expected_bytes(trial: Trial, setting: Setting) -> int:
    """Estimate what the files of a trial take together, with their manifests."""
    beside = trial.costs.tflite_int8_bytes - trial.costs.parameters + MANIFEST_BYTES
    variants = (plugins.converter(name).VARIANTS[each] for name in setting.formats for each in setting.variants)
    return sum(each.bytes_a_parameter * trial.costs.parameters + beside for each in variants)


@dataclass(frozen=True)
class Tuning:
    """One use of Tune: the keeper on the driver's node, the trials on any.

    Attributes:
        plan: The options of the sweep.
        setting: What all trials have in common.
        record: The sweep so far.
        storage: A folder for Tune's own files.
        console: Where to show progress.
        epochs: The most epochs of any trial; None where they follow the dataset.
    """

    plan: Sweep
    setting: Setting
    record: Record
    storage: Path
    console: Console
    epochs: int | None

    def run(
        self, trials: Sequence[Trial], split: Split, searcher: Proposals | None = None, body: Body = run_trial
    ) -> tuple[Trial, ...]:
        """Run trials until they are done, or the time is up.

        Args:
            trials: The trials to run; none if a searcher proposes them.
            split: The training split.
            searcher: What proposes trials.
            body: What a trial does.

        Returns:
            Every trial of the sweep, those of earlier runs included.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
        """
        import ray
        from ray import tune

        keeper, planned = self._keeper(), len(searcher or trials)
        trainable = tune.with_parameters(attempt, body=body, setting=self.setting, split=split, keeper=keeper)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": self.setting.threads}),
            param_space={} if searcher else {"trial": tune.grid_search([dataclasses.asdict(each) for each in trials])},
            tune_config=tune.TuneConfig(
                metric=ACCURACY,
                mode="max",
                search_alg=searcher,
                scheduler=self._scheduler(),
                num_samples=-1 if searcher else 1,
                max_concurrent_trials=self.plan.concurrent,
                time_budget_s=self.plan.time_budget and 60 * self.plan.time_budget,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.storage),
                failure_config=tune.FailureConfig(max_failures=MOST_RESTARTS),
                callbacks=[_watch(keeper, self._deadline)],
                verbose=0,
            ),
        )
        with Live(lambda: ray.get(keeper.snapshot.remote()), planned, self.console):
            try:
                tuner.fit()
            finally:
                found: tuple[Trial, ...] = ray.get(keeper.close.remote())
        return found

    def _keeper(self) -> Any:
        """Start the keeper beside the driver, which alone has the workspace."""
        import ray

        here = cluster.on_node(ray.get_runtime_context().get_node_id())
        kept = ray.remote(num_cpus=0)(Keeper).options(scheduling_strategy=here)
        folder = Path(self.plan.workspace).resolve()
        return kept.remote(folder, self.plan.quota, self.plan.name, self.record)

    @property
    def _deadline(self) -> float | None:
        return self.plan.time_budget and time.monotonic() + 60 * self.plan.time_budget

    def _scheduler(self) -> TrialScheduler | None:
        from ray.tune.schedulers import ASHAScheduler

        if self.plan.all_epochs or not self.epochs or self.epochs < HALF:
            return None
        first = max(round(self.epochs * FIRST_RUNG), 1)
        return ASHAScheduler(
            time_attr=EPOCH,
            max_t=self.epochs + 1,  # at which it would stop a trial, before that has exported anything
            grace_period=first,
            reduction_factor=HALF,
        )


def _watch(keeper: Any, deadline: float | None) -> Any:
    """Tell the keeper of trials that ended without a word: stopped by Tune, or dead more often than they may."""
    import ray
    from ray import tune

    class Watch(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number = trial.config["trial"]["number"]
            if deadline is not None and time.monotonic() >= deadline:
                ray.get(keeper.end.remote(number, "waiting", "the time was up"))
            else:
                reason = "its validation accuracy was in the lower half of the trials so far"
                ray.get(keeper.end.remote(number, "stopped", reason))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            lines = str(trial.get_error() or "its worker died").strip().splitlines()
            ray.get(keeper.end.remote(trial.config["trial"]["number"], "failed", lines[-1]))

    return Watch()
