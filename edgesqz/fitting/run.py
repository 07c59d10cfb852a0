"""Find the best files for a quota among all exports of the available models and the files in the workspace.

One half of the test images selects, by the rule of ``edgesqz.benchmarking.selection``; the other half measures the
accuracy that is reported. Nothing is removed: if the best file is already in the workspace and within the quota, it
stays, and if there is no room for a better file, the result says how to make room for it.
"""

from __future__ import annotations

import itertools
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import artifact, data, defaults, plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact, Manifest
from edgesqz.benchmarking.entries import Entry
from edgesqz.benchmarking.plan import Bench
from edgesqz.benchmarking.rows import Failed, Measured
from edgesqz.benchmarking.run import measure
from edgesqz.benchmarking.selection import obstacle, select
from edgesqz.errors import EdgesqzError, NoRoomError, option
from edgesqz.exporting import Export
from edgesqz.exporting.job import Job, available_jobs
from edgesqz.exporting.shipped import fine_tuned
from edgesqz.fitting.plan import Fit
from edgesqz.fitting.result import FitResult, Kept, Rejected
from edgesqz.lookup import model_files
from edgesqz.options import as_list, as_path
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import for_conversion, scratch
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console

SELECTS, TESTS = 0, 1  # the halves of the test images

BYTES_PER_FLOAT = 4
EXPORTS_PER_MODEL = 4  # upper bound of the size of all exports of a model, relative to its .keras file


@dataclass(frozen=True)
class Candidate:
    """A file that may be kept.

    Attributes:
        file_name: Name of the file.
        dataset: The dataset that it is measured on.
        in_workspace: Whether it is in the workspace.
        size_bytes: Size of the file with its manifest, or None if it was not exported.
        entry: Its measurements, or None if there are none.
        reason: Why it cannot be kept, or None if it can be.
        note: Why it is kept, or an empty string until it is selected.
    """

    file_name: str
    dataset: str
    in_workspace: bool = False
    size_bytes: int | None = None
    entry: Entry | None = None
    reason: str | None = None
    note: str = ""

    @property
    def stored_names(self) -> tuple[str, str]:
        """The names of the file and of its manifest."""
        return self.file_name, self.file_name + artifact.MANIFEST_SUFFIX

    @property
    def label(self) -> str:
        """Name of the file, with its folder if another file has that name."""
        return self.entry.label if self.entry else self.file_name

    @property
    def cost(self) -> int:
        """Number of bytes that keeping the file takes."""
        return 0 if self.in_workspace else self.size_bytes or 0

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy on the half of the test images that selects, 0..1, or None if it was not measured."""
        return self.entry.row.accuracy if self.entry and isinstance(self.entry.row, Measured) else None

    @property
    def latency_us(self) -> float | None:
        """Median latency of one image, or None if it was not measured."""
        return self.entry.row.p50_us if self.entry and isinstance(self.entry.row, Measured) else None

    def kept(self, accuracy: float | None) -> Kept:
        """Return the file as kept, with its accuracy on the half of the test images that tests."""
        assert self.size_bytes is not None and self.accuracy is not None and accuracy is not None
        return Kept(
            file_name=self.file_name,
            dataset=self.dataset,
            in_workspace=self.in_workspace,
            size_bytes=self.size_bytes,
            selection_accuracy=self.accuracy,
            accuracy=accuracy,
            latency_us=self.latency_us,
            note=self.note,
        )

    def rejected(self, reason: str) -> Rejected:
        """Return the file as rejected."""
        return Rejected(
            label=self.label,
            dataset=self.dataset,
            in_workspace=self.in_workspace,
            size_bytes=self.size_bytes,
            selection_accuracy=self.accuracy,
            latency_us=self.latency_us,
            reason=reason,
        )


def run(plan: Fit, console: Console) -> FitResult:
    """Export, measure and select as a plan says.

    Raises:
        EdgesqzError: No quota, bad input, or no model whose data are available.
    """
    data_dir = as_path(plan.data_dir)
    formats = [str(name) for name in as_list(plan.format)]
    jobs = [job for name in formats for job in available_jobs(plugins.converter(name))]
    home = Workspace(Path(plan.workspace), plan.quota)
    room = home.room_for(())
    if room is None or home.quota_bytes is None:
        raise EdgesqzError(f"fit needs a quota; give {option('quota')}, for example 300kB")
    shared = Bench(
        data_dir=data_dir,
        max_latency=plan.max_latency,
        max_memory=plan.max_memory,
        min_accuracy=plan.min_accuracy,
    )
    test_data = TestData.find(str(plan.dataset) if plan.dataset else None, data_dir)
    models = _available_models(home.folder, test_data)
    existing = _existing_exports(home, {job.converter.SUFFIX for job in jobs}, test_data)
    within_reach = room + sum(file.size_bytes or 0 for file in existing)  # if all of them were removed
    scratch_dir = as_path(plan.scratch_dir)
    with scratch(scratch_dir, home, _scratch_bytes(models)), tempfile.TemporaryDirectory() as temporary:
        made = Workspace(Path(temporary) / "new", sys.maxsize)
        common = Export(calibration=plan.calibration, data_dir=data_dir, dataset=test_data.requested)
        new = [
            _export(replace(common, model=path), job, name, within_reach, made, console)
            for path, name in models
            for job in jobs
        ]
        files = [*existing, *_additional(new, existing, made.folder, home.folder)]
        for name in _datasets(files):
            folders = {True: home.folder, False: made.folder}
            files = _measured(files, folders, replace(shared, dataset=name), console)
        files = select_files(files, room, home)
        written = [
            name for file in files if file.reason is None and not file.in_workspace for name in file.stored_names
        ]
        if written:
            home.write({name: (made.folder / name).read_bytes() for name in written})
    kept: list[Kept] = []
    for name in _datasets(files):
        kept += _tested(files, home.folder, Bench(dataset=name, data_dir=data_dir, rounds=1), console)
    rejected = tuple(file.rejected(file.reason) for file in files if file.reason is not None)
    return FitResult(home.quota_bytes, room, tuple(kept), rejected, home.folder)


@dataclass(frozen=True)
class TestData:
    """Finds the dataset that a model is measured on.

    Attributes:
        requested: The dataset for all models; None for the dataset that each model was trained on.
        labels: Names of the requested dataset's classes.
        data_dir: Folder with the datasets' files; None for the download cache.
    """

    __test__ = False  # pytest would take it for a test case

    requested: str | None
    labels: tuple[str, ...]
    data_dir: Path | None

    @classmethod
    def find(cls, requested: str | None, data_dir: Path | None) -> TestData:
        """Read the class names of the requested dataset.

        Raises:
            EdgesqzError: The dataset is not available.
        """
        return cls(requested, data.load(requested, data_dir).labels if requested else (), data_dir)

    def of(self, manifest: Manifest | None) -> str | None:
        """Return the dataset for a model, or None if it is not available."""
        if manifest is None or manifest.untrained:
            return None
        if self.requested:
            return self.requested if self.requested == manifest.dataset or self.labels == manifest.labels else None
        return manifest.dataset if manifest.dataset and self._is_available(manifest.dataset) else None

    def _is_available(self, name: str) -> bool:
        try:
            return data.locate(name, self.data_dir) is not None
        except EdgesqzError:  # not in data_dir, or the folder was removed
            return False


def _available_models(folder: Path, test_data: TestData) -> list[tuple[Path, str]]:
    """Find the trained models in the workspace and the zoo, with their datasets.

    A model in the workspace hides one of the same name in the zoo.

    Raises:
        EdgesqzError: There is no model whose data are available.
    """
    paths = {path.name: path for place in (ZOO, folder) for path in sorted(place.glob(f"*{KERAS_SUFFIX}"))}
    manifests = {path: Artifact.open(path).manifest for path in paths.values()}
    found = [(path, name) for path, manifest in manifests.items() if (name := test_data.of(manifest))]
    if not found and test_data.requested:
        raise EdgesqzError(
            f"no model in {folder} or the zoo has the classes of {test_data.requested}: {', '.join(test_data.labels)}; "
            "train one with edgesqz train --dataset"
        )
    if not found:
        wanted = ", ".join(sorted({each.dataset for each in manifests.values() if each and each.dataset}))
        raise EdgesqzError(
            f"the images that the models were trained on are not available: {wanted}; "
            f"give {option('data_dir')} or {option('dataset')}"
        )
    return found


def _existing_exports(home: Workspace, suffixes: set[str], test_data: TestData) -> list[Candidate]:
    """Find the exports in the workspace. Each one that is damaged or larger than the quota has a reason."""
    files, quota = [], home.quota_bytes or 0
    for path in model_files(home.folder):
        if path.suffix not in suffixes:
            continue
        try:
            dataset = test_data.of(Artifact.open(path).manifest)
        except EdgesqzError as error:
            files.append(Candidate(path.name, "", in_workspace=True, reason=str(error)))
            continue
        if dataset:
            file = Candidate(path.name, dataset, in_workspace=True)
            size = sum((home.folder / name).stat().st_size for name in file.stored_names)
            reason = f"larger than the quota of {format_size(quota)}" if size > quota else None
            files.append(replace(file, size_bytes=size, reason=reason))
    return files


def _scratch_bytes(models: Sequence[tuple[Path, str]]) -> int:
    """Estimate the temporary space for converting models one after the other and keeping all their exports."""
    sizes = [path.stat().st_size for path, _ in models]
    return for_conversion(max(sizes) // BYTES_PER_FLOAT) + EXPORTS_PER_MODEL * sum(sizes)


def _datasets(files: Sequence[Candidate]) -> list[str]:
    """Return the datasets of the files that may still be kept."""
    return list(dict.fromkeys(file.dataset for file in files if file.reason is None))


def _export(plan: Export, job: Job, dataset: str, within_reach: int, made: Workspace, console: Console) -> Candidate:
    """Export one variant of the plan's model into a temporary workspace, unless it could not fit in any case."""
    from rich.console import Console

    file = Candidate(job.file_name(Path(str(plan.model)).stem), dataset)
    plan = replace(
        plan,
        format=job.converter.FORMAT,
        variant=job.variant,
        calibration=plan.calibration if job.kind.needs_calibration else None,
        workspace=made.folder,
        quota=made.used_bytes() + max(within_reach, 1),
    )
    try:
        if found := _in_zoo(Path(str(plan.model)), file.file_name):
            content = {name: artifact.read_bytes(found.path.with_name(name)) for name in file.stored_names}
            Workspace(made.folder, plan.quota).write(content)
        else:
            plan.run(Console(quiet=True))
    except NoRoomError:
        return replace(file, reason=_too_large(within_reach))
    except EdgesqzError as error:
        return replace(file, reason=str(error))
    outcome = "copied from the zoo" if found else "exported"
    console.print(f"{file.file_name}: {outcome}", highlight=False, markup=False, soft_wrap=True)
    return replace(file, size_bytes=sum((made.folder / name).stat().st_size for name in file.stored_names))


def _in_zoo(model: Path, file_name: str) -> Artifact | None:
    """Return the zoo's file if it was fine-tuned for its variant from this model of the zoo, and is thus better."""
    return fine_tuned(file_name, artifact.sha256(artifact.read_bytes(model))) if model.parent == ZOO else None


def _too_large(within_reach: int) -> str:
    """Say that there would be no room for an export even in place of all others."""
    if within_reach <= 0:
        return "no room: files other than exports fill the quota"
    return f"larger than the {format_size(within_reach)} that the quota allows for exports"


def _additional(new: Sequence[Candidate], existing: Sequence[Candidate], made: Path, home: Path) -> list[Candidate]:
    """Return the exports that add a file: not those whose file in the workspace is identical or cannot be replaced."""
    known = {file.file_name for file in existing}
    return [
        file
        for file in new
        if file.file_name not in known
        or (
            file.size_bytes is not None and (made / file.file_name).read_bytes() != (home / file.file_name).read_bytes()
        )
    ]


def _measured(files: Sequence[Candidate], folders: dict[bool, Path], plan: Bench, console: Console) -> list[Candidate]:
    """Measure the files of the plan's dataset on the half of its test images that selects.

    ``folders`` holds the folders of the files, by whether these are in the workspace.
    """
    running = {folders[file.in_workspace] / file.file_name: file for file in _running(files, str(plan.dataset))}
    entries = _bench(list(running), plan, SELECTS, console)
    measured = {id(file): _with_figures(file, entries[path]) for path, file in running.items()}
    return [measured.get(id(file), file) for file in files]


def _tested(files: Sequence[Candidate], folder: Path, plan: Bench, console: Console) -> list[Kept]:
    """Measure the accuracy of the files that are kept on the other half of the test images."""
    running = _running(files, str(plan.dataset))
    entries = _bench([folder / file.file_name for file in running], plan, TESTS, console)
    rows = [entries[folder / file.file_name].row for file in running]
    return [
        file.kept(row.accuracy if isinstance(row, Measured) else None) for file, row in zip(running, rows, strict=True)
    ]


def _running(files: Sequence[Candidate], dataset: str) -> list[Candidate]:
    """Return the files of a dataset that may still be kept."""
    return [file for file in files if file.dataset == dataset and file.reason is None]


def _bench(paths: Sequence[Path], plan: Bench, half: int, console: Console) -> dict[Path, Entry]:
    """Measure files, and return what was found by path."""
    report = measure(replace(plan, models=paths), console, half, with_sources=False)
    return {Path(entry.row.path): entry for entry in report.entries}


def _with_figures(file: Candidate, entry: Entry) -> Candidate:
    if isinstance(entry.row, Failed):
        return replace(file, reason=entry.row.error)
    return replace(file, entry=entry)


def select_files(files: Sequence[Candidate], room: int, home: Workspace) -> list[Candidate]:
    """Select at most one file for each dataset, by the rule of ``select`` among those that fit beside the others."""
    groups = {dataset: _running(files, dataset) for dataset in _datasets(files)}
    taken = {file.file_name for file in files if file.in_workspace} | {path.name for path in model_files(home.folder)}
    kept = _most_accurate_set(groups, taken, room)
    decided: dict[int, Candidate] = {}
    for dataset, group in groups.items():
        left = room - sum(file.cost for name, file in kept.items() if name != dataset)
        possible = [file for file in group if _can_be_kept(file, taken, left)]
        selection = select([file.entry for file in possible if file.entry])
        if selection.chosen:
            kept[dataset] = next(file for file in possible if file.label == selection.chosen)
        wanted = select([file.entry for file in group if file.entry]).chosen
        for file in group:
            if file.label == selection.chosen:
                decided[id(file)] = replace(file, note=selection.note)
                continue
            reason = (
                selection.reasons.get(file.label) or (file.entry and obstacle(file.entry)) or _no_room(file, left, room)
            )
            if file.label == wanted and file not in possible:
                better = ", but better than what is kept" if selection.chosen else ""
                there = [each for each in files if each.in_workspace and each.dataset == dataset]
                reason += f"{better}; {_way_out(file, there, taken, left, home)}"
            decided[id(file)] = replace(file, reason=reason)
    return [decided.get(id(file), file) for file in files]


def _most_accurate_set(groups: dict[str, list[Candidate]], taken: set[str], room: int) -> dict[str, Candidate]:
    """Choose at most one file for each dataset so that all fit: the highest mean accuracy, then the smallest size."""
    choices = [
        [None, *_front([f for f in group if f.entry and not obstacle(f.entry) and _can_be_kept(f, taken, room)])]
        for group in groups.values()
    ]
    sets = ([file for file in each if file] for each in itertools.product(*choices))
    fitting = (each for each in sets if sum(file.cost for file in each) <= max(room, 0))
    best = max(fitting, key=lambda each: (sum(f.accuracy or 0 for f in each), -sum(f.cost for f in each)))
    return {file.dataset: file for file in best}


def _front(group: Sequence[Candidate]) -> list[Candidate]:
    """Return the Pareto front of accuracy and cost; the best set consists of such files."""
    best, front = -1.0, list[Candidate]()
    for file in sorted(group, key=lambda file: (file.cost, -(file.accuracy or 0), file.latency_us or 0)):
        if (file.accuracy or 0) > best:
            best = file.accuracy or 0
            front.append(file)
    return front


def _can_be_kept(file: Candidate, taken: set[str], left: int) -> bool:
    return file.in_workspace or (file.cost <= left and file.file_name not in taken)


def _no_room(file: Candidate, left: int, room: int) -> str:
    """Say why there is no room for a file, with ``left`` bytes of the ``room`` beside the files for other datasets."""
    if file.cost > left:
        others = "kept for other datasets" if left < room else "in the workspace"
        return f"no room beside the files {others}: {format_size(file.cost)}, {format_size(max(0, left))} free"
    return "another file has this name"


def _way_out(file: Candidate, there: Sequence[Candidate], taken: set[str], left: int, home: Workspace) -> str:
    """Say which files in the workspace to remove for a new one: the one with its name, then the largest ones."""
    going = [other for other in there if other.file_name == file.file_name]
    for other in sorted(there, key=lambda other: -(other.size_bytes or 0)):
        if other not in going and left + sum(each.size_bytes or 0 for each in going) < file.cost:
            going.append(other)
    names = [other.file_name for other in going] or ([file.file_name] if file.file_name in taken else [])
    if not names or left + sum(each.size_bytes or 0 for each in going) < file.cost:
        return "raise the quota"
    place = "" if home.folder == defaults.WORKSPACE else f" --workspace {shlex.quote(str(home.folder))}"
    return f"edgesqz workspace rm {shlex.join(names)}{place} makes room for it"
