"""Run a sweep: select candidates that fit, train and export them, keep the best files, and benchmark these last."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import cluster, data, plugins
from edgesqz.artifact import MANIFEST_SUFFIX
from edgesqz.benchmarking import Bench
from edgesqz.engine.host import Host
from edgesqz.errors import EdgesqzError, option
from edgesqz.lookup import find_keras_file, find_model_file
from edgesqz.options import as_list, as_path
from edgesqz.sweeping.candidates import Budget, Selection
from edgesqz.sweeping.keeper import Record, record_path
from edgesqz.sweeping.plan import Sweep
from edgesqz.sweeping.result import SweepResult
from edgesqz.sweeping.space import INPUT_SIZE, Space, read_sections
from edgesqz.sweeping.trial import Setting
from edgesqz.sweeping.trials import Trial, front
from edgesqz.sweeping.tuning import Tuning
from edgesqz.workspace import Workspace, manifest_path
from edgesqz.workspace.scratch import scratch

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.benchmarking.report import Report

DEFAULT_TRIALS = 20
# Options that a resumed sweep reads from its record. All others can change each time it is resumed.
REMEMBERED = ("dataset", "search", "seed", "all_epochs", "max_size", "max_macs", "max_arena")
KEPT = ("quota", "trials")  # unless specified again


def run(plan: Sweep, console: Console) -> SweepResult:
    """Run a sweep.

    Raises:
        EdgesqzError: The input is invalid, no candidate fits, the cluster does not answer, or Ray is not installed.
        KeyboardInterrupt: After Ctrl-C. Use ``resume`` to continue the sweep.
    """
    sections = None if plan.space is None else dict(read_sections(plan.space))
    record = _saved(plan)
    if plan.resume:
        plan = replace(plan, **{name: record.options[name] for name in KEPT if getattr(plan, name) is None})
    home = Workspace(Path(plan.workspace), plan.quota, read_only=plan.dry_run)
    if sections is not None:
        record = _new_record(plan, home, sections)
    plan = replace(plan, **{name: record.options[name] for name in REMEMBERED})
    space = Space.parse(record.options["space"])
    _check_exports(space)
    name = str(plan.dataset)
    size = _image_size(space, name)
    budget = Budget.parse(plan.max_size, plan.max_macs, plan.max_arena).within(home.quota_bytes)
    selection = Selection(space, budget, data.class_count(name), first=len(record.trials) + 1)
    report = None
    models = _models(space, home)
    if plan.dry_run:
        trials = (*record.waiting, *_new(plan, selection, record))
    else:
        dataset = data.load(name, as_path(plan.data_dir), size=size)
        cluster.require_ray()
        if plan.host:
            Host.parse(plan.host).check()  # fail before the training, not after it
        trials = _try(plan, selection, record, home, dataset, models, console)
        report = _bench(plan, trials, home, console)
    return SweepResult(plan.name, name, home.folder, home.quota_bytes, home.used_bytes(), trials, report)


def _saved(plan: Sweep) -> Record:
    """Return the record of the sweep to resume, or an empty one for a new sweep."""
    return Record.read(record_path(Path(plan.workspace), plan.name)) if plan.resume else Record({})


def _new_record(plan: Sweep, home: Workspace, sections: dict[str, Any]) -> Record:
    """Return the record of a new sweep, which is not written yet."""
    path = record_path(home.folder, plan.name)
    if path.exists() and not plan.dry_run and not plan.force:
        raise EdgesqzError(
            f"the sweep {path} already exists; continue it with {option('resume')}, replace it with "
            f"{option('force')}, or choose another {option('name')}"
        )
    dataset = str(plan.dataset)
    if dataset not in data.DATASETS:
        dataset = str(Path(dataset).resolve())  # trials run in other folders
    options = {name: getattr(plan, name) for name in (*REMEMBERED, *KEPT)}
    return Record({"space": sections, **options, "dataset": dataset})


def _replaced(plan: Sweep, home: Workspace) -> list[str]:
    """Return the files of the sweep that this one replaces."""
    path = record_path(home.folder, plan.name)
    if not plan.force or not path.exists():
        return []
    files = [file.name for trial in Record.read(path).trials for file in trial.files if file.kept]
    return [path.name, *files, *(name + MANIFEST_SUFFIX for name in files)]


def _new(plan: Sweep, selection: Selection, record: Record) -> tuple[Trial, ...]:
    """Return new trials to add to the record."""
    taken = [trial.candidate for trial in record.trials]
    wanted = plan.trials if plan.search == "grid" else plan.trials or DEFAULT_TRIALS
    left = None if wanted is None else max(wanted - len(taken), 0)
    found = selection.grid(left, taken) if plan.search == "grid" else selection.random(left, plan.seed, taken)
    return tuple(found)


def _try(
    plan: Sweep,
    selection: Selection,
    record: Record,
    home: Workspace,
    dataset: data.Dataset,
    models: Mapping[str, Mapping[str, bytes]],
    console: Console,
) -> tuple[Trial, ...]:
    """Run and record every trial that has not ended."""
    if plan.search != "optuna":
        record = replace(record, trials=(*record.trials, *_new(plan, selection, record)))
    waiting = record.waiting
    if not waiting and plan.search != "optuna":
        return record.trials
    replaced = _replaced(plan, home)
    record_name = record_path(home.folder, plan.name).name
    with home.claim([record_name, *replaced], len(record.to_json()), record_name):
        pass  # refuses a workspace without room before Ray starts
    split, space = dataset.train(), selection.space
    cores = os.cpu_count() or 1
    threads = max(cores // (plan.concurrent or cores), 1)
    setting = Setting(plan.name, str(plan.dataset), dataset.labels, space.formats, space.variants, models, threads)
    if not plan.address:
        console.print("starting Ray", soft_wrap=True, highlight=False)
    with (
        scratch(as_path(plan.scratch_dir), home, cluster.RAY_BYTES),
        cluster.started(plan.address, 2 * split.images.nbytes),
    ):
        home.remove(*replaced)  # only now that the cluster has answered
        storage = Path(tempfile.gettempdir()) / "tune"
        tuning = Tuning(plan, setting, record, storage, console, space.most_epochs)
        if plan.search != "optuna":
            return tuning.run(waiting, split)
        from edgesqz.sweeping.proposals import Proposals

        over = [trial for trial in record.trials if trial.is_over]
        count = max((plan.trials or DEFAULT_TRIALS) - len(over), 0)
        return tuning.run([], split, Proposals(selection, count, plan.seed, waiting, over))


def _check_exports(space: Space) -> None:
    for name in space.formats:
        known = [variant for variant, kind in plugins.converter(name).VARIANTS.items() if not kind.needs_limit]
        for variant in space.variants:
            if variant not in known:
                raise EdgesqzError(f"unknown variant {variant!r} for {name}; choose from {', '.join(known)}")


def _image_size(space: Space, dataset: str) -> int | str | None:
    """Return the size at which to read the images of a folder, or None if the dataset has a fixed size."""
    if dataset in data.DATASETS:
        return None
    sizes = space.values_of(INPUT_SIZE)
    if len(sizes) > 1:
        raise EdgesqzError(
            f"expected one value for {INPUT_SIZE}, because all images of a folder are read at the same size; got "
            f"{len(sizes)}"
        )
    return sizes[0] if sizes and isinstance(sizes[0], int | str) else None


def _models(space: Space, home: Workspace) -> Mapping[str, Mapping[str, bytes]]:
    """Return the files of each model in the space, by its name, because other nodes cannot read the workspace.

    Raises:
        EdgesqzError: There is no such model.
    """
    found = {}
    for find, knob in ((find_keras_file, "init"), (find_model_file, "teacher")):
        for name in map(str, space.values_of(f"recipe.{knob}")):
            try:
                path = find(name, home.folder)
            except EdgesqzError as error:
                raise EdgesqzError(f"recipe.{knob}: {error.args[0]}") from error
            files = (path, manifest_path(path))
            found[name] = {each.name: each.read_bytes() for each in files if each.is_file()}
    return found


def _bench(plan: Sweep, trials: tuple[Trial, ...], home: Workspace, console: Console) -> Report | None:
    """Benchmark the files on the Pareto front on the test images. Return None if no file was kept."""
    kept = [(file, trial) for trial in trials for file in trial.files if file.kept]
    if not kept:
        return None
    finalists = [home.folder / file.name for file, _ in front(kept)]
    bench = Bench(
        [*finalists, *as_list(plan.reference)],
        dataset=plan.dataset,
        data_dir=plan.data_dir,
        workspace=home.folder,
        host=plan.host,
    )
    return bench.run(console)
