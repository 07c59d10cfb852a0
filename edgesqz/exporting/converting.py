"""Convert a source model to files of any format and variant, and choose the bits of their layers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edgesqz import backend, plugins, progress
from edgesqz.artifact import Images, PixelRange
from edgesqz.data import Batch, Samples
from edgesqz.engine import Engine, EngineError
from edgesqz.errors import EdgesqzError, first_line
from edgesqz.exporting import precision
from edgesqz.exporting.job import DEFAULT_VARIANT, Job
from edgesqz.exporting.plan import Export
from edgesqz.exporting.reference import Reference
from edgesqz.exporting.samples import ExportData
from edgesqz.exporting.sensitivity import Bits, LayerChoice, Score, Search
from edgesqz.exporting.source import Source

if TYPE_CHECKING:
    import keras
    from rich.console import Console


@dataclass(frozen=True)
class Converted:
    """A newly converted file.

    Attributes:
        content: The bytes of the file.
        pixels: How a pixel becomes a value of the file's input.
        calibration: The images that the file was calibrated on, or None if its variant is not calibrated.
        weight_bits: Number of bits of each layer's weights, or None if its variant treats all layers alike.
        note: Which layers have more bits than others and why, or an empty string.
        layer_choices: The layers of a mixed file, with the bits chosen for them.
    """

    content: bytes
    pixels: PixelRange
    calibration: Images | None
    weight_bits: dict[str, int] | None = None
    note: str = ""
    layer_choices: tuple[LayerChoice, ...] = ()


class Conversions:
    """Converts one source model, and runs the new files to measure them.

    Args:
        plan: The options.
        console: Console to show progress on.
        source: The source model.
        images: The images or samples to calibrate on.
        reference: The source model's outputs.
    """

    def __init__(
        self, plan: Export, console: Console, source: Source, images: ExportData, reference: Reference
    ) -> None:
        self.plan, self.console = plan, console
        self.source, self.images, self.reference = source, images, reference

    def convert(self, job: Job) -> Converted:
        """Convert the source model to a file, calibrated on training images if its variant needs calibration.

        Raises:
            EdgesqzError: The converter cannot convert the model, or no choice of layers meets the plan's limit.
        """
        model, pixels = self.source.network(takes_bytes=job.kind.takes_bytes)
        values, record = list[np.ndarray](), None
        if job.kind.needs_calibration:
            calibration = self.images.calibration
            values = _calibration_values(self.source.in_layout_of_exports(calibration.pixels), pixels)
            record = calibration.record
        if values and job.is_layerwise(self.plan):
            return self._quantize_layers(job, model, values, Converted(b"", pixels, record))
        with self._hushed(job):
            return Converted(job.converter.convert(model, job.variant, values or None), pixels, record)

    def _quantize_layers(
        self, job: Job, model: keras.Model | bytes, values: Sequence[np.ndarray], unconverted: Converted
    ) -> Converted:
        """Convert the source model to a file whose layers can have different numbers of bits."""
        assert job.kind.layer_bits
        with self._hushed(job):
            layerwise = cast(plugins.LayerwiseConverter, job.converter).layerwise(
                model, values, self.plan.calibration_method
            )
        bits = precision.choose_bits(layerwise.layers, job.kind.layer_bits, self.plan.keep)
        choices, note = tuple[LayerChoice, ...](), ""
        if job.kind.needs_limit:
            choices = self._choose_layers(job, layerwise, bits, unconverted.pixels)
            bits |= {choice.layer: choice.bits for choice in choices}
        else:
            note = precision.describe(layerwise.layers, bits, job.kind.layer_bits)
        with self._hushed(job):
            content = layerwise.quantize(bits)
        return replace(unconverted, content=content, weight_bits=bits, note=note, layer_choices=choices)

    def _choose_layers(
        self, job: Job, layerwise: plugins.Layerwise, bits: Bits, pixels: PixelRange
    ) -> tuple[LayerChoice, ...]:
        """Choose 8 or 4 bits for each layer that can have 4, to meet the plan's limit."""

        def quantize(bits: Bits) -> bytes:
            with self._hushed(job):
                return layerwise.quantize(bits)

        def score(content: bytes) -> Score:
            with self.running(content, job, pixels, "measuring layers") as engine:
                outputs = engine.predict(self.images.sensitivity.pixels)
                return self.reference.sensitivity_score(outputs, engine.output_shapes)

        search = Search(layerwise.layers, bits, quantize, score)
        return search.choose(self.plan.limit, self.reference.source_accuracy)

    @contextlib.contextmanager
    def _hushed(self, job: Job) -> Iterator[None]:
        """Hide the output of a converter, possibly a third-party one, and explain its errors."""
        try:
            with progress.status(self.console, f"{job.file_name(self.source.name)}: converting"), backend.hush():
                yield
        except Exception as error:
            reason = str(error) if isinstance(error, EdgesqzError) else f"{type(error).__name__}: {first_line(error)}"
            raise EdgesqzError(
                f"{job.converter.FORMAT} {job.variant}: the converter cannot convert {self.source.source}: {reason}"
            ) from error

    def unquantized(self, job: Job) -> tuple[bytes, PixelRange]:
        """Return the float file that a quantized file is made from, and the conversion of pixels to its input."""
        model, pixels = self.source.network(takes_bytes=True)
        with self._hushed(job):
            return model if isinstance(model, bytes) else job.converter.convert(model, DEFAULT_VARIANT, None), pixels

    @contextlib.contextmanager
    def running(self, content: bytes, job: Job, pixels: PixelRange, purpose: str = "verifying") -> Iterator[Engine]:
        """Run a new file in its engine during the ``with`` block.

        Args:
            content: The bytes of the file.
            job: Its format and variant.
            pixels: How a pixel becomes a value of its input.
            purpose: Why the file is run, shown to the user.

        Raises:
            EdgesqzError: The engine rejects the file, which is then not kept.
        """
        file_name = job.file_name(self.source.name)
        with progress.status(self.console, f"{file_name}: {purpose}"):
            try:
                with Engine(content, plugins.runtime_for(job.converter.SUFFIX), pixels=pixels) as engine:
                    yield engine
            except EngineError as error:
                raise EdgesqzError(f"{file_name} was not kept: its runtime cannot run it: {error}") from error


def _calibration_values(batch: Batch, pixels: PixelRange) -> list[np.ndarray]:
    """Return the values of each input, float32 (N, *shape of the input)."""
    if isinstance(batch, Samples):
        return list(batch.arrays)
    return [pixels.values(_spanning_all_bytes(batch))[:, None]]


def _spanning_all_bytes(images: np.ndarray) -> np.ndarray:
    """Return images as float32, with one value set to 0 and one to 255.

    The input range is then that of a byte for any images, and its scale and zero point are exact.
    """
    values = images.astype(np.float32)
    values[0, 0, :2, 0] = 0, 255
    return values
