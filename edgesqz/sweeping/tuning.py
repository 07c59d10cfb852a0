"""Run the trials of a sweep through Ray Tune, which distributes them to workers and stops weak ones early."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import cluster
from edgesqz.errors import EdgesqzError, named, option
from edgesqz.sweeping.keeper import Exported, Keeper, Record
from edgesqz.sweeping.live import Live
from edgesqz.sweeping.plan import Sweep
from edgesqz.sweeping.trial import Setting, run_trial
from edgesqz.sweeping.trials import ACCURACY, Trial
from edgesqz.tables import counted

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from rich.console import Console

    from edgesqz.data import Split
    from edgesqz.sweeping.proposals import Proposals

EPOCH = "epoch"
# For a stopped trial to free its memory and files before the next one starts in its process. After the 2 s that Tune
# allows by default, it loses the next trial or waits forever.
MAX_CLEANUP_S = 600
MAX_RESTARTS = 3  # for a trial whose worker or node dies
MANIFEST_BYTES = 2500  # upper limit for the manifest of one file
# A gentle ASHA: it stops half of the trials at a rung instead of the usual three quarters, and none before a third of
# the epochs, because early accuracy is a poor predictor for distilled networks.
HALF, FIRST_RUNG = 2, 1 / 3

Body = Callable[[Trial, Setting, "Split", Mapping[str, bytes], "Reporter"], None]


@dataclass(frozen=True)
class Reporter:
    """Sends the results of a trial to the keeper, and its accuracy to Tune, which may stop the trial."""

    keeper: Any
    number: int

    def progress(self, epochs: int, accuracy: float | None, checkpoint: Mapping[str, bytes]) -> None:
        """Report the result of an epoch."""
        import ray
        from ray import tune

        ray.get(self.keeper.progress.remote(self.number, epochs, accuracy, checkpoint))
        tune.report({EPOCH: epochs, ACCURACY: accuracy or 0.0})

    def finish(self, files: Sequence[Exported], minutes: float) -> None:
        """Report the files of the finished trial."""
        import ray

        ray.get(self.keeper.finish.remote(self.number, files, minutes))


def attempt(config: Mapping[str, Any], *, body: Body, setting: Setting, split: Split, keeper: Any) -> None:
    """Run a trial in a Ray worker, or continue one whose worker died.

    If the trial itself fails, the keeper records the reason. Tune sees a success, because it would retry a failure.
    """
    import ray

    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = str(MAX_CLEANUP_S)
    trial = trial_of(config)
    try:
        if not ray.get(keeper.is_over.remote(trial.number)):
            checkpoint = ray.get(keeper.start.remote(trial, expected_bytes(trial)))
            body(trial, setting, split, checkpoint, Reporter(keeper, trial.number))
    except EdgesqzError as error:  # also from the keeper: Ray raises a subclass whose message is a traceback
        ray.get(keeper.end.remote(trial.number, "failed", str(getattr(error, "cause", error))))


def trial_of(config: Mapping[str, Any]) -> Trial:
    """Return the trial in a Tune configuration."""
    from pydantic import TypeAdapter

    return TypeAdapter(Trial).validate_python(config["trial"])


def expected_bytes(trial: Trial) -> int:
    """Estimate the total size of a trial's files and their manifests."""
    return sum(size + MANIFEST_BYTES for size in trial.costs.file_bytes)


@dataclass(frozen=True)
class Tuning:
    """One run of Tune, with the keeper on the driver's node and the trials on any node.

    Attributes:
        plan: Options of the sweep.
        setting: Settings shared by all trials.
        record: The sweep so far.
        storage: Folder for Tune's own files.
        console: Console to show progress on.
        epochs: The largest number of epochs of any trial, or None if the dataset determines it.
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
        """Run trials until they are done or the time is up.

        Args:
            trials: Trials to run. Empty if a searcher proposes them.
            split: Training split.
            searcher: Proposes trials.
            body: Function that runs a trial.

        Returns:
            All trials of the sweep, including those of earlier runs.

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
                failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
                callbacks=[_watch(keeper, self._deadline)],
                verbose=0,
            ),
        )
        with Live(lambda: ray.get(keeper.snapshot.remote()), planned, self.console):
            try:
                tuner.fit()
            except KeyboardInterrupt as interrupt:
                over = sum(trial.is_over for trial in ray.get(keeper.close.remote()))
                message = f"stopped after {counted(over, 'trial')}; continue with {option('resume')}"
                raise type(interrupt)(named(message)) from interrupt
            return tuple(ray.get(keeper.close.remote()))

    def _keeper(self) -> Any:
        """Start the keeper on the driver's node, the only node with access to the workspace."""
        import ray

        here = cluster.on_node(ray.get_runtime_context().get_node_id())
        actor = ray.remote(num_cpus=0)(Keeper).options(scheduling_strategy=here)
        folder = Path(self.plan.workspace).resolve()
        return actor.remote(folder, self.plan.quota, self.plan.name, self.record)

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
            # After its last epoch, a network only needs to be exported, so there is no rung.
            max_t=self.epochs - 1,
            stop_last_trials=False,
            grace_period=first,
            reduction_factor=HALF,
        )


def _watch(keeper: Any, deadline: float | None) -> Any:
    """Return a callback that reports to the keeper which trials Tune stopped and which failed too often."""
    import ray
    from ray import tune

    class Watch(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number = trial.config["trial"]["number"]
            if deadline is not None and time.monotonic() >= deadline:
                ray.get(keeper.end.remote(number, "waiting", "the time budget was used up"))
            else:
                reason = "its accuracy was in the lower half"
                ray.get(keeper.end.remote(number, "stopped", reason))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            lines = str(trial.get_error() or "its worker died").strip().splitlines()
            ray.get(keeper.end.remote(trial.config["trial"]["number"], "failed", lines[-1]))

    return Watch()
