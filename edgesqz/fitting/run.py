"""Fit: the best files that a quota has room for, out of every model and variant at hand and what is there already.

Accuracy that chooses is measured on one half of the test images, accuracy that is told on the other. Files are chosen
by the rule of ``edgesqz.benchmarking.selection``. Nothing is removed: a file of the workspace that is the best stays,
and where a better one has no room, the way to make room is told.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact, data, defaults, plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact, Manifest
from edgesqz.benchmarking.plan import Bench
from edgesqz.benchmarking.report import Row
from edgesqz.benchmarking.run import measure
from edgesqz.benchmarking.selection import obstacle, select
from edgesqz.errors import EdgesqzError, NoRoomError, option
from edgesqz.exporting import Export
from edgesqz.fitting.plan import Fit
from edgesqz.lookup import model_files
from edgesqz.options import as_list
from edgesqz.tables import Column, Table
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import for_conversion, scratch
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console

CHOOSES, JUDGES = 0, 1  # the halves of the test images

BYTES_A_FLOAT = 4
VARIANTS_TOGETHER = 4  # all exports of a model in all formats, to the size of its .keras file


@dataclass(frozen=True)
class Fitted:
    """A file that was looked at.

    Attributes:
        in_workspace: whether it was there before.
        size_bytes: with its manifest; None if it was not made.
        accuracy: top-1 on the half of the test images that chooses, 0..1.
        judged_accuracy: top-1 on the other half, 0..1, of a file that is kept.
        latency_us: the median of one inference.
        reason: why it is not kept; None if it is.
        note: why it is kept; None if it is not.
        row: what was measured; None if it was not. Not in JSON.
    """

    file_name: str
    dataset: str
    in_workspace: bool = False
    size_bytes: int | None = None
    accuracy: float | None = None
    judged_accuracy: float | None = None
    latency_us: float | None = None
    reason: str | None = None
    note: str | None = None
    row: Row | None = field(default=None, compare=False, repr=False)

    @property
    def stored_names(self) -> tuple[str, str]:
        """Its file and that file's manifest."""
        return self.file_name, self.file_name + artifact.MANIFEST_SUFFIX

    @property
    def label(self) -> str:
        """What it is called beside the others: with its folder, where another has its name."""
        return self.row.artifact if self.row else self.file_name

    @property
    def cost(self) -> int:
        """Bytes of room that keeping it takes."""
        return 0 if self.in_workspace else self.size_bytes or 0


@dataclass(frozen=True)
class FitResult:
    """What was kept of all that was looked at.

    Attributes:
        room_bytes: that the quota had left; below zero where the workspace held more than that.
        folder: the workspace. Not in JSON.
    """

    quota_bytes: int
    room_bytes: int
    files: tuple[Fitted, ...]
    folder: Path = field(default=defaults.WORKSPACE, compare=False)

    @property
    def kept(self) -> tuple[Fitted, ...]:
        """The files that are in the workspace now: one for each dataset, if each has one that fits."""
        return tuple(file for file in self.files if file.reason is None)

    def to_json(self) -> str:
        """What was found as JSON text."""
        found = dataclasses.asdict(replace(self, files=tuple(replace(file, row=None) for file in self.files)))
        del found["folder"]
        for file in found["files"]:
            del file["row"]
        return json.dumps(found, indent=2) + "\n"

    def table(self) -> Table:
        """A row a file, those that are kept first."""
        heads = ("size\nkB", "chosen by\n%", "judged\n%", "p50\nµs")
        rows = []
        for file in sorted(self.files, key=lambda file: (file.reason is not None, -(file.accuracy or 0))):
            figures = (
                (file.size_bytes, 1e3),
                (file.accuracy, 0.01),
                (file.judged_accuracy, 0.01),
                (file.latency_us, 1),
            )
            cells = ["" if value is None else f"{value / unit:.{2 if unit == 0.01 else 1}f}" for value, unit in figures]
            kept = f"{'stays' if file.in_workspace else 'kept'}: {file.note}"
            rows.append([file.label, *cells, file.reason or kept])
        return Table(
            [
                Column("file", is_name=True),
                *(Column(head, "right") for head in heads),
                Column("outcome", is_prose=True),
            ],
            rows,
            caption=f"{self._room()}; chosen by one half of the test images, judged by the other",
        )

    def _room(self) -> str:
        free, over = max(0, self.room_bytes), max(0, -self.room_bytes)
        exceeded = f", which what is there exceeds by {format_size(over)}" if over else ""
        return f"{format_size(free)} of the quota of {format_size(self.quota_bytes)} were free{exceeded}"


def run(plan: Fit, console: Console) -> FitResult:
    """Export, measure and choose as a plan says.

    Raises:
        EdgesqzError: no quota, bad input, or no model whose data are at hand.
    """
    data_dir = Path(plan.data_dir) if plan.data_dir else None
    formats = [str(name) for name in as_list(plan.format)]
    kinds = [(name, variant) for name in formats for variant in plugins.converter(name).VARIANTS]
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
    models = _models_at_hand(home.folder, test_data)
    there = _exports_there(home.folder, {plugins.converter(name).SUFFIX for name in formats}, test_data)
    within_reach = room + sum(file.size_bytes or 0 for file in there)  # if everything made way
    scratch_dir = Path(plan.scratch_dir) if plan.scratch_dir else None
    with scratch(scratch_dir, home, _scratch_bytes(models)), tempfile.TemporaryDirectory() as temporary:
        made = Workspace(Path(temporary) / "new", sys.maxsize)
        options = {"calibration": plan.calibration_images, "data_dir": data_dir, "dataset": test_data.asked_for}
        new = [_made(path, name, kind, within_reach, made, options, console) for path, name in models for kind in kinds]
        known = [file.file_name for file in there]
        new = [file for file in new if not (file.file_name in known and _is_same(file, made.folder, home.folder))]
        files = [*there, *new]
        for name in _datasets(files):
            folders = {True: home.folder, False: made.folder}
            files = _measured(files, folders, replace(shared, dataset=name), console)
        files = select_files(files, room, home)
        written = [
            name for file in files if file.reason is None and not file.in_workspace for name in file.stored_names
        ]
        if written:
            home.write({name: (made.folder / name).read_bytes() for name in written})
    for name in _datasets(files):
        files = _judged(files, home.folder, Bench(dataset=name, data_dir=data_dir, rounds=1), console)
    return FitResult(home.quota_bytes, room, tuple(files), home.folder)


@dataclass(frozen=True)
class TestData:
    """Which dataset a model is measured on.

    Attributes:
        asked_for: the one for all models; None for each one's own.
        labels: of its classes.
        data_dir: where datasets lie, if not in the cache.
    """

    __test__ = False  # no test case, whatever its name makes pytest think

    asked_for: str | None
    labels: tuple[str, ...]
    data_dir: Path | None

    @classmethod
    def find(cls, asked_for: str | None, data_dir: Path | None) -> TestData:
        """Look for the dataset that is asked for.

        Raises:
            EdgesqzError: it is not to be had.
        """
        return cls(asked_for, data.load(asked_for, data_dir).labels if asked_for else (), data_dir)

    def of(self, manifest: Manifest | None) -> str | None:
        """The dataset for a model; None if there is none at hand."""
        if manifest is None or manifest.untrained:
            return None
        if self.asked_for:
            return self.asked_for if self.asked_for == manifest.dataset or self.labels == manifest.labels else None
        return manifest.dataset if manifest.dataset and self._is_at_hand(manifest.dataset) else None

    def _is_at_hand(self, name: str) -> bool:
        try:
            return data.locate(name, self.data_dir) is not None
        except EdgesqzError:  # not in data_dir, or a folder that is gone
            return False


def _models_at_hand(folder: Path, test_data: TestData) -> list[tuple[Path, str]]:
    """The trained networks of the workspace, and those of the zoo that no name there hides, with their datasets.

    Raises:
        EdgesqzError: there is none whose data are at hand.
    """
    paths = {path.name: path for place in (ZOO, folder) for path in sorted(place.glob(f"*{KERAS_SUFFIX}"))}
    manifests = {path: Artifact.open(path).manifest for path in paths.values()}
    found = [(path, name) for path, manifest in manifests.items() if (name := test_data.of(manifest))]
    if not found and test_data.asked_for:
        raise EdgesqzError(
            f"no model in {folder} or the zoo has the classes of {test_data.asked_for}: {', '.join(test_data.labels)}; "
            "train one with edgesqz train --dataset"
        )
    if not found:
        wanted = ", ".join(sorted({each.dataset for each in manifests.values() if each and each.dataset}))
        raise EdgesqzError(
            f"the images that the models were trained on are not at hand: {wanted}; "
            f"name {option('data_dir')} or {option('dataset')}"
        )
    return found


def _exports_there(folder: Path, suffixes: set[str], test_data: TestData) -> list[Fitted]:
    """The exports in the workspace that can be measured; a damaged one has its reason."""
    files = []
    for path in model_files(folder):
        if path.suffix not in suffixes:
            continue
        try:
            dataset = test_data.of(Artifact.open(path).manifest)
        except EdgesqzError as error:
            files.append(Fitted(path.name, "", in_workspace=True, reason=str(error)))
            continue
        if dataset:
            file = Fitted(path.name, dataset, in_workspace=True)
            size = sum((folder / name).stat().st_size for name in file.stored_names)
            files.append(replace(file, size_bytes=size))
    return files


def _scratch_bytes(models: Sequence[tuple[Path, str]]) -> int:
    """Bytes that converting models takes, one after the other, beside all that is made of them."""
    sizes = [path.stat().st_size for path, _ in models]
    return for_conversion(max(sizes) // BYTES_A_FLOAT) + VARIANTS_TOGETHER * sum(sizes)


def _datasets(files: Sequence[Fitted]) -> list[str]:
    """The datasets of the files that are still in the running."""
    return list(dict.fromkeys(file.dataset for file in files if file.reason is None))


def _made(
    path: Path,
    dataset: str,
    kind: tuple[str, str],
    within_reach: int,
    made: Workspace,
    options: dict[str, Any],
    console: Console,
) -> Fitted:
    """Export one variant of a model, if there can be room for it."""
    from rich.console import Console

    format_name, variant = kind
    file = Fitted(f"{path.stem}.{variant}{plugins.converter(format_name).SUFFIX}", dataset)
    try:
        quota = made.used_bytes() + max(within_reach, 1)
        if not plugins.converter(format_name).VARIANTS[variant].needs_calibration:
            options = options | {"calibration": None}
        plan = Export(path, format_name, variant=variant, workspace=made.folder, quota=quota, **options)
        plan.run(Console(quiet=True))
    except NoRoomError:
        file = replace(file, reason="too large")
    except EdgesqzError as error:
        file = replace(file, reason=str(error))
    else:
        file = replace(file, size_bytes=sum((made.folder / name).stat().st_size for name in file.stored_names))
    console.print(f"{file.file_name}: {file.reason or 'exported'}", highlight=False, markup=False, soft_wrap=True)
    return file


def _is_same(file: Fitted, made: Path, home: Path) -> bool:
    """Whether what was made is, byte for byte, what the workspace has, which then stands for it."""
    old, new = (place / file.file_name for place in (home, made))
    return new.is_file() and old.read_bytes() == new.read_bytes()


def _measured(files: Sequence[Fitted], folders: dict[bool, Path], plan: Bench, console: Console) -> list[Fitted]:
    """Bench the files of the plan's dataset on the half of its test images that chooses.

    They are in ``folders``, by whether they were in the workspace before.
    """
    running = {folders[file.in_workspace] / file.file_name: file for file in _running(files, str(plan.dataset))}
    rows = _bench(list(running), plan, CHOOSES, console)
    graded = {id(file): _graded(file, rows[path]) for path, file in running.items()}
    return [graded.get(id(file), file) for file in files]


def _judged(files: Sequence[Fitted], folder: Path, plan: Bench, console: Console) -> list[Fitted]:
    """Measure the accuracy of what was kept on the other half."""
    running = _running(files, str(plan.dataset))
    rows = _bench([folder / file.file_name for file in running], plan, JUDGES, console)
    kept = [id(file) for file in running]
    return [
        replace(file, judged_accuracy=rows[folder / file.file_name].accuracy) if id(file) in kept else file
        for file in files
    ]


def _running(files: Sequence[Fitted], dataset: str) -> list[Fitted]:
    """The files of a dataset that are still in the running."""
    return [file for file in files if file.dataset == dataset and file.reason is None]


def _bench(paths: Sequence[Path], plan: Bench, half: int, console: Console) -> dict[Path, Row]:
    """The row of each file."""
    report = measure(replace(plan, models=paths), console, half)
    return {Path(row.path): row for row in report.rows}


def _graded(file: Fitted, row: Row) -> Fitted:
    latency = row.latency_us.p50 if row.latency_us else None
    return replace(file, accuracy=row.accuracy, latency_us=latency, reason=row.error, row=row)


def select_files(files: Sequence[Fitted], room: int, home: Workspace) -> list[Fitted]:
    """Drop all but one file a dataset, by the rule of ``select`` among those that fit beside the others' files."""
    groups = {dataset: _running(files, dataset) for dataset in _datasets(files)}
    taken = {file.file_name for file in files if file.in_workspace} | {path.name for path in model_files(home.folder)}
    kept = _most_accurate_set(groups, taken, room)
    stable: dict[int, Fitted] = {}
    for dataset, group in groups.items():
        left = room - sum(file.cost for name, file in kept.items() if name != dataset)
        possible = [file for file in group if _can_be_kept(file, taken, left)]
        selection = select([file.row for file in possible if file.row])
        if selection.chosen:
            kept[dataset] = next(file for file in possible if file.label == selection.chosen)
        wanted = select([file.row for file in group if file.row]).chosen
        for file in group:
            if file.label == selection.chosen:
                stable[id(file)] = replace(file, note=selection.note)
                continue
            reason = selection.reasons.get(file.label) or (file.row and obstacle(file.row)) or _no_room(file, left)
            if file.label == wanted and file not in possible:
                reason += f", but better than what is kept; {_way_out(file, group, taken, left, home)}"
            stable[id(file)] = replace(file, reason=reason)
    return [stable.get(id(file), file) for file in files]


def _most_accurate_set(groups: dict[str, list[Fitted]], taken: set[str], room: int) -> dict[str, Fitted]:
    """One file a dataset, or none, that fit together: with the highest mean accuracy, of equal ones the smallest."""
    choices = [
        [None, *_front([f for f in group if f.row and not obstacle(f.row) and _can_be_kept(f, taken, room)])]
        for group in groups.values()
    ]
    sets = ([file for file in each if file] for each in itertools.product(*choices))
    fitting = (each for each in sets if sum(file.cost for file in each) <= max(room, 0))
    best = max(fitting, key=lambda each: (sum(f.accuracy or 0 for f in each), -sum(f.cost for f in each)))
    return {file.dataset: file for file in best}


def _front(group: Sequence[Fitted]) -> list[Fitted]:
    """The files that no other of the group beats in both accuracy and cost: the best set is among these."""
    best, front = -1.0, list[Fitted]()
    for file in sorted(group, key=lambda file: (file.cost, -(file.accuracy or 0), file.latency_us or 0)):
        if (file.accuracy or 0) > best:
            best = file.accuracy or 0
            front.append(file)
    return front


def _can_be_kept(file: Fitted, taken: set[str], left: int) -> bool:
    return file.in_workspace or (file.cost <= left and file.file_name not in taken)


def _no_room(file: Fitted, left: int) -> str:
    if file.cost > left:
        return f"no room: {format_size(file.cost)}, {format_size(max(0, left))} free"
    return "another file has its name"


def _way_out(file: Fitted, group: Sequence[Fitted], taken: set[str], left: int, home: Workspace) -> str:
    """What could go from the workspace for a file: who has its name, then the largest exports of its dataset."""
    there = sorted((other for other in group if other.in_workspace), key=lambda other: -(other.size_bytes or 0))
    going = [other for other in there if other.file_name == file.file_name]
    for other in there:
        if other not in going and left + sum(each.size_bytes or 0 for each in going) < file.cost:
            going.append(other)
    names = [other.file_name for other in going] or ([file.file_name] if file.file_name in taken else [])
    if not names or left + sum(each.size_bytes or 0 for each in going) < file.cost:
        return "raise the quota"
    place = "" if home.folder == defaults.WORKSPACE else f" --workspace {shlex.quote(str(home.folder))}"
    return f"edgesqz workspace rm {shlex.join(names)}{place} makes room for it"
