"""Run ``train``: determine the recipe, then train from scratch or from a checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact, cluster, data, progress
from edgesqz.artifact import Artifact
from edgesqz.errors import EdgesqzError, option
from edgesqz.lookup import model_files
from edgesqz.models import loading
from edgesqz.models.loading import SourceModel
from edgesqz.options import as_path
from edgesqz.training import checkpoint, fine_tuning, history
from edgesqz.training.checkpoint import Checkpoint, Progress
from edgesqz.training.events import event_file
from edgesqz.training.learner import LocalLearner
from edgesqz.training.loop import Learn, TrainingImages, TrainingRun
from edgesqz.training.plan import Train
from edgesqz.training.recipe import MODELS, Recipe, fastest_precision, scaled_to
from edgesqz.training.result import TrainResult
from edgesqz.training.teacher import TeacherFile
from edgesqz.training.workers import WorkerLostError, Workers
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch

if TYPE_CHECKING:
    from rich.console import Console

MAX_RECOVERIES = 3


def run(
    plan: Train, console: Console, *, after_epoch: Callable[[Progress], None] | None = None, min_steps: int = 1
) -> TrainResult:
    """Train a network. See ``Train.run``.

    Args:
        plan: The options.
        console: Console to show progress on.
        after_epoch: Called after each epoch, once its checkpoint is written.
        min_steps: Number of steps to take even if they take longer than ``plan.seconds``.
    """
    workspace, name = Workspace(Path(plan.workspace), plan.quota), plan.model_name
    _check_nothing_lost(workspace, plan)
    init = loading.find(plan.init, workspace) if plan.init else None
    teacher = TeacherFile.find(plan.teacher, workspace) if plan.teacher else None
    models = {"init": init, "teacher": teacher}
    chosen = plan.chosen | {name: model.sha256 for name, model in models.items() if model}
    saved = Checkpoint.read(workspace, name) if plan.resume else None
    if saved:
        _check_models(saved.recipe, chosen, workspace)
    recipe = _unchanged(saved.recipe, chosen) if saved else _new(chosen, init)

    dataset = _load_dataset(recipe, plan)
    images = dataset.train()
    if not saved:
        scaled = scaled_to(len(images), recipe)
        recipe = dataclasses.replace(recipe, **{name: scaled[name] for name in scaled if name not in chosen})
    scratch_dir = as_path(plan.scratch_dir)
    split = TrainingImages.split(dataset, images, recipe)
    _check_workers(min(recipe.batch_size, len(split.fitted)), plan)
    teaching = teacher.started() if teacher else contextlib.nullcontext()
    with contextlib.ExitStack() as stack:
        with progress.status(console, f"{name}: starting"):
            running = stack.enter_context(teaching)
            learn = stack.enter_context(_learning(plan, workspace, scratch_dir, images))
            training = TrainingRun(name, recipe, split, init, running, workspace, console, learn)
        if after_epoch:
            training.after_epoch.append(after_epoch)
        if saved:
            training.resume(saved)
        elif plan.seconds:
            training.plan_steps(plan.seconds, min_steps)
        training.describe()
        for_keras = 0 if workspace.quota_bytes is None else training.model_bytes
        with training.claimed_room(), scratch(scratch_dir, workspace, for_keras), _events(plan, training):
            result = TrainResult.of(_finish(training, console))
    if plan.plot:
        history.draw(result.history, Path(plan.plot), workspace)
        console.print(f"wrote {plan.plot}", soft_wrap=True, highlight=False, markup=False)
    return result


@contextlib.contextmanager
def _events(plan: Train, training: TrainingRun) -> Iterator[None]:
    """Write an event file during the ``with`` block, if the options say so."""
    if not plan.tensorboard:
        yield
        return
    with event_file(Path(plan.tensorboard), len(training.progress.history)) as write:
        training.after_epoch.append(write)
        yield


def _finish(training: TrainingRun, console: Console) -> Artifact:
    """Run to the end. If a worker is lost, continue from the last checkpoint with new workers."""
    for _ in range(MAX_RECOVERIES):
        try:
            return training.run()
        except WorkerLostError as error:
            console.print(f"{error}; training continues from the last checkpoint with new workers", soft_wrap=True)
            assert isinstance(training.learner, Workers)  # a learner in this process loses no worker
            training.learner.start()
            training.restart()
    return training.run()


@contextlib.contextmanager
def _learning(plan: Train, workspace: Workspace, scratch_dir: Path | None, images: data.Split) -> Iterator[Learn]:
    """Yield a function that creates the learner, in this process or as workers on Ray during the ``with`` block."""
    if plan.workers == 1:
        yield LocalLearner
        return
    cluster.require_ray()
    with scratch(scratch_dir, workspace, cluster.RAY_BYTES), cluster.started(plan.address, 2 * images.images.nbytes):
        cluster.check_cores(plan.workers, cluster.cores(), option("workers"))
        yield functools.partial(Workers, plan.workers)


def _check_workers(batch_size: int, plan: Train) -> None:
    """Check what can be known before Ray starts, which takes many seconds."""
    if not plan.address:
        cluster.check_cores(plan.workers, os.cpu_count() or 1, option("workers"))
    if batch_size % plan.workers:
        raise EdgesqzError(
            f"every worker takes an equal part of a batch; expected {option('batch_size')} to be a multiple of "
            f"{plan.workers}, got {batch_size}"
        )


def _check_nothing_lost(workspace: Workspace, plan: Train) -> None:
    """Check that the run replaces neither a finished model nor a checkpoint, unless ``force`` says so."""
    path = workspace.folder / (plan.model_name + artifact.KERAS_SUFFIX)
    if path.exists() and not plan.force:
        raise EdgesqzError(
            f"{path} already exists; replace it with {option('force')}, or choose another {option('name')}"
        )
    if checkpoint.exists(workspace, plan.model_name) and not (plan.resume or plan.force):
        raise EdgesqzError(
            f"{workspace.folder} contains the checkpoint of an unfinished {plan.model_name}; continue it with "
            f"{option('resume')}, start over with {option('force')}, or choose another {option('name')}"
        )


def _new(chosen: dict[str, Any], init: SourceModel | None) -> Recipe:
    """Return the recipe of a new run, as far as it does not depend on the images."""
    inherited = fine_tuning.network_of(init) if init else {}
    if init and not {"model"} & (inherited.keys() | chosen.keys()):
        raise EdgesqzError(f"{init.source} has no manifest that names its network; set {option('model')}")
    return Recipe(**{"precision": fastest_precision()} | inherited | chosen)


def _check_models(recipe: Recipe, chosen: dict[str, Any], workspace: Workspace) -> None:
    """Check that the teacher and the initial weights are those of a checkpoint.

    Raises:
        EdgesqzError: One of them is missing, or differs.
    """
    for name in MODELS:
        saved, given = getattr(recipe, name), chosen.get(name)
        if saved == given:
            continue
        file = _file_of(saved, workspace) if saved else ""
        was = f"with {option(name)}{file}" if saved else f"without {option(name)}"
        if not given:
            raise EdgesqzError(f"the interrupted run was started {was}; specify it again")
        if saved and not file:
            was = f"with a different {option(name)}"
        raise EdgesqzError(
            f"the interrupted run was started {was}; continue it the same way, or start over with {option('force')}"
        )


def _unchanged(recipe: Recipe, chosen: dict[str, Any]) -> Recipe:
    """Return the recipe of a checkpoint.

    Raises:
        EdgesqzError: An option differs from the recipe of the checkpoint.
    """
    for name, value in chosen.items():
        if (saved := getattr(recipe, name)) != value:
            raise EdgesqzError(
                f"the interrupted run has {option(name)} {saved}, not {value}; remove {option(name)} or "
                f"{option('resume')}"
            )
    return recipe


def _file_of(sha256: str, workspace: Workspace) -> str:
    """Return a space and the name of the file with this SHA-256 in the workspace or the zoo, or an empty string."""
    files = [*model_files(workspace.folder), *model_files(artifact.ZOO)]
    return next((f" {file.name}" for file in files if artifact.sha256(artifact.whole_bytes(file)) == sha256), "")


def _load_dataset(recipe: Recipe, plan: Train) -> data.Dataset:
    """Load the dataset. Images of a folder are read at the network's input size; other datasets have a fixed size."""
    size = None if recipe.dataset in data.DATASETS else recipe.size
    return data.load(recipe.dataset, as_path(plan.data_dir), size=size)
