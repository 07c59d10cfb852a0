"""Measure model files, each on its engine in its own process. The engines take turns during timing."""

from __future__ import annotations

import contextlib
import functools
import gzip
import platform
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from edgesqz import plugins
from edgesqz.artifact import model_suffix, package_versions, sha256, size_bytes, whole_bytes
from edgesqz.benchmarking import accuracy, evaluation, flips
from edgesqz.benchmarking.candidate import (
    Candidate,
    Timing,
    distinct_names,
    pixels_by_exports,
    place,
    size_by_exports,
    source_model_of,
    with_source_models,
)
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.benchmarking.plan import Bench
from edgesqz.benchmarking.report import EvaluatedImages, Report
from edgesqz.benchmarking.rows import Failed, Latency, Measured, ModelFile, Performance, Ratio, Row
from edgesqz.engine import Engine, layer_error, open_engine, saturation
from edgesqz.engine.host import Host
from edgesqz.errors import EdgesqzError, option
from edgesqz.lookup import find_model_file, model_files
from edgesqz.machine import Machine, machine
from edgesqz.options import as_list, as_path
from edgesqz.progress import can_redraw
from edgesqz.workspace import settle

E = TypeVar("E")

LAYER_IMAGES = 16  # enough to compare layers, because each image provides thousands of values


def measure(plan: Bench, console: Console, half: int | None = None, *, with_sources: bool = True) -> Report:
    """Measure the files of a plan.

    Args:
        plan: The options of the bench.
        console: Console to show progress on.
        half: 0 or 1 to use only this half of the test images, so that one half can select a file and the other can
            measure it, or None for all images.
        with_sources: Whether to measure the source models of exports too, which are slow to start.

    Raises:
        EdgesqzError: The input is invalid, or the test images are not available.
    """
    plan.check_machine()
    settle(Path(plan.workspace))
    host = Host.parse(plan.host) if plan.host else None
    candidates, baseline = _candidates(plan, with_sources)
    if host:
        host.check()
    dataset = str(plan.dataset) if plan.dataset else evaluation.common_dataset(candidates)
    # Report missing data before any engine starts.
    evaluation_set, no_accuracy = evaluation.prepare(
        candidates,
        EvaluationSet(dataset, as_path(plan.data_dir), plan.limit, half) if dataset else None,
        required=bool(plan.dataset or plan.data_dir),
    )
    if plan.flips and not evaluation_set:
        raise EdgesqzError(f"{option('flips')} needs test images: {no_accuracy}")
    if plan.flips:
        flips.make_folder(Path(plan.flips))
    if evaluation_set and evaluation_set.division:
        division = f"{evaluation_set.name}: {evaluation_set.division}"
        console.print(division, soft_wrap=True, highlight=False, markup=False)
    _measure_all(candidates, plan, host, evaluation_set, dataset, console)
    if plan.flips and evaluation_set:
        flips.save(candidates, evaluation_set, Path(plan.flips))
    if reason := _reason_for_no_accuracy(candidates):
        evaluation_set, no_accuracy = None, reason
    return Report(
        plan=plan,
        machine=_machine(host, candidates),
        versions=package_versions("numpy", "execnet") | {"python": platform.python_version()},
        dataset=_evaluated_images(evaluation_set, candidates) if evaluation_set else None,
        rows=tuple(_row(candidate, candidates, baseline, plan.threads) for candidate in candidates),
        no_accuracy=no_accuracy,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _reason_for_no_accuracy(candidates: Sequence[Candidate]) -> str | None:
    """Return why no file has an accuracy, if the inputs or outputs of the models are the reason."""
    measured = [each for each in candidates if not (each.error or each.untrained)]
    reasons = dict.fromkeys(each.no_accuracy for each in measured)
    return None if None in reasons else "; ".join(filter(None, reasons)) or None


def _evaluated_images(evaluation_set: EvaluationSet, candidates: Sequence[Candidate]) -> EvaluatedImages:
    images = evaluation_set.split(evaluation.first_size(candidates))
    return EvaluatedImages(evaluation_set.name, "test", len(images), evaluation_set.labels, images.sha256)


def _candidates(plan: Bench, with_sources: bool) -> tuple[list[Candidate], Candidate | None]:
    """Return the candidates, one per file and runtime, optionally with source models, and the baseline among them."""
    workspace = Path(plan.workspace)
    named = _find(as_list(plan.models), workspace)
    reference = find_model_file(plan.baseline, workspace) if plan.baseline else None
    found = _distinct([*named, *([reference] if reference else [])])
    choices = [plugins.Choice.parse(str(text)) for text in dict.fromkeys(as_list(plan.runtimes))]
    if idle := [
        str(each) for each in choices if not any(model_suffix(path) in each.runtime.SUFFIXES for path in found)
    ]:
        raise EdgesqzError(f"{option('runtimes')} {', '.join(idle)} cannot run any of the files")
    candidates = [
        Candidate(path, bool(as_list(plan.models)) and path in named, choice)
        for path in found
        for choice in _runtimes_of(path, choices)
    ]
    if with_sources:
        candidates = with_source_models(candidates)
    if plan.pixels and all(candidate.manifest for candidate in candidates):
        raise EdgesqzError(f"the manifest of each file specifies its pixel values; remove {plan.pixel_option}")
    if plan.dataset and all(candidate.untrained for candidate in candidates):
        raise EdgesqzError(f"the files are untrained, so they have no accuracy; remove {option('dataset')}")
    for candidate in candidates:
        with candidate.collecting_failures():
            candidate.pixels = plan.pixels or pixels_by_exports(candidate, candidates)
            candidate.size = size_by_exports(candidate, candidates)
    names = distinct_names([candidate.path for candidate in candidates])
    for candidate in candidates:
        candidate.name = names[candidate.path]
    baseline = next((each for each in candidates if reference and place(each.path) == place(reference)), None)
    return candidates, baseline


def _machine(board: Host | None, candidates: Sequence[Candidate]) -> Machine:
    """Return the machine that ran the engines. For a board that never answered, only the address is known."""
    if board is None:
        return machine()
    found = next((candidate.engine.machine for candidate in candidates if candidate.engine), Machine("unknown"))
    return replace(found, host=board.address)


def _runtimes_of(path: Path, choices: Sequence[plugins.Choice]) -> Sequence[plugins.Choice | None]:
    """Return the runtimes to measure a file on. None means the default runtime of its format."""
    return [choice for choice in choices if model_suffix(path) in choice.runtime.SUFFIXES] or [None]


def _find(names: Sequence[str | Path], workspace: Path) -> list[Path]:
    """Find the named files. Without names, return all files in the workspace."""
    if names:
        return _distinct(find_model_file(name, workspace) for name in names)
    found = model_files(workspace)
    if not found:
        raise EdgesqzError(
            f"no model file in {workspace}; run edgesqz train and edgesqz export, run edgesqz export squeezenet for a "
            "network from the zoo, or name files"
        )
    return found


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Remove paths of the same file as an earlier path."""
    distinct: dict[Path, Path] = {}
    for path in paths:
        distinct.setdefault(place(path), path)
    return list(distinct.values())


def _measure_all(
    candidates: Sequence[Candidate],
    plan: Bench,
    host: Host | None,
    evaluation_set: EvaluationSet | None,
    dataset: str | None,
    console: Console,
) -> None:
    """Measure each candidate, or record why it cannot be measured."""
    opened = functools.partial(open_engine, threads=plan.threads, pinned_to=plan.pin, host=host)
    with contextlib.ExitStack() as stack, _bar(console) as bar:
        engines: list[tuple[Candidate, Engine]] = []
        started: list[Engine] = []
        stack.callback(_close, started)
        for candidate, _ in _turns(bar, "loading", [(each, None) for each in candidates]):
            with candidate.collecting_failures():
                assert candidate.artifact  # skips files that could not be opened
                engine = opened(
                    candidate.artifact, runtime=str(candidate.choice), pixels=candidate.pixels, size=candidate.size
                )
                started.append(engine)
                candidate.engine = engine
                candidate.no_accuracy = evaluation.mismatch(candidate, engine, dataset)
                if evaluation_set and not (plan.dataset or candidate.untrained or candidate.no_accuracy):
                    candidate.no_accuracy = evaluation.other_classes(engine, evaluation_set)
                if candidate.is_timed:
                    candidate.warm_up(engine, evaluation.first_images(1, candidate, engine, evaluation_set))
                engines.append((candidate, engine))
        for candidate, engine in _turns(bar, "timing", [pair for pair in engines if pair[0].is_timed] * plan.rounds):
            with candidate.collecting_failures():
                candidate.time_round(engine)
        for candidate, engine in _turns(bar, "accuracy", engines):
            with candidate.collecting_failures():
                if candidate.is_timed:
                    candidate.measure_memory(engine)
                if evaluation_set and not candidate.untrained and not candidate.no_accuracy:
                    evaluation.evaluate(candidate, engine, evaluation_set)
        for candidate, engine in _turns(bar, "layers", engines if plan.layers else []):
            with candidate.collecting_failures():
                _compare_layers(candidate, engine, engines, evaluation_set)


def _close(engines: Sequence[Engine]) -> None:
    """Close all engines in parallel, because some take a second to exit."""
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(Engine.close, engines):
            pass


def _turns(bar: Progress, doing: str, turns: Sequence[tuple[Candidate, E]]) -> Iterator[tuple[Candidate, E]]:
    """Yield each candidate that has not failed, and show the current engine in the progress bar."""
    if not turns:
        return
    task = bar.add_task(doing, total=len(turns))
    for candidate, engine in turns:
        if candidate.error is None:
            bar.update(task, description=escape(f"{doing} {candidate.name} on {candidate.choice}"))
            yield candidate, engine
        bar.advance(task)
    bar.update(task, description=doing)


def _compare_layers(
    candidate: Candidate,
    engine: Engine,
    engines: Sequence[tuple[Candidate, Engine]],
    evaluation_set: EvaluationSet | None,
) -> None:
    """Compare the layers of an export with its source model, if its engine runs here and exposes them."""
    source_model = source_model_of(candidate, [each for each, _ in engines if each.error is None])
    shows = candidate.choice and not candidate.choice.lives_apart and hasattr(candidate.choice.runtime, "probe")
    if source_model is None or source_model is candidate or not shows:
        return
    theirs = next(engine for each, engine in engines if each is source_model)
    images = evaluation.first_images(LAYER_IMAGES, candidate, theirs, evaluation_set)
    candidate.layer_sqnr_db = layer_error.layer_sqnr_db(theirs, engine, images)


def _bar(console: Console) -> Progress:
    return Progress(console=console, transient=True, disable=not can_redraw(console))


def _row(
    candidate: Candidate,
    candidates: Sequence[Candidate],
    baseline: Candidate | None,
    threads: int,
) -> Row:
    """Return the row of a candidate, with comparisons to its source model and the baseline."""
    file = _model_file(candidate, threads)
    if candidate.error:
        return Failed(**vars(file), error=candidate.error)
    source_model = source_model_of(candidate, candidates)
    found, compared = None, None
    if own := candidate.predictions:
        found = accuracy.evaluation(own.probabilities, own.labels)
        if source_model and (reference := source_model.predictions):
            compared = accuracy.comparison(own.probabilities, reference.probabilities, own.labels)
    return Measured(
        **vars(file),
        evaluation=found,
        no_accuracy=candidate.no_accuracy,
        comparison=compared,
        performance=_performance(candidate, baseline or source_model),
        arena_bytes=candidate.engine.arena_bytes if candidate.engine else None,
        layer_sqnr_db=candidate.layer_sqnr_db,
        may_saturate=_may_saturate(candidate),
        flips=str(candidate.flips) if candidate.flips else None,
    )


def _model_file(candidate: Candidate, threads: int) -> ModelFile:
    content = None
    with contextlib.suppress(EdgesqzError):  # a file that cannot be read still has a size
        content = whole_bytes(candidate.path)
    return ModelFile(
        artifact=candidate.name,
        path=str(candidate.path),
        sha256=None if content is None else sha256(content),
        format=model_suffix(candidate.path).removeprefix("."),
        variant=candidate.manifest.variant if candidate.manifest else None,
        runtime=candidate.choice.name if candidate.choice else None,
        runtime_version=candidate.runtime_version,
        size_bytes=size_bytes(candidate.path) if content is None or candidate.path.is_dir() else len(content),
        gzipped_bytes=None if content is None else len(gzip.compress(content)),
        threads=threads,
        named=candidate.named,
        untrained=candidate.untrained,
    )


def _performance(candidate: Candidate, reference: Candidate | None) -> Performance | None:
    """Return latency and memory, or None for an engine that is not timed."""
    engine, timing, memory = candidate.engine, candidate.timing, candidate.memory
    if engine is None or timing is None or memory is None:
        return None
    return Performance(
        latency_us=Latency.of(timing.rounds_ns, engine.batch),
        latency_ratio=_latency_ratio(timing, reference),
        stable=timing.stable,
        overhead_us=engine.overhead_us,
        load_ms=engine.load_ms,
        first_us=timing.first_us,
        peak_rss_bytes=memory.peak_rss_bytes,
        memory_bytes=memory.above_idle_bytes,
    )


def _may_saturate(candidate: Candidate) -> bool:
    """Return whether the products of a file's weights may saturate on the engine and processor that ran it."""
    on_onnxruntime = candidate.choice is not None and candidate.choice.runtime.ENGINE == "onnxruntime"
    if not on_onnxruntime or candidate.engine is None or candidate.engine.machine.vnni is not False:
        return False
    import onnx

    return saturation.may_saturate(onnx.load_from_string(whole_bytes(candidate.path)))


def _latency_ratio(timing: Timing, other: Candidate | None) -> Ratio | None:
    if other is None or other.error or other.timing is None:
        return None
    return Ratio.of(Latency.of(timing.rounds_ns), other.name, Latency.of(other.timing.rounds_ns))
