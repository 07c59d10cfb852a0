"""Export: a Keras model into files of other formats, each verified on its runtime before it is kept."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqz import defaults, plugins
from edgesqz.artifact import Artifact
from edgesqz.errors import EdgesqzError
from edgesqz.exporting.exporter import SURELY, Exporter, Job
from edgesqz.exporting.labels import Labels
from edgesqz.image_size import ImageSizeLike
from edgesqz.tables import Column, Table
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console

FORMAT = "tflite"  # if nothing is said


def export(
    model: str | Path | None = None,
    format: str | Sequence[str] = (),
    *,
    quantize: bool = False,
    untrained: bool = False,
    variant: str | Sequence[str] = (),
    all_variants: bool = False,
    calibration: int = defaults.CALIBRATION_IMAGES,
    dataset: str | None = None,
    data_dir: Path | None = None,
    workspace: Path = defaults.WORKSPACE,
    quota: str | int | None = None,
    scratch_dir: Path | None = None,
    pixel_range: str | None = None,
    input_size: ImageSizeLike | None = None,
    labels: Labels | None = None,
    console: Console | None = None,
) -> list[Artifact]:
    """Convert a Keras model, prove each file, and put it into the workspace as ``NAME.VARIANT.SUFFIX``.

    Args:
        model: a .keras file, or the name of a model in the workspace or the zoo; None for the newest in the workspace.
        format: one or more of ``edgesqz.plugins.converters()``; tflite if nothing is said.
        quantize: the same as ``variant="int8"``.
        untrained: take ``model`` as the name of an architecture, with seeded random weights; only the size, latency
            and memory of such files mean anything.
        variant: one or more of the formats' variants; fp32 if nothing is said.
        all_variants: make what the quota has room for of all variants, of all formats if none is given, the most
            valuable first; the console says which are left out and why.
        calibration: how many training images choose the ranges of a quantized file.
        dataset: what the model was trained on; None to take the manifest's word for it.
        data_dir: where the dataset lies, if not in the cache.
        workspace: the folder to write to, and to look the model up in.
        quota: the most bytes the workspace may hold; see ``Workspace``.
        scratch_dir: for the converters' temporary files; None for the system's folder.
        pixel_range: what the model expects of pixels 0 and 255, as ``LOW..HIGH``; None for what its manifest says,
            else 0..255.
        input_size: of the images, for a model that takes any size or an untrained one: pixels, or WIDTHxHEIGHT.
        labels: names of the classes, in the order of the output, of a model that has no manifest to tell them: a text
            file with one a line, or the names.
        console: where to show progress; None shows nothing.

    Returns:
        The new artifacts, formats first, then variants, in the order they were asked for.

    Raises:
        EdgesqzError: bad input, no data to calibrate on, a file that does not do what its source model does, or no
            room. What was written before stays; nothing of the file that failed does.
    """
    jobs = _jobs(format, variant, quantize=quantize, all_variants=all_variants)
    home = Workspace(workspace, quota)
    exporter = Exporter(
        model, untrained, dataset, data_dir, calibration, home, scratch_dir, console, pixel_range, input_size, labels
    )
    if not all_variants:
        exporter.refuse_if_too_large(jobs)
    if warning := exporter.source_warning:
        exporter.console.print(f"warning: {warning}", soft_wrap=True, highlight=False, markup=False)
    return exporter.export_some(jobs) if all_variants else [exporter.export(job) for job in jobs]


def plan_export(
    model: str | Path | None = None,
    format: str | Sequence[str] = (),
    *,
    quantize: bool = False,
    untrained: bool = False,
    variant: str | Sequence[str] = (),
    all_variants: bool = False,
    calibration: int = defaults.CALIBRATION_IMAGES,
    dataset: str | None = None,
    data_dir: Path | None = None,
    workspace: Path = defaults.WORKSPACE,
    quota: str | int | None = None,
    scratch_dir: Path | None = None,
    pixel_range: str | None = None,
    input_size: ImageSizeLike | None = None,
    labels: Labels | None = None,
    console: Console | None = None,
) -> ExportPlan:
    """Say what ``export`` would write, how large, and whether it fits; the arguments are its own.

    What could fit is converted and verified to tell its size exactly; what cannot is told by its number of parameters.
    """
    jobs = _jobs(format, variant, quantize=quantize, all_variants=all_variants)
    home = Workspace(workspace, quota)
    exporter = Exporter(
        model, untrained, dataset, data_dir, calibration, home, scratch_dir, console, pixel_range, input_size, labels
    )
    room, planned = exporter.room, list[PlannedFile]()
    for job in jobs:
        planned.append(_planned(exporter, job, room))
        if room is not None and planned[-1].fits:
            room -= planned[-1].exact_bytes or 0
    return ExportPlan(tuple(planned), home.quota_bytes, home.used_bytes())


def to_json(artifacts: Sequence[Artifact]) -> str:
    """Tell what was exported as JSON text: each file's path, its size in bytes and how it was verified."""
    files = []
    for artifact in artifacts:
        assert artifact.manifest and artifact.manifest.verification  # export writes both
        verification = artifact.manifest.verification.model_dump(mode="json")
        files.append({"path": str(artifact.path), "size_bytes": artifact.size_bytes, "verification": verification})
    return json.dumps({"files": files}, indent=2) + "\n"


def _planned(exporter: Exporter, job: Job, room: int | None) -> PlannedFile:
    """What an export would write of one variant; one that is refused for another reason than its size says why."""
    file = PlannedFile(exporter.file_name(job), exporter.expected_bytes(job))
    if room is not None and SURELY * file.expected_bytes > room:
        return replace(file, fits=False)
    try:
        exact = sum(map(len, exporter.make(job, download=False).values()))
    except EdgesqzError as error:
        return replace(file, error=str(error).removeprefix(f"{file.file_name} ").removeprefix(f"{file.file_name}: "))
    return replace(file, exact_bytes=exact, fits=None if room is None else exact <= room)


@dataclass(frozen=True)
class PlannedFile:
    """A file that an export would write.

    Attributes:
        expected_bytes: of the model, by its number of parameters.
        exact_bytes: of the model and its manifest; None if it cannot fit and was not made.
        fits: whether it does, after those before it; None without a quota, or for one that cannot be made.
        error: why it cannot be made, where another reason than its size stands against it.
    """

    file_name: str
    expected_bytes: int
    exact_bytes: int | None = None
    fits: bool | None = None
    error: str | None = None


@dataclass(frozen=True)
class ExportPlan:
    """What an export would write, and the quota it would be charged to."""

    files: tuple[PlannedFile, ...]
    quota_bytes: int | None
    used_bytes: int

    def to_json(self) -> str:
        """The plan as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def table(self) -> Table:
        """A row a file, and below why some cannot be made."""
        caption = f"{format_size(self.used_bytes)} are used; nothing was written"
        if self.quota_bytes is not None:
            caption = f"quota {format_size(self.quota_bytes)}, of which {caption}"
        rows = []
        for file in self.files:
            exact = "" if file.exact_bytes is None else format_size(file.exact_bytes)
            fits = "no" if file.error else "" if file.fits is None else "yes" if file.fits else "no"
            rows.append([file.file_name, f"about {format_size(file.expected_bytes)}", exact, fits])
        reasons = [f"{file.file_name}: {file.error}" for file in self.files if file.error]
        return Table(
            [
                Column("file", is_name=True),
                Column("size by its\nparameters", "right"),
                Column("exact size,\nwith manifest", "right"),
                Column("fits"),
            ],
            rows,
            caption="\n".join([caption, *reasons]),
        )


def _jobs(
    formats: str | Sequence[str], variants: str | Sequence[str], *, quantize: bool, all_variants: bool
) -> list[Job]:
    """The files that are asked for; of all variants the most valuable first.

    Raises:
        EdgesqzError: an unknown format or variant, or a variant beside all of them.
    """
    wanted = _several([*_several(variants), *(["int8"] if quantize else [])])
    if not all_variants:
        return [Job.checked(name, kind) for name in _several(formats) or [FORMAT] for kind in wanted or ["fp32"]]
    if wanted:
        raise EdgesqzError(f"--all makes every variant; leave out {', '.join(wanted)}")
    names = _several(formats) or _several([FORMAT, *plugins.converters()])
    ranked = {name: list(plugins.converter(name).VARIANTS) for name in names}
    places = itertools.product(range(max(map(len, ranked.values()))), names)
    return [Job.checked(name, ranked[name][place]) for place, name in places if place < len(ranked[name])]


def _several(values: str | Sequence[str]) -> list[str]:
    """One value or several, as a list without repetitions."""
    return list(dict.fromkeys([values] if isinstance(values, str) else values))
