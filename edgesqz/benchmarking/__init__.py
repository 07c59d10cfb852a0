"""The bench: what each model file costs and what it still gets right, measured side by side."""

from __future__ import annotations

import contextlib
import functools
import gzip
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from rich.markup import escape

from edgesqz import data, defaults, plugins, saturation
from edgesqz.artifact import (
    PixelRange,
    package_versions,
    read_bytes,
    sha256,
)
from edgesqz.benchmarking import accuracy, layer_error
from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.candidate import Candidate, distinct_names, place, source_model_of, with_source_models
from edgesqz.benchmarking.flips import Flip, contact_sheet
from edgesqz.benchmarking.report import Latency, Ratio, Report, Row
from edgesqz.engine import Engine, open_engine
from edgesqz.engine.host import Host
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.inventory import machine
from edgesqz.lookup import find_model_file, model_files
from edgesqz.workspace import settle, write_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

E = TypeVar("E")

SEED = 0  # of the choice that --limit makes
LAYER_IMAGES = 16  # each has thousands of values in a layer


def bench(
    artifacts: Sequence[str | Path] = (),
    *,
    dataset: str | None = None,
    data_dir: Path | None = None,
    limit: int | None = None,
    half: int | None = None,
    threads: int = 1,
    pin: int | None = None,
    rounds: int = defaults.BENCH_ROUNDS,
    pixel_range: str | None = None,
    runtimes: Sequence[str] = (),
    baseline: str | Path | None = None,
    quota: str | int | None = None,
    max_latency: str | None = None,
    max_memory: str | int | None = None,
    min_accuracy: float | None = None,
    max_accuracy_drop: float | None = None,
    layers: bool = False,
    flips: Path | None = None,
    host: str | None = None,
    workspace: Path = defaults.WORKSPACE,
    console: Console | None = None,
) -> Report:
    """Measure model files on their runtimes, each in a process of its own, their timing interleaved.

    An export's source model is measured with it if it is in the same folder or in the zoo. A file that cannot be
    measured is a row with an error; the others stand.

    Args:
        artifacts: model files, or names of files in the workspace; none for everything in the workspace.
        dataset: whose test split to use; None for the one the manifests name, or for no accuracy if that one is neither
            at hand nor can be downloaded.
        data_dir: where the dataset lies, if not in the cache.
        limit: use this many test images only, the classes evenly.
        half: 0 or 1 to use this half of the test images only: what one chooses, the other can judge.
        threads: for each engine to use.
        pin: the number of the processor's core to keep every engine on; None for any.
        rounds: how often each candidate's turn comes.
        pixel_range: what pixels 0..255 become for files without a manifest, as ``LOW..HIGH``.
        runtimes: engines to measure each file on that they run, as ``NAME`` or ``NAME==VERSION``; a file that none of
            them runs, or all files if there are none, are measured on the one installed for their format.
        baseline: the model file whose latency the others' are compared with; None for each one's source model.
        quota: bytes that a model file may have, as a number or as text such as ``2MB``.
        max_latency: the most that its median may be, such as ``2ms`` or ``500us``.
        max_memory: the most that its engine may add to its idle process, as ``quota``.
        min_accuracy: the least top-1, 0..1.
        max_accuracy_drop: the most it may lose against its source model, in percentage points.
        layers: whether to compare the layers of each export with its source model's.
        flips: a folder for a contact sheet of each export's flipped images, ``ARTIFACT.flips.png``, or
            ``ARTIFACT.RUNTIME.flips.png`` for a file on several runtimes; of files of one name, in sub-folders.
        host: another machine to run the engines on, as ``ssh://user@board:22?python=/path``; it needs Python, NumPy and
            the engines, and gets the models and images through the connection.
        workspace: where to look for the artifacts.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: bad input, or no data.
    """
    for flag, value in (("--limit", limit), ("--threads", threads), ("--rounds", rounds)):
        if value is not None and value < 1:
            raise EdgesqzError(f"{flag} must be above 0, got {value}")
    board = Host.parse(host) if host else None
    if not board and threads > (cores := os.cpu_count() or 1):
        raise EdgesqzError(f"--threads must be at most {cores}, the cores of this machine, got {threads}")
    if pin is not None and not board and pin not in (usable := _cores()):
        raise EdgesqzError(f"--pin must be one of the cores {', '.join(map(str, usable))}, got {pin}")
    if board and layers:
        raise EdgesqzError("--layers looks at files on this machine; leave out --host")
    pixels = PixelRange.parse(pixel_range) if pixel_range else None
    budget = Budget.parse(quota, max_latency, max_memory, min_accuracy, max_accuracy_drop)
    settle(workspace)
    named = _find(artifacts, workspace)
    reference = find_model_file(baseline, workspace) if baseline else None
    found = _distinct([*named, *([reference] if reference else [])])
    choices = [plugins.Choice.parse(text) for text in dict.fromkeys(runtimes)]
    if idle := [str(each) for each in choices if not any(path.suffix in each.runtime.SUFFIXES for path in found)]:
        raise EdgesqzError(f"none of the files is for --runtime {', '.join(idle)}")
    if board:
        board.check()
    candidates = with_source_models(
        [
            Candidate(path, bool(artifacts) and path in named, choice)
            for path in found
            for choice in _runtimes_of(path, choices)
        ]
    )
    if pixels and all(candidate.manifest for candidate in candidates):
        raise EdgesqzError("the manifest of each file tells what pixels become; leave out --pixel-range")
    names = distinct_names([candidate.path for candidate in candidates])
    for candidate in candidates:
        candidate.name = names[candidate.path]
    compared_with = next((each for each in candidates if reference and place(each.path) == place(reference)), None)
    if dataset and all(candidate.untrained for candidate in candidates):
        raise EdgesqzError("the files are untrained, so they have no accuracy; leave out --dataset")
    meant = dataset or _common_dataset(candidates)
    # Data that cannot be had are told first.
    evaluation_set, no_accuracy = _prepared(
        candidates, meant, data_dir, limit, half, asked_for=bool(dataset or data_dir)
    )
    if flips and not evaluation_set:
        raise EdgesqzError(f"--flips needs test images: {no_accuracy}")
    if flips:
        _make_folder(flips)
    if console and evaluation_set and evaluation_set.division:
        console.print(
            f"{evaluation_set.name}: {evaluation_set.division}", soft_wrap=True, highlight=False, markup=False
        )
    opened = functools.partial(open_engine, threads=threads, pinned_to=pin, pixels=pixels, host=board)
    _measure(candidates, evaluation_set, meant, opened, rounds, layers, console)
    if flips and evaluation_set:
        _save_flips(candidates, evaluation_set, flips)
    return Report(
        machine=_machine(board, candidates),
        versions=package_versions("numpy", "execnet") | {"python": platform.python_version()},
        dataset=evaluation_set.described(_first_size(candidates)) if evaluation_set else None,
        budget=budget,
        rows=tuple(_judged(_row(c, candidates, compared_with, threads), budget) for c in candidates),
        no_accuracy=no_accuracy,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgesqzError(f"cannot write to the folder {folder}: {error.strerror}") from error


def _machine(board: Host | None, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """What was measured on; of a board that never answered, its address."""
    if board is None:
        return machine()
    found = next((candidate.machine for candidate in candidates if candidate.machine), {"cpu": "unknown"})
    return found | {"host": board.address}


def _cores() -> list[int]:
    """The numbers of the cores that a process may be kept on."""
    if not hasattr(os, "sched_getaffinity"):
        raise EdgesqzError("--pin needs Linux: this system cannot keep a process on a core")
    return sorted(os.sched_getaffinity(0))


@dataclass
class _EvaluationSet:
    """What accuracy is measured on: a dataset's test images, at the size that each model takes."""

    name: str
    data_dir: Path | None
    limit: int | None
    half: int | None = None
    labels: tuple[str, ...] = ()  # of the classes
    division: str | None = None  # how the test images were set apart, where the dataset does not say
    splits: dict[ImageSize | None, data.Split] = field(default_factory=dict)  # by the size asked for

    def split(self, size: ImageSize | None) -> data.Split:
        """The images; those of a folder or drawn ones at ``size``, others at the one size they have."""
        size = None if self.name in data.SIZES else size
        if size not in self.splits:
            source = data.load(self.name, self.data_dir, size=size)
            images, self.labels, self.division = source.test(), source.labels, source.division
            if self.half is not None:
                images = data.holdout_split(images, share=0.5, seed=SEED)[self.half]
            self.splits[size] = images if self.limit is None else data.sample(images, self.limit, seed=SEED)
        return self.splits[size]

    def described(self, size: ImageSize | None) -> dict[str, Any]:
        return {"name": self.name, "split": "test", "images": len(self.split(size)), "labels": self.labels}


def _prepared(
    candidates: Sequence[Candidate],
    name: str | None,
    data_dir: Path | None,
    limit: int | None,
    half: int | None,
    *,
    asked_for: bool,
) -> tuple[_EvaluationSet | None, str | None]:
    """The exam with its images read, or none and why: a dataset that only a manifest names may be out of reach."""
    if name is None:
        return None, "the files are untrained"
    meant = asked_for or data.locate(name)
    evaluation_set = _EvaluationSet(name, data_dir, limit, half)
    try:
        evaluation_set.split(_first_size(candidates))
    except EdgesqzError as error:
        if meant:
            raise
        return None, str(error)
    return evaluation_set, None


def _runtimes_of(path: Path, choices: Sequence[plugins.Choice]) -> Sequence[plugins.Choice | None]:
    """The runtimes to measure a file on; None for the one of its format."""
    return [choice for choice in choices if path.suffix in choice.runtime.SUFFIXES] or [None]


def _find(names: Sequence[str | Path], workspace: Path) -> list[Path]:
    """The files that are meant; with no names, everything in the workspace."""
    if names:
        return _distinct(find_model_file(name, workspace) for name in names)
    found = model_files(workspace)
    if not found:
        raise EdgesqzError(
            f"no model file in {workspace}; run edgesqz train and edgesqz export, or edgesqz export squeezenet, "
            "which ships trained; or name files"
        )
    return found


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that are another spelling of one before them."""
    distinct: dict[Path, Path] = {}
    for path in paths:
        distinct.setdefault(place(path), path)
    return list(distinct.values())


def _common_dataset(candidates: Sequence[Candidate]) -> str | None:
    """The dataset that the manifests name; None if no candidate has learned anything."""
    if all(candidate.untrained for candidate in candidates):
        return None
    named = {c.manifest.dataset for c in candidates if c.manifest and c.manifest.dataset}
    if len(named) > 1:
        raise EdgesqzError(
            f"the models were trained on different datasets ({', '.join(sorted(named))}); give --dataset"
        )
    return named.pop() if named else defaults.DATASET


def _first_size(candidates: Sequence[Candidate]) -> ImageSize | None:
    """The size of the images that the first trained candidate is known to take."""
    return next((c.manifest.input.image_form[0] for c in candidates if c.manifest and not c.untrained), None)


def _measure(
    candidates: Sequence[Candidate],
    evaluation_set: _EvaluationSet | None,
    dataset: str | None,
    opened: Callable[..., Engine],
    rounds: int,
    layers: bool,
    console: Console | None,
) -> None:
    """Fill the candidates with figures or errors."""
    with contextlib.ExitStack() as stack, _bar(console) as bar:
        engines: list[tuple[Candidate, Engine]] = []
        started: list[Engine] = []
        stack.callback(_close, started)
        for candidate, _ in _turns(bar, "loading", [(each, None) for each in candidates]):
            with candidate.collecting_failures():
                assert candidate.artifact  # what could not be opened has an error, and no turn
                engine = opened(candidate.artifact, runtime=str(candidate.choice))
                started.append(engine)
                candidate.open(engine)
                candidate.no_accuracy = _other_size(candidate, engine, dataset)
                if candidate.is_timed:
                    candidate.warm_up(engine, _timed_image(candidate, engine, evaluation_set))
                engines.append((candidate, engine))
        for candidate, engine in _turns(bar, "timing", [pair for pair in engines if pair[0].is_timed] * rounds):
            with candidate.collecting_failures():
                candidate.rounds_ns.append(engine.time_ns(candidate.inferences_a_round))
        for candidate, engine in _turns(bar, "accuracy", engines):
            with candidate.collecting_failures():
                if candidate.is_timed:
                    candidate.measure_memory(engine)
                if evaluation_set and not candidate.untrained and not candidate.no_accuracy:
                    _evaluate(candidate, engine, evaluation_set)
        for candidate, engine in _turns(bar, "layers", engines if layers else []):
            with candidate.collecting_failures():
                _compare_layers(candidate, engine, engines, evaluation_set)


def _close(engines: Sequence[Engine]) -> None:
    """End all engines at once, for some take a second."""
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(Engine.close, engines):
            pass


def _turns(bar: Progress, doing: str, turns: Sequence[tuple[Candidate, E]]) -> Iterator[tuple[Candidate, E]]:
    """Give each its turn that has not failed, while the bar says which engine is at work."""
    if not turns:
        return
    task = bar.add_task(doing, total=len(turns))
    for candidate, engine in turns:
        if candidate.error is None:
            bar.update(task, description=escape(f"{doing} {candidate.name} on {candidate.choice}"))
            yield candidate, engine
        bar.advance(task)
    bar.update(task, description=doing)


def _other_size(candidate: Candidate, engine: Engine, dataset: str | None) -> str | None:
    """Why a dataset of images of one size has none for a file, and what to do; None if it may have."""
    size, _ = engine.form
    fixed = data.SIZES.get(dataset or "")
    if fixed in (None, size) or candidate.untrained:
        return None
    return (
        f"it takes images of {size} pixels, those of {dataset} have {fixed}; "
        "name a folder of test images with --dataset DIR"
    )


def _timed_image(candidate: Candidate, engine: Engine, evaluation_set: _EvaluationSet | None) -> np.ndarray:
    """The image, uint8 (1, H, W, channels), that is classified while the clock runs."""
    return _images(1, candidate, engine, evaluation_set)


def _images(count: int, candidate: Candidate, engine: Engine, evaluation_set: _EvaluationSet | None) -> np.ndarray:
    """The first test images, or drawn ones for a file that gets no accuracy; uint8 (N, H, W, channels)."""
    size, channels = engine.form
    if evaluation_set and not candidate.untrained and not candidate.no_accuracy:
        split = evaluation_set.split(size)
    else:
        split = data.draw(count, size, seed=SEED)
    return data.with_channels(split.images[:count], channels)


def _evaluate(candidate: Candidate, engine: Engine, evaluation_set: _EvaluationSet) -> None:
    """Let a candidate classify the test images, if its classes are the dataset's."""
    size, channels = engine.form
    images, labels = evaluation_set.split(size), evaluation_set.labels
    answers = engine.predict(data.with_channels(images.images, channels))
    if answers.shape[1] != len(labels):
        raise EdgesqzError(f"expected a model of the dataset's {len(labels)} classes, it gives {answers.shape[1]}")
    own = candidate.manifest.labels if candidate.manifest else ()
    if own and own != labels:
        raise EdgesqzError(f"expected a model of the dataset's classes {', '.join(labels)}; its own: {', '.join(own)}")
    if not np.isfinite(answers).all():
        raise EdgesqzError("the model answers with values that are no numbers")
    candidate.size, candidate.probabilities, candidate.labels = size, answers, images.labels


def _compare_layers(
    candidate: Candidate,
    engine: Engine,
    engines: Sequence[tuple[Candidate, Engine]],
    evaluation_set: _EvaluationSet | None,
) -> None:
    """Look for where an export strays from its source model, on an engine of this environment that shows its layers."""
    source_model = source_model_of(candidate, [each for each, _ in engines if each.error is None])
    shows = candidate.choice and not candidate.choice.lives_apart and hasattr(candidate.choice.runtime, "probe")
    if source_model is None or source_model is candidate or not shows:
        return
    theirs = next(engine for each, engine in engines if each is source_model)
    images = _images(LAYER_IMAGES, candidate, engine, evaluation_set)
    candidate.layer_sqnr_db = layer_error.layer_sqnr_db(theirs, engine, images)


def _save_flips(candidates: Sequence[Candidate], evaluation_set: _EvaluationSet, folder: Path) -> None:
    """Draw what each export answers otherwise than its source model."""
    for candidate in candidates:
        source_model = source_model_of(candidate, candidates)
        if candidate.probabilities is None or source_model is None or source_model.probabilities is None:
            continue
        before, after = source_model.probabilities.argmax(axis=1), candidate.probabilities.argmax(axis=1)
        split, named = evaluation_set.split(candidate.size), evaluation_set.labels
        flipped = [
            Flip(split.images[k], named[split.labels[k]], named[before[k]], named[after[k]])
            for k in np.flatnonzero(before != after)
        ]
        if flipped:
            alone = sum(other.path == candidate.path for other in candidates) == 1
            name = candidate.name if alone else f"{candidate.name}.{candidate.choice}"
            sheet = folder / f"{name}.flips.png"  # in a folder of its own if the file's name has one
            _make_folder(sheet.parent)
            write_file(sheet, contact_sheet(name, flipped))
            candidate.flips = sheet


def _bar(console: Console | None) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    console = console or Console(quiet=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _row(
    candidate: Candidate,
    candidates: Sequence[Candidate],
    baseline: Candidate | None,
    threads: int,
) -> Row:
    """The figures of a candidate, compared with its source model's and with the baseline's."""
    row = Row(
        artifact=candidate.name,
        path=str(candidate.path),
        flips=str(candidate.flips) if candidate.flips else None,
        format=candidate.path.suffix.removeprefix("."),
        variant=candidate.manifest.variant if candidate.manifest else None,
        runtime=candidate.choice.name if candidate.choice else None,
        runtime_version=candidate.runtime_version or (candidate.choice.version if candidate.choice else None),
        size_bytes=candidate.path.stat().st_size,
        gzipped_bytes=None,
        fits_quota=None,
        named=candidate.named,
        threads=threads,
        untrained=candidate.untrained,
    )
    with contextlib.suppress(EdgesqzError):  # a file that cannot be read has a size all the same
        content = read_bytes(candidate.path)
        row = replace(row, sha256=sha256(content), gzipped_bytes=len(gzip.compress(content)))
    if candidate.error:
        return replace(row, error=candidate.error)
    source_model = source_model_of(candidate, candidates)
    if candidate.rounds_ns:
        ratio = _latency_ratio(candidate, baseline or source_model)
        row = replace(row, latency_us=Latency.of(candidate.rounds_ns), latency_ratio=ratio)
    row = replace(
        row,
        stable=candidate.stable,
        first_us=candidate.first_us,
        peak_rss_bytes=candidate.peak_rss_bytes,
        memory_bytes=candidate.memory_bytes,
        layer_sqnr_db=candidate.layer_sqnr_db,
        may_saturate=_may_saturate(candidate, content),
        no_accuracy=candidate.no_accuracy,
        **candidate.engine_facts,
    )
    if candidate.probabilities is None or candidate.labels is None:
        return row
    expected = source_model.probabilities if source_model else None
    return replace(row, **accuracy.graded(candidate.probabilities, candidate.labels, expected))


def _may_saturate(candidate: Candidate, content: bytes) -> bool:
    """Whether the engine and the processor that a file ran on may saturate its products."""
    on_onnxruntime = candidate.choice is not None and candidate.choice.runtime.ENGINE == "onnxruntime"
    if not on_onnxruntime or candidate.machine is None or candidate.machine["vnni"] is not False:
        return False
    import onnx

    return saturation.may_saturate(onnx.load_from_string(content))


def _judged(row: Row, budget: Budget) -> Row:
    """The row with how it stands to the budget."""
    fits = None if budget.size_bytes is None else row.size_bytes <= budget.size_bytes
    return replace(row, fits_quota=fits, missed=budget.missed_by(row))


def _latency_ratio(candidate: Candidate, other: Candidate | None) -> Ratio | None:
    if other is None or other.error or not other.rounds_ns:
        return None
    return Ratio.of(candidate.rounds_ns, other.name, other.rounds_ns)
