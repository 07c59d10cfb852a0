"""The values of all inputs of a model that does not take one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from edgesqz.artifact import SAMPLES_SUFFIX, Tensor
from edgesqz.errors import DAMAGE, EdgesqzError, first_line


@dataclass(frozen=True, eq=False)
class Samples:
    """The values of a model's inputs for a number of runs. Like an array, they have a length and can be sliced.

    Attributes:
        arrays: The values of each input, float32 (N, *shape).
    """

    arrays: tuple[np.ndarray, ...]

    @classmethod
    def random(cls, inputs: Sequence[Tensor], count: int, seed: int) -> Samples:
        """Draw random values: from 0 to 1, or for integers either 0 or 1, which any embedding table or mask accepts.

        Raises:
            EdgesqzError: An input has no fixed shape.
        """
        rng = np.random.default_rng(seed)
        return cls(tuple(_drawn(rng, tensor, (count, *sample_shape(tensor))) for tensor in inputs))

    @classmethod
    def read(cls, path: Path, inputs: Sequence[Tensor]) -> Samples:
        """Read an .npz file with one array per input, whose first axis counts the samples.

        Each sample has the shape of the input, or that without a batch dimension of 1.

        Raises:
            EdgesqzError: The file cannot be read, or its arrays are not those of the inputs.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (*DAMAGE, OSError, BadZipFile) as error:
            raise EdgesqzError(f"cannot read {path} as {SAMPLES_SUFFIX}: {first_line(error)}") from error
        names = [str(tensor.name) for tensor in inputs]
        if sorted(arrays) != sorted(names):
            raise EdgesqzError(
                f"{path}: expected one array for each input ({', '.join(names)}), got {', '.join(arrays) or 'none'}"
            )
        found = cls(tuple(_shaped(path, tensor, arrays[str(tensor.name)]) for tensor in inputs))
        counts = {len(array) for array in found.arrays}
        if len(counts) > 1 or 0 in counts:
            raise EdgesqzError(f"{path}: expected the same number of samples in each array, got {sorted(counts)}")
        return found

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.arrays[0])

    def __getitem__(self, which: slice | np.ndarray) -> Samples:
        """Return some of the samples."""
        return Samples(tuple(array[which] for array in self.arrays))

    def in_layout(self, shapes: Sequence[tuple[int, ...]]) -> Samples:
        """Return the samples for a converted model, whose images have channels last (NHWC) instead of first (NCHW).

        Args:
            shapes: The shape of each input of the converted model.
        """
        return Samples(tuple(map(_in_layout, self.arrays, shapes)))


def sample_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of one sample of an input. The first dimension counts as 1 if its size is open.

    Raises:
        EdgesqzError: Another dimension has any size.
    """
    shape = (*(size or 1 for size in tensor.shape[:1]), *tensor.shape[1:])
    if None in shape:
        raise EdgesqzError(f"the shape of its input {tensor.name} is not fixed: {tensor.shape}")
    return tuple(size for size in shape if size is not None)


def _in_layout(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    is_image = values.ndim == 5  # (N, 1, channels, H, W)
    return np.moveaxis(values, 2, -1) if is_image and values.shape[1:] != shape else values


def _shaped(path: Path, tensor: Tensor, values: np.ndarray) -> np.ndarray:
    shape = sample_shape(tensor)
    if values.dtype.kind not in "fiub" or values.shape[1:] not in (shape, shape[1:] if shape[:1] == (1,) else shape):
        raise EdgesqzError(
            f"{path}: expected numbers of shape {('N', *shape)} for {tensor.name}, got {values.dtype} of shape "
            f"{values.shape}"
        )
    return values.reshape(len(values), *shape).astype(np.float32)


def _drawn(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    is_integer = tensor.scale is None and np.dtype(tensor.dtype).kind in "iub"
    drawn = rng.integers(0, 2, shape) if is_integer else rng.random(shape)
    return drawn.astype(np.float32)


Batch = np.ndarray | Samples  # images, uint8 (N, H, W, channels), or samples
