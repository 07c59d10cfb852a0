"""Exporting one model: convert it to a format, prove the new file beside the original, keep it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesqz import artifact, backend, data, plugins
from edgesqz.artifact import ZOO, Artifact, Manifest, Pictures, PixelRange, Proof
from edgesqz.engine import Engine, EngineError
from edgesqz.errors import EdgesqzError, NoRoomError, first_line
from edgesqz.exporting import originals
from edgesqz.exporting.originals import Original
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import for_conversion, scratch
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    import keras
    from rich.console import Console

PROOF_PICTURES = 500
PROOF_PICTURES_IF_UNTRAINED = 50  # whose answers only have to be numbers
SEED = 0

# Beyond these an export is wrong, not merely less precise.
MAX_ERROR_IF_EXACT = 1e-3
MIN_AGREEMENT = 0.95

# Of the size that the number of parameters tells: a converter may save some, by folding batch norm into convolutions.
SURELY = 0.9


@dataclass(frozen=True)
class Job:
    """One file to make."""

    converter: plugins.Converter
    variant: str

    @classmethod
    def checked(cls, format_name: str, variant: str) -> Job:
        converter = plugins.converter(format_name)
        if variant not in converter.VARIANTS:
            known = ", ".join(converter.VARIANTS)
            raise EdgesqzError(f"unknown variant {variant!r} for {format_name}; the known are {known}")
        return cls(converter, variant)

    @property
    def kind(self) -> plugins.Variant:
        return self.converter.VARIANTS[self.variant]


class Exporter:
    """Exports of one model; what they share is loaded once, and only if one of them needs it."""

    def __init__(
        self,
        model: str | Path | None,
        untrained: bool,
        dataset: str | None,
        data_dir: Path | None,
        calibration: int,
        workspace: Workspace,
        scratch_dir: Path | None,
        console: Console | None,
    ) -> None:
        from rich.console import Console

        if calibration < 1:
            raise EdgesqzError(f"--calibration must be above 0, got {calibration}")
        if untrained and model is None:
            raise EdgesqzError("--untrained takes an architecture by its name, such as alexnet")
        self.model, self.untrained, self.workspace = model, untrained, workspace
        self.console = console or Console(quiet=True)
        self.data_dir, self.calibration_count = data_dir, calibration
        self.named_dataset, self.scratch_dir = dataset, scratch_dir

    @functools.cached_property
    def original(self) -> Original:
        if self.untrained:
            return originals.untrained(str(self.model))
        return originals.find(self.model, self.workspace)

    @functools.cached_property
    def parameters(self) -> int:
        """Of the network; of an untrained one, before any is made."""
        return originals.untrained_parameters(str(self.model)) if self.untrained else self.original.parameters

    @property
    def dataset(self) -> str | None:
        return self.named_dataset or (self.original.manifest.dataset if self.original.manifest else None)

    @property
    def room(self) -> int | None:
        """Bytes that the quota has left; None without one."""
        return self.workspace.room_for(())

    def file_name(self, job: Job) -> str:
        name = self.model if self.untrained else self.original.name
        return f"{name}.{job.variant}{job.converter.SUFFIX}"

    def expected_bytes(self, job: Job) -> int:
        return job.kind.bytes_a_parameter * self.parameters

    def refuse_if_too_large(self, jobs: Sequence[Job]) -> None:
        """Refuse what cannot fit, by its number of parameters alone.

        Raises:
            EdgesqzError: the quota has no room for all of it.
        """
        expected = sum(map(self.expected_bytes, jobs))
        if self.room is not None and SURELY * expected > self.room:
            told = f"about {format_size(expected)}, by {self.parameters:,} parameters,"
            raise self.workspace.refusal(", ".join(map(self.file_name, jobs)), expected, told)

    def export_some(self, jobs: Sequence[Job]) -> list[Artifact]:
        """Export what can be exported, and say what cannot and why."""
        made, left_out = list[Artifact](), list[str]()
        for job in jobs:
            try:
                self.refuse_if_too_large([job])
                made.append(self.export(job))
            except NoRoomError:
                room = format_size(self.room or 0)
                left_out.append(f"{self.file_name(job)}: no room, {room} are left")
            except EdgesqzError as error:
                left_out.append(f"{self.file_name(job)}: {str(error).removeprefix(f'{self.file_name(job)} ')}")
            else:
                continue
            self.console.print(f"left out: {left_out[-1]}", soft_wrap=True, highlight=False, markup=False)
        if not made:
            raise EdgesqzError(f"none of {len(left_out)} variants could be exported; the first: {left_out[0]}")
        return made

    def export(self, job: Job) -> Artifact:
        """Convert, prove, write."""
        self.workspace.write(self.make(job))
        return Artifact.open(self.workspace.folder / self.file_name(job))

    def make(self, job: Job, *, download: bool = True) -> dict[str, bytes]:
        """Convert and prove; the new file and its manifest, by name. ``download`` pictures if there are none here."""
        file_name = self.file_name(job)
        if shipped := self._shipped(job, file_name):
            return shipped
        needed = self.dataset if job.kind.needs_calibration and not download else None
        if needed and not data.locate(needed, self.data_dir):
            raise EdgesqzError(f"there are no pictures of {needed} at hand to calibrate on; name --data-dir")
        with scratch(self.scratch_dir, self.workspace, for_conversion(self.parameters)):
            return self._made(job, file_name)

    def _made(self, job: Job, file_name: str) -> dict[str, bytes]:
        with self.console.status(f"{file_name}: converting"):
            content, pixels, calibration = self._convert(job)
        with self.console.status(f"{file_name}: proving"):
            runtime = plugins.runtime_for(job.converter.SUFFIX)
            try:
                with Engine(content, runtime, pixels=pixels) as engine:
                    proof = self._prove(engine, job, file_name)
                    manifest = self._manifest(job, content, pixels, calibration, proof, engine)
            except EngineError as error:
                raise EdgesqzError(f"{file_name} was not kept: its runtime cannot run it: {error}") from error
        return artifact.stored_form(content, manifest, file_name)

    def _shipped(self, job: Job, file_name: str) -> dict[str, bytes] | None:
        """The file of the zoo, if what would calibrate a new one is not at hand; that one was made in the same way."""
        if not job.kind.needs_calibration or not (ZOO / file_name).is_file():
            return None
        ready = Artifact.open(ZOO / file_name)
        made = ready.manifest
        if (
            made is None
            or made.calibration is None
            or (made.source_sha256, made.calibration.dataset) != (self.original.sha256, self.dataset)
            or made.calibration.count != self.calibration_count
            or data.locate(made.calibration.dataset, self.data_dir) is not None
        ):
            return None
        self.console.print(
            f"{file_name}: no {self.dataset} at hand to calibrate on, so this is the file that ships with edgesqz, "
            f"calibrated on {self.calibration_count} of its training pictures",
            soft_wrap=True,
        )
        return artifact.stored_form(ready.path.read_bytes(), made, file_name)

    def _convert(self, job: Job) -> tuple[bytes, PixelRange, Pictures | None]:
        model, pixels, calibration, seen = self.original.model, PixelRange(), None, None
        if job.kind.takes_bytes:
            model, pixels = without_normalization(model)
        if job.kind.needs_calibration:
            split, seen = self._calibration_pictures()
            calibration = _spanning_all_bytes(self._fitting(split)) * np.float32(pixels.scale) + np.float32(
                pixels.offset
            )
        try:
            with backend.hush():
                return job.converter.convert(model, job.variant, calibration), pixels, seen
        except Exception as error:  # whatever a converter, perhaps a third party's, meets in a network
            raise EdgesqzError(
                f"{job.converter.FORMAT} {job.variant}: the converter cannot convert {self.original.source}: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error

    def _prove(self, engine: Engine, job: Job, file_name: str) -> Proof:
        """Run the new file beside the original; refuse one that does something else."""
        answers, expected = engine.predict(self._fitting(self._proof_pictures)), self._expected
        seen = Pictures(dataset=self._proof_dataset, split="train", count=len(expected), seed=SEED)
        proof = Proof(
            pictures=seen,
            agreement=float(np.mean(answers.argmax(1) == expected.argmax(1))),
            max_error=float(np.abs(answers - expected).max()),
        )
        _refuse_if_wrong(proof, job, file_name, self.dataset, untrained=self.original.untrained)
        return proof

    def _manifest(
        self,
        job: Job,
        content: bytes,
        pixels: PixelRange,
        calibration: Pictures | None,
        proof: Proof,
        engine: Engine,
    ) -> Manifest:
        described = self.original.manifest
        return Manifest(
            name=self.original.name,
            variant=job.variant,
            format=job.converter.FORMAT,
            size_bytes=len(content),
            sha256=artifact.sha256(content),
            input=engine.input,
            output=engine.output,
            pixels=pixels,
            labels=described.labels if described else (),
            dataset=described.dataset if described else None if self.original.untrained else self.dataset,
            untrained=self.original.untrained,
            source_sha256=self.original.sha256,
            calibration=calibration,
            proof=proof,
            versions=artifact.package_versions(*job.converter.PACKAGES),
        )

    def _calibration_pictures(self) -> tuple[data.Split, Pictures]:
        if self.original.untrained and self.dataset is None:  # its answers mean nothing anyway
            split, dataset = data.draw(self.calibration_count, self.original.form[0], seed=SEED), "synthetic"
        else:
            split = data.sample(self._training_pictures[0], self.calibration_count, seed=SEED)
            dataset = self._named_dataset
        return split, Pictures(dataset=dataset, split="train", count=len(split), seed=SEED)

    def _fitting(self, split: data.Split) -> np.ndarray:
        """The pictures with as many channels as the model takes, uint8 (N, H, W, channels)."""
        return data.with_channels(split.pictures, self.original.form[1])

    @property
    def _named_dataset(self) -> str:
        if self.dataset is None:
            raise EdgesqzError(
                f"{self.original.source} has no manifest that tells what it was trained on; "
                "quantization needs some of those pictures: name them with --dataset"
            )
        return self.dataset

    @functools.cached_property
    def _training_pictures(self) -> tuple[data.Split, data.Split]:
        """Pictures to calibrate on, and others to prove on; all of the training split."""
        loaded = data.load(self._named_dataset, self.data_dir, size=self.original.form[0])
        return data.hold_back(loaded.train(), seed=SEED)

    @functools.cached_property
    def _proof_dataset(self) -> str:
        """What the model was trained on if it is at hand; else drawn pictures, which show equality as well."""
        if self.dataset is not None and data.locate(self.dataset, self.data_dir) is not None:
            return self.dataset
        return "synthetic"

    @functools.cached_property
    def _proof_pictures(self) -> data.Split:
        if self._proof_dataset == self.dataset:
            return data.sample(self._training_pictures[1], PROOF_PICTURES, seed=SEED)
        count = PROOF_PICTURES_IF_UNTRAINED if self.original.untrained else PROOF_PICTURES
        return data.draw(count, self.original.form[0], seed=SEED)

    @functools.cached_property
    def _expected(self) -> np.ndarray:
        """What the original answers to the proof's pictures, float32 (N, classes)."""
        with backend.hush():
            answers = self.original.model.predict(self._fitting(self._proof_pictures).astype(np.float32), verbose=0)
        return np.asarray(answers)


def without_normalization(model: keras.Model) -> tuple[keras.Model, PixelRange]:
    """Split the rescaling of pixels off a model's front.

    Returns:
        The network behind it and what it did to a pixel; the model itself and 0..255 if it does not begin so.
    """
    import keras

    first = model.layers[1]
    if not isinstance(first, keras.layers.Rescaling) or np.ndim(first.scale) or np.ndim(first.offset):
        return model, PixelRange()
    return keras.Model(first.output, model.outputs), PixelRange(scale=first.scale, offset=first.offset)


def _spanning_all_bytes(pictures: np.ndarray) -> np.ndarray:
    """Pictures as float32, with one value set to 0 and one to 255.

    The range of the input is then that of a byte, whatever the pictures are, and its scale and zero point are exact.
    """
    values = pictures.astype(np.float32)
    values[0, 0, :2, 0] = 0, 255
    return values


def _refuse_if_wrong(proof: Proof, job: Job, file_name: str, dataset: str | None, *, untrained: bool) -> None:
    """Random weights have learned nothing that a top-1 could agree on, so that is not asked of them."""
    problem = None
    if not np.isfinite(proof.max_error):
        problem = "it answers with values that are no numbers"
    elif job.kind.exact and proof.max_error > MAX_ERROR_IF_EXACT:
        problem = f"a probability is off by {proof.max_error:.2g}, the most allowed is {MAX_ERROR_IF_EXACT:g}"
    elif proof.agreement < MIN_AGREEMENT and not untrained:
        seen, learned_from = proof.pictures, dataset or "what it was trained on"
        advice = "try longer training, more --calibration pictures or another --variant"
        if seen.dataset != dataset:
            advice = f"those are drawn, for {learned_from} is not at hand: name it with --data-dir"
        problem = (
            f"its top-1 is the original's on {proof.agreement:.1%} of {seen.count} {seen.dataset} pictures, "
            f"the least allowed is {MIN_AGREEMENT:.0%}; {advice}"
        )
    if problem:
        raise EdgesqzError(f"{file_name} was not kept: {problem}")
