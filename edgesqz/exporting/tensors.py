"""Verify an export of a model that is not a classifier, such as a detector: compare the values of its outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from edgesqz.artifact import Images, Verification
from edgesqz.exporting.verify import MAX_ERROR_IF_EXACT
from edgesqz.outputs import sqnr_db

# An export with a lower signal-to-quantization-noise ratio is wrong, not merely less precise.
MIN_SQNR_DB = 10.0

Shape = Sequence[int | None]  # of an output for one image or sample


def aligned(values: np.ndarray, source: Sequence[Shape], export: Sequence[Shape]) -> np.ndarray:
    """Return the outputs of a source model in the layout of its export, where NCHW outputs may be NHWC.

    Args:
        values: float32 (N, values), one output after the other.
        source: The shapes of the source model's outputs.
        export: The shapes of its export's outputs.
    """
    parts = []
    for part, before, after in zip(_parts(values, export), source, export, strict=True):
        shape = tuple(size or 1 for size in before)
        if len(shape) == 3 and shape != tuple(after) == (*shape[1:], shape[0]):
            part = part.reshape(-1, *shape).transpose(0, 2, 3, 1).reshape(len(part), -1)
        parts.append(part)
    return np.concatenate(parts, axis=1)


def verify(outputs: np.ndarray, expected: np.ndarray, images: Images, export: Sequence[Shape]) -> Verification:
    """Compare the outputs of an export with those of its source model.

    Args:
        outputs: The export's outputs, float32 (N, values), one output after the other.
        expected: The source model's outputs, of the same shape and layout.
        images: The images or samples that both models were run on.
        export: The shapes of the export's outputs.
    """
    differences = np.abs(outputs - expected)
    pairs = zip(_parts(outputs, export), _parts(expected, export), strict=True)
    return Verification(
        images=images,
        sqnr_db=tuple(sqnr_db(found, wanted) for found, wanted in pairs),
        max_error=float(differences.max()),
        mean_error=float(differences.mean()),
    )


def problem(verification: Verification, expected: np.ndarray, *, exact: bool) -> str | None:
    """Return what is wrong with an export, or None if nothing is.

    Args:
        verification: The figures to judge.
        expected: The outputs of the source model.
        exact: Whether the export computes the same as the source model, up to float32 rounding.
    """
    allowed = MAX_ERROR_IF_EXACT * max(1.0, float(np.abs(expected).max()))
    if not math.isfinite(verification.max_error):
        return "its outputs include NaN or infinity"
    if exact and verification.max_error > allowed:
        return f"an output is off by {verification.max_error:.2g}; at most {allowed:.2g} is allowed"
    for number, ratio in enumerate(verification.sqnr_db or (), start=1):
        if not exact and ratio < MIN_SQNR_DB:
            return (
                f"the SQNR of output {number} is {ratio:.1f} dB on {verification.images.describe()}, below "
                f"{MIN_SQNR_DB:.0f} dB"
            )
    return None


def _parts(values: np.ndarray, shapes: Sequence[Shape]) -> Iterator[np.ndarray]:
    """Split values, (N, values), by output. The shape of the last output need not be known."""
    sizes = [math.prod(size or 1 for size in shape) for shape in shapes]
    yield from np.split(values, np.cumsum(sizes)[:-1], axis=1)
