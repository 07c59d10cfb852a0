"""Export one model: convert it to a format, verify the new file against the source model, and keep it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact
from edgesqz.artifact import Artifact, Manifest, Verification
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError, NoRoomError, named, option
from edgesqz.exporting import replacing, shipped, tensors, verify
from edgesqz.exporting.advice import advice, origin_of_error
from edgesqz.exporting.converting import Conversions, Converted
from edgesqz.exporting.images import ExportImages
from edgesqz.exporting.job import Job
from edgesqz.exporting.labels import check_labels, read_labels
from edgesqz.exporting.plan import Export
from edgesqz.exporting.reference import Reference
from edgesqz.exporting.result import RefusedFile, by_reason
from edgesqz.exporting.samples import ExportData, ExportSamples, check_dataset
from edgesqz.exporting.sensitivity import LayerChoice
from edgesqz.exporting.shipped import Shipped
from edgesqz.exporting.source import Source, SourceFile, find_file, find_source
from edgesqz.image_size import ImageSizeLike
from edgesqz.models import loading
from edgesqz.models.architectures import network_graph
from edgesqz.models.costs import NetworkCosts, network_costs
from edgesqz.options import as_path
from edgesqz.outputs import are_probabilities, softmax
from edgesqz.plugins import MIN_MAX
from edgesqz.reading import ConversionError, ForeignModel
from edgesqz.tflite.operators import float_operators
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import for_conversion, scratch
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console

# A converter can save a share of the parameters by folding batch normalization into convolutions.
SMALLEST_SHARE = 0.9

COMPARED_IMAGES = 8  # to find the layer at which an error starts


class Exporter:
    """Exports one model. Shared data is loaded at most once, when it is first needed.

    Attributes:
        layer_choices: The layers of each mixed file, by its name, with the bits chosen for them.
    """

    def __init__(self, plan: Export, console: Console) -> None:
        self.plan, self.console = plan, console
        self.workspace = Workspace(Path(plan.workspace), plan.quota)
        self._scratch_dir = as_path(plan.scratch_dir)
        self._pixels = plan.pixels
        self._labels = read_labels(plan.labels) if plan.labels is not None else ()
        self._engines = contextlib.ExitStack()
        self.layer_choices: dict[str, tuple[LayerChoice, ...]] = {}

    @functools.cached_property
    def _file(self) -> SourceFile:
        """The file of the source model. It has not been opened, so it may turn out to be unreadable."""
        return find_file(self.plan, self.workspace)

    @functools.cached_property
    def source(self) -> Source:
        """The source model."""
        found = find_source(self.plan, self.workspace, self._pixels)
        if isinstance(found, ForeignModel):
            self._engines.callback(found.engine.close)
        if self._labels:
            check_labels(self._labels, found.classes, found.manifest.labels if found.manifest else (), found.source)
        if self.plan.max_accuracy_drop is not None and not found.is_classifier:
            raise EdgesqzError(
                f"{found.source} is not an image classifier, so it has no accuracy; use {option('max_size')} instead "
                f"of {option('max_accuracy_drop')}"
            )
        return found

    def close(self) -> None:
        """End the process of the engine that runs a source model from another tool."""
        self._engines.close()

    @functools.cached_property
    def images(self) -> ExportData:
        """The images to calibrate and verify on, or samples for a model that does not take one image."""
        return (ExportImages if self.source.takes_images else ExportSamples)(self.source, self.plan)

    @functools.cached_property
    def reference(self) -> Reference:
        """The source model's outputs on the images."""
        reference = Reference(self.source, self.images, self._labels or self.source.labels)
        self._add_softmax(reference)
        return reference

    def _add_softmax(self, reference: Reference) -> None:
        """Let the exports end with a softmax if the user wants it, or if the outputs are clearly logits of classes."""
        source, plan = self.source, self.plan
        if plan.add_softmax and not source.is_classifier:
            raise EdgesqzError(f"{option('add_softmax')} is for classifiers; {source.source} has other outputs")
        if not isinstance(source, ForeignModel):
            if plan.add_softmax:
                raise EdgesqzError(f"{option('add_softmax')} is for models from other tools, got {source.source}")
            return
        labels = self._labels or source.labels or self.images.class_names
        is_classifier = source.is_classifier and source.classes == len(labels) > 1
        if plan.add_softmax:
            source.ends_with_softmax = True
        elif is_classifier and not are_probabilities(reference.outputs):
            source.ends_with_softmax, reference.outputs = True, softmax(reference.outputs)
            self._print(f"{source.source}: its outputs are logits, so the exports end with a softmax")

    @functools.cached_property
    def _conversions(self) -> Conversions:
        return Conversions(self.plan, self.console, self.source, self.images, self.reference)

    @functools.cached_property
    def parameters(self) -> int:
        """Number of parameters. For random weights, it is known before the network is built."""
        if self.plan.untrained:
            return loading.untrained_parameters(str(self.plan.model), self.plan.input_size)
        return self.source.parameters

    @property
    def room(self) -> int | None:
        """Number of bytes left in the quota, or None without a quota."""
        return self.workspace.room_for(())

    def file_name(self, job: Job) -> str:
        """Return the name of a job's file."""
        return job.file_name(self._file.name)

    @functools.cached_property
    def _costs(self) -> NetworkCosts | None:
        """The costs of the network, or None if edgesqz does not define it."""
        if not self._network:
            return None
        classes = None if self.plan.untrained else self.source.classes
        return network_costs(self._network, classes=classes, input_size=self._input_size)

    def expected_bytes(self, job: Job) -> int:
        """Estimate the size of a job's file. For a network of another tool, only its parameters count."""
        return self._costs.file_bytes(job.file_kind) if self._costs else self._parameter_bytes([job])

    def cannot_fit(self, jobs: Sequence[Job], room: int | None) -> bool:
        """Return whether the number of parameters shows that files exceed a number of bytes."""
        return room is not None and SMALLEST_SHARE * self._parameter_bytes(jobs) > room

    def _parameter_bytes(self, jobs: Sequence[Job]) -> int:
        return round(sum(job.kind.bytes_per_parameter for job in jobs) * self.parameters)

    def export_all(self, jobs: Sequence[Job]) -> tuple[list[Artifact], list[RefusedFile]]:
        """Export every job that can be exported. Also return the other files, with the reasons.

        Raises:
            EdgesqzError: The source model, the dataset or the quota rules out every job, or no job can be exported.
        """
        self._check(jobs)
        if self._source_warning:
            self._print(f"warning: {self._source_warning}")
        exported, refused = list[Artifact](), list[RefusedFile]()
        for job in jobs:
            try:
                self._refuse_if_too_large([job])
                exported.append(self._export(job))
            except ConversionError:  # which every other job would raise again
                raise
            except EdgesqzError as error:
                if len(jobs) == 1:
                    raise
                refused.append(RefusedFile(self.file_name(job), self.reason(error, job)))
        if not exported:
            raise EdgesqzError(f"none of the {len(jobs)} files could be exported: {'; '.join(by_reason(refused))}")
        return exported, refused

    def _check(self, jobs: Sequence[Job]) -> None:
        """Check the jobs before any conversion.

        With ``all_variants``, files that are too large or lack images for calibration are skipped later.

        Raises:
            EdgesqzError: The files exceed the quota, would replace those of another model, or cannot be calibrated.
        """
        self.check_unopened(jobs)
        if self.plan.all_variants:
            return
        self._refuse_if_too_large(jobs)
        if any(self._needs_images(job) for job in jobs):
            _ = self.images.calibration

    def check_unopened(self, jobs: Sequence[Job]) -> None:
        """Check what can be checked before Keras or another engine opens the source model.

        Raises:
            EdgesqzError: The dataset's name is wrong, a file was exported from another model and ``force`` is not set,
                or a pattern matches no layer of a network that edgesqz defines.
        """
        if self.plan.dataset:
            check_dataset(str(self.plan.dataset), as_path(self.plan.data_dir))
        for job in jobs:
            path = self.workspace.folder / self.file_name(job)
            if path.exists() and not self.plan.force:
                replacing.check(path, self._file)
        if self.plan.keep and (network := self._network):
            graph = network_graph(network, input_size=self._input_size)
            self.plan.keep.bits([name for node in graph.nodes for name in node.layer.kernels])

    @property
    def _network(self) -> str | None:
        """The name of the source model's architecture, or None if edgesqz does not define it."""
        if self.plan.untrained:
            return str(self.plan.model)
        network: str | None = self._recipe.get("model")
        return network

    @property
    def _input_size(self) -> ImageSizeLike | None:
        """The size of the images of that architecture, or None for the size that it was designed for."""
        size: ImageSizeLike | None = self.plan.input_size if self.plan.untrained else self._recipe.get("input_size")
        return size

    @property
    def _recipe(self) -> dict[str, Any]:
        """The recipe of the training run, or an empty dictionary for a model from another tool."""
        recipe: dict[str, Any] = ((self._file.manifest and self._file.manifest.training) or {}).get("recipe", {})
        return recipe

    def _needs_images(self, job: Job) -> bool:
        """Return whether a job needs images for calibration, because no shipped file takes its place."""
        return job.kind.needs_calibration and (self.plan.changes_defaults or not self._find_shipped(job))

    def make(self, job: Job, *, download: bool = True) -> dict[str, bytes]:
        """Convert and verify a file. Return its content and that of its manifest, by file name.

        Args:
            job: The file to export.
            download: Whether to download the images for calibration if they are missing.
        """
        if job.kind.needs_calibration:
            if not self.plan.changes_defaults and (found := self._find_shipped(job)):
                return self._verify_shipped(found, job)
            if not download:
                self.images.refuse_download()
        with scratch(self._scratch_dir, self.workspace, for_conversion(self.parameters)):
            _ = self._source_warning  # a reason to stop comes before the work of converting
            converted = self._conversions.convert(job)
            if converted.layer_choices:
                self.layer_choices[self.file_name(job)] = converted.layer_choices
            if converted.note:
                self._print(f"{self.file_name(job)}: {converted.note}")
            if better := shipped.better_file(self.file_name(job), self.source.sha256, self.plan.keep):
                self._print(better)
            with self._conversions.running(converted.content, job, converted.pixels) as engine:
                self._print_float_operators(job, converted.content)
                manifest = self._manifest(job, converted, engine)
            return artifact.stored_form(converted.content, manifest, self.file_name(job))

    @functools.cached_property
    def _source_warning(self) -> str | None:
        return self.reference.warning(pixels_known=self.source.manifest is not None or self._pixels is not None)

    def _print(self, line: str) -> None:
        self.console.print(named(line), soft_wrap=True, highlight=False, markup=False)

    def _refuse_if_too_large(self, jobs: Sequence[Job]) -> None:
        if self.cannot_fit(jobs, self.room):
            expected = self._parameter_bytes(jobs)
            estimate = f"about {format_size(expected)} ({self.parameters:,} parameters)"
            raise self.workspace.refusal(", ".join(map(self.file_name, jobs)), expected, estimate)

    def reason(self, error: EdgesqzError, job: Job) -> str:
        """Return the reason why a job failed, without the name of its file."""
        if isinstance(error, NoRoomError):
            return f"not enough space, {format_size(self.room or 0)} left"
        name = self.file_name(job)
        return str(error).removeprefix(f"{name} was not kept: ").removeprefix(f"{name}: ")

    def _export(self, job: Job) -> Artifact:
        self.workspace.write(self.make(job))
        return Artifact.open(self.workspace.folder / self.file_name(job))

    def _find_shipped(self, job: Job) -> Shipped | None:
        return shipped.find(self.file_name(job), self.source, self.images, self.plan.calibration_images)

    def _verify_shipped(self, found: Shipped, job: Job) -> dict[str, bytes]:
        """Verify a file that ships with edgesqz on this machine, and record the result in its manifest."""
        with self._conversions.running(found.content, job, found.manifest.pixels) as engine:
            manifest = found.manifest.model_copy(update={"verification": self._verify(engine, job)})
        self._print(found.describe(self.file_name(job)))
        return artifact.stored_form(found.content, manifest, self.file_name(job))

    def _verify(self, engine: Engine, job: Job) -> Verification:
        """Run a new file and its source model on the same images. Reject the file if their predictions differ."""
        sample, trained = self.images.verification, not self.source.untrained
        outputs = verify.verification_outputs(engine, sample.pixels)
        expected = self.reference.outputs[: len(outputs)]
        record = sample.record.model_copy(update={"count": len(outputs)})
        if self.source.is_classifier:
            found = verify.verify(outputs, expected, record, self.reference.accuracy(len(outputs)))
            problem = verify.problem(found, expected, exact=job.kind.exact, trained=trained)
        else:
            expected = tensors.aligned(expected, self.source.output_shapes, engine.output_shapes)
            found = tensors.verify(outputs, expected, record, engine.output_shapes)
            problem = tensors.problem(found, expected, exact=job.kind.exact)
        if problem:
            hint = self._origin_of_error(engine, job) + advice(job, self.source, self.images)
            raise EdgesqzError(f"{self.file_name(job)} was not kept: {problem}; {hint}")
        return found

    def _origin_of_error(self, engine: Engine, job: Job) -> str:
        """Say at which layer the error of a quantized .tflite file starts, or return an empty string."""
        if not job.kind.takes_bytes:
            return ""
        content, pixels = self._conversions.unquantized(job)
        with self._conversions.running(content, job, pixels, "comparing layers") as unquantized:
            return origin_of_error(content, unquantized, engine, self.images.verification.pixels[:COMPARED_IMAGES])

    def _print_float_operators(self, job: Job, content: bytes) -> None:
        """Print which operators of a quantized model from another tool compute in float."""
        if isinstance(self.source, ForeignModel) and job.kind.takes_bytes and (found := float_operators(content)):
            self._print(
                f"{self.file_name(job)}: LiteRT's quantizer has no int8 form of {', '.join(found)}, which stay float"
            )

    def _manifest(self, job: Job, converted: Converted, engine: Engine) -> Manifest:
        """Verify a new file and return its manifest."""
        source, described = self.source, self.source.manifest
        is_evaluable = source.takes_images and not source.untrained
        return Manifest(
            name=source.name,
            variant=job.variant,
            format=job.converter.FORMAT,
            size_bytes=len(converted.content),
            sha256=artifact.sha256(converted.content),
            input=engine.input,
            output=engine.output,
            other_inputs=engine.inputs[1:],
            other_outputs=engine.outputs[1:],
            pixels=converted.pixels,
            labels=self._labels or (described.labels if described else source.labels or self._dataset_labels()),
            dataset=described.dataset if described else self.images.dataset if is_evaluable else None,
            untrained=source.untrained,
            source=replacing.recorded(source, self.workspace.folder),
            source_sha256=source.sha256,
            source_pixels=source.pixels if is_evaluable and not described else None,
            calibration=converted.calibration,
            weight_bits=converted.weight_bits,
            calibration_method=self.plan.calibration_method if self.plan.calibration_method != MIN_MAX else None,
            verification=self._verify(engine, job),
            versions=artifact.package_versions(*job.converter.PACKAGES) | source.versions,
        )

    def _dataset_labels(self) -> tuple[str, ...]:
        names = self.images.class_names
        return names if len(names) == self.source.classes else ()
