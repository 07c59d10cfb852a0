"""Fit: the most accurate files that a quota has room for, out of every model and variant at hand.

Accuracy that chooses is measured on one half of the test pictures, accuracy that is told on the other.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact, data, defaults, plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact
from edgesqz.benchmarking import bench
from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.report import Row
from edgesqz.errors import EdgesqzError, NoRoomError
from edgesqz.exporting import export
from edgesqz.tables import Column, Table
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import for_conversion, scratch
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console

CHOOSES, JUDGES = 0, 1  # the halves of the test pictures

BYTES_A_FLOAT = 4
VARIANTS_TOGETHER = 4  # all exports of a model in all formats, to the size of its .keras file


@dataclass(frozen=True)
class Fitted:
    """A file that was looked at.

    Attributes:
        size_bytes: with its manifest; None if it was not made.
        accuracy: top-1 on the half of the test pictures that chooses, 0..1.
        judged_accuracy: top-1 on the other half, 0..1, of a file that is kept.
        latency_us: the median of one inference.
        reason: why it is not kept; None if it is.
    """

    file_name: str
    dataset: str
    size_bytes: int | None = None
    accuracy: float | None = None
    judged_accuracy: float | None = None
    latency_us: float | None = None
    reason: str | None = None

    @property
    def stored_names(self) -> tuple[str, str]:
        """Its file and that file's manifest."""
        return self.file_name, self.file_name + artifact.MANIFEST_SUFFIX


@dataclass(frozen=True)
class Fit:
    """What was kept of all that was looked at.

    Attributes:
        room_bytes: that the quota had left.
    """

    quota_bytes: int
    room_bytes: int
    files: tuple[Fitted, ...]

    @property
    def kept(self) -> tuple[Fitted, ...]:
        """The files that are in the workspace now: one for each dataset, if each has one that fits."""
        return tuple(file for file in self.files if file.reason is None)

    def to_json(self) -> str:
        """What was found as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

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
            rows.append([file.file_name, *cells, file.reason or "kept"])
        return Table(
            [
                Column("file", is_name=True),
                *(Column(head, "right") for head in heads),
                Column("outcome", is_prose=True),
            ],
            rows,
            caption=f"{format_size(self.room_bytes)} of the quota of {format_size(self.quota_bytes)} were free; "
            "chosen by one half of the test images, judged by the other",
        )


def fit(
    quota: str | int | None = None,
    *,
    format: str | Sequence[str] = "tflite",
    max_latency: str | None = None,
    min_accuracy: float | None = None,
    data_dir: Path | None = None,
    calibration: int = defaults.CALIBRATION_PICTURES,
    workspace: Path = defaults.WORKSPACE,
    scratch_dir: Path | None = None,
    console: Console | None = None,
) -> Fit:
    """Export what gives the best accuracy within a quota: of each dataset's models, the best file that fits.

    Every variant of every model in the workspace and the zoo is made outside of the workspace and measured; where
    they were trained on several datasets, the files kept share the quota so that their mean accuracy is the highest.

    Args:
        quota: the most bytes the workspace may hold; see ``Workspace``.
        format: one or more of ``edgesqz.plugins.converters()``.
        max_latency: the most that the median of one inference may be, such as ``2ms``.
        min_accuracy: the least top-1, 0..1, on the half of the test pictures that chooses.
        data_dir: where the datasets lie, if not in the cache.
        calibration: how many training pictures choose the ranges of quantized files.
        workspace: the folder to write to.
        scratch_dir: for all that is made on the way; None for the system's folder.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: no quota, bad input, or no model whose data are at hand.
    """
    from rich.console import Console

    console = console or Console(quiet=True)
    formats = [format] if isinstance(format, str) else format
    kinds = [(name, variant) for name in formats for variant in plugins.converter(name).VARIANTS]
    home = Workspace(workspace, quota)
    room = home.room_for(())
    if room is None or home.quota_bytes is None:
        raise EdgesqzError("fit needs a quota; name it with --quota, such as --quota 300kB")
    limits: dict[str, Any] = {"max_latency": max_latency, "min_accuracy": min_accuracy}
    Budget.parse(**limits)  # what is no limit is told now
    models = _models_at_hand(home.folder, data_dir)
    with scratch(scratch_dir, home, _scratch_bytes(models)), tempfile.TemporaryDirectory() as made:
        elsewhere, options = Workspace(Path(made), sys.maxsize), {"calibration": calibration, "data_dir": data_dir}
        files = [
            _made(path, dataset, kind, room, elsewhere, options, console) for path, dataset in models for kind in kinds
        ]
        for dataset in _datasets(files):
            files = _measured(files, Path(made), dataset, data_dir, limits, console)
        files = _chosen(files, room)
        names = [name for file in files if file.reason is None for name in file.stored_names]
        home.write({name: (Path(made) / name).read_bytes() for name in names})
    for dataset in _datasets(files):
        files = _judged(files, home.folder, dataset, data_dir, console)
    return Fit(home.quota_bytes, room, tuple(files))


def _models_at_hand(folder: Path, data_dir: Path | None) -> list[tuple[Path, str]]:
    """The trained networks of the workspace, and those of the zoo that no name there hides, with their datasets.

    Raises:
        EdgesqzError: there is none whose data are at hand.
    """
    paths = {path.name: path for place in (ZOO, folder) for path in sorted(place.glob(f"*{KERAS_SUFFIX}"))}
    named = {path: manifest.dataset for path in paths.values() if (manifest := Artifact.open(path).manifest)}
    found = [(path, name) for path, name in named.items() if name and data.locate(name, data_dir)]
    if not found:
        wanted = ", ".join(sorted({name for name in named.values() if name}))
        raise EdgesqzError(f"the pictures that the models were trained on are not at hand: {wanted}; name --data-dir")
    return found


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
    room: int,
    made: Workspace,
    options: dict[str, Any],
    console: Console,
) -> Fitted:
    """Export one variant of a model, if there is room for it."""
    format_name, variant = kind
    file = Fitted(f"{path.stem}.{variant}{plugins.converter(format_name).SUFFIX}", dataset)
    try:
        quota = made.used_bytes() + max(room, 1)
        export(path, format_name, variant=variant, workspace=made.folder, quota=quota, **options)
    except NoRoomError:
        file = replace(file, reason="too large")
    except EdgesqzError as error:
        file = replace(file, reason=str(error))
    else:
        file = replace(file, size_bytes=sum((made.folder / name).stat().st_size for name in file.stored_names))
    console.print(f"{file.file_name}: {file.reason or 'exported'}", highlight=False, markup=False, soft_wrap=True)
    return file


def _measured(
    files: Sequence[Fitted],
    folder: Path,
    dataset: str,
    data_dir: Path | None,
    limits: dict[str, Any],
    console: Console,
) -> list[Fitted]:
    """Bench the files of a dataset on the half of its test pictures that chooses, and drop what misses a limit."""
    rows = _bench(files, folder, dataset, CHOOSES, data_dir=data_dir, console=console, **limits)
    return [_graded(file, rows[file.file_name]) if file.file_name in rows else file for file in files]


def _judged(
    files: Sequence[Fitted], folder: Path, dataset: str, data_dir: Path | None, console: Console
) -> list[Fitted]:
    """Measure the accuracy of what was kept on the other half."""
    rows = _bench(files, folder, dataset, JUDGES, data_dir=data_dir, rounds=1, console=console)
    return [
        replace(file, judged_accuracy=rows[file.file_name].accuracy) if file.file_name in rows else file
        for file in files
    ]


def _bench(files: Sequence[Fitted], folder: Path, dataset: str, half: int, **options: Any) -> dict[str, Row]:
    """The rows of the files of a dataset that are still in the running, by their names."""
    running = [file.file_name for file in files if file.dataset == dataset and file.reason is None]
    report = bench([folder / name for name in running], dataset=dataset, half=half, **options)
    return {row.artifact: row for row in report.rows if row.artifact in running}


def _graded(file: Fitted, row: Row) -> Fitted:
    latency = row.latency_us.p50 if row.latency_us else None
    return replace(
        file, accuracy=row.accuracy, latency_us=latency, reason=row.error or "; ".join(row.missed or ()) or None
    )


def _chosen(files: Sequence[Fitted], room: int) -> list[Fitted]:
    """Drop all but the set, one file a dataset, that is the most accurate in the mean; of equal ones the smaller."""
    running = [[file for file in files if file.dataset == name and file.reason is None] for name in _datasets(files)]
    sets = itertools.product(*([None, *_front(group)] for group in running))
    fitting = (
        present for each in sets if sum(map(_size, present := [file for file in each if file is not None])) <= room
    )
    kept = max(fitting, key=_worth)
    return [file if file in kept or file.reason else replace(file, reason=_reason(file, kept)) for file in files]


def _front(group: Sequence[Fitted]) -> list[Fitted]:
    """The files that no other of the group beats in both accuracy and size: the best set is among these."""
    best, front = -1.0, list[Fitted]()
    for file in sorted(group, key=lambda file: (_size(file), -(file.accuracy or 0), file.latency_us or 0)):
        if (file.accuracy or 0) > best:
            best = file.accuracy or 0
            front.append(file)
    return front


def _worth(kept: Sequence[Fitted]) -> tuple[float, int]:
    return sum(file.accuracy or 0 for file in kept), -sum(map(_size, kept))


def _reason(file: Fitted, kept: Sequence[Fitted]) -> str:
    """Why a file is not kept that misses no limit."""
    instead = next((each for each in kept if each.dataset == file.dataset), None)
    if instead is None or (file.accuracy or 0) > (instead.accuracy or 0):
        return f"no room beside {', '.join(each.file_name for each in kept)}"
    if file.accuracy == instead.accuracy:
        return f"as accurate as {instead.file_name}, but larger"
    return f"less accurate than {instead.file_name}"


def _size(file: Fitted) -> int:
    assert file.size_bytes is not None  # it is in the running, so it was made
    return file.size_bytes
