"""What an inspection found, and how it is shown."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact
from edgesqz.results import Result
from edgesqz.tables import Column, Table

if TYPE_CHECKING:
    from rich.console import Group

SHOWN_TENSORS = 12


@dataclass(frozen=True)
class Quantization:
    """``real value = scale * (stored value - zero point)``, with one pair for all values, per channel or per block.

    Attributes:
        axis: of the channels, or that is divided into blocks; None if there is one pair.
        block_size: how many values along the axis share a pair; None if the whole channel does.
    """

    scales: tuple[float, ...]
    zero_points: tuple[float, ...]  # numbers of float8 have float ones
    axis: int | None
    block_size: int | None = None

    def __str__(self) -> str:
        """One pair as its numbers, several as how many there are."""
        if self.axis is not None:
            blocks = f"blocks of {self.block_size}, " if self.block_size else ""
            return f"{len(self.scales)} scales, {blocks}axis {self.axis}"
        return f"scale {self.scales[0]:.6g}, zero point {self.zero_points[0]}"


@dataclass(frozen=True)
class Tensor:
    """An input, an output, or values that the model stores.

    Attributes:
        shape: with None where any size is taken.
        dtype: its name as NumPy has it, or as the format has it where NumPy has none; the whole type, such as
            ``sequence(float32 3x?)``, of an input or output that is no tensor.
        quantization: None where values are stored as they are.
        size_bytes: of its values alone, packed as the format packs them; the file may take more to store them. 0 for
            an input or output.
        external_file: the file beside the model that stores its values; None where the model file does.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None
    size_bytes: int = 0
    external_file: str | None = None

    @property
    def form(self) -> str:
        """Dtype and shape, such as ``int8 1x32x32x3``."""
        return f"{self.dtype} {'x'.join('?' if size is None else str(size) for size in self.shape)}".strip()


@dataclass(frozen=True)
class ExternalFile:
    """A file beside the model file that stores values of its tensors.

    Attributes:
        name: as the model file has it, relative to its folder.
        needed_bytes: how long it must be to hold all that the model reads from it.
        size_bytes: how long it is; None if it is missing.
    """

    name: str
    needed_bytes: int
    size_bytes: int | None

    def __str__(self) -> str:
        """Its name, its size, and what is wrong with it."""
        if self.size_bytes is None:
            return f"{self.name} is missing ({self.needed_bytes:,} bytes)"
        short = "" if self.size_bytes >= self.needed_bytes else f", cut short: expected {self.needed_bytes:,}"
        return f"{self.name}, {self.size_bytes:,} bytes{short}"


@dataclass(frozen=True, repr=False)
class Inspection(Result):
    """What is in a model file.

    Attributes:
        inputs: in the order a program meets them.
        outputs: in the order a program meets them.
        operators: how often each occurs, the most frequent first; layers for a .keras file.
        parameters: weights and biases, each number once, by the shape and not by the bytes it is packed into; no
            shapes, and no scales or zero points of quantization.
        tensors: what the model stores, the largest first.
        external_files: that store some of the tensors' values; they are not read.
        metadata: what the file says of itself, as its format has it.
        warnings: where it may predict something else than its maker measured, and why.
    """

    file: str
    format: str
    size_bytes: int
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    parameters: int
    tensors: tuple[Tensor, ...]
    external_files: tuple[ExternalFile, ...]
    metadata: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """A record for each tensor that is stored, the largest first."""
        return [dataclasses.asdict(tensor) for tensor in self.tensors]

    def table(self) -> Group:
        """Return small tables, one below the other."""
        from rich.console import Group

        inside = tuple(tensor for tensor in self.tensors if tensor.external_file is None)
        facts = [
            ("size", f"{self.size_bytes:,} bytes, of which {_size(inside):,} are values of tensors"),
            *(("external data", str(file)) for file in self.external_files),
            ("SHA-256", self.sha256),
            ("parameters", f"{self.parameters:,}"),
            *(("warning", warning) for warning in self.warnings),
        ]
        rest = self.tensors[SHOWN_TENSORS:]
        more = [("", f"and {len(rest)} more; --json shows all", "", f"{_size(rest):>11,}")] if rest else []
        largest = [(t.name, t.form, str(t.quantization or ""), f"{t.size_bytes:>11,}") for t in self.tensors]
        return Group(
            _block(f"{self.file} ({self.format})", facts),
            _block("inputs", [(t.name, t.form, str(t.quantization or "")) for t in self.inputs]),
            _block("outputs", [(t.name, t.form, str(t.quantization or "")) for t in self.outputs]),
            _block("operators", [(name, f"{count:,}") for name, count in self.operators.items()]),
            _block("bytes by tensor", [*largest[:SHOWN_TENSORS], *more]),
            _block("metadata", list(_flat(self.metadata)) or [("none", "")]),
        )


def inspection(
    path: Path,
    content: bytes,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    operators: dict[str, int],
    parameters: int,
    stored: list[Tensor],
    told: dict[str, Any],
    external_files: tuple[ExternalFile, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Inspection:
    """What a reader found in a file, with what is known of every file."""
    largest_first = tuple(sorted(stored, key=lambda tensor: tensor.size_bytes, reverse=True))
    return Inspection(
        file=path.name,
        format=path.suffix[1:],
        size_bytes=len(content),
        sha256=artifact.sha256(content),
        inputs=inputs,
        outputs=outputs,
        operators=operators,
        parameters=parameters,
        tensors=largest_first,
        external_files=external_files,
        metadata=told,
        warnings=warnings,
    )


def counted(names: Iterator[str]) -> dict[str, int]:
    """How often each name occurs, the most frequent first."""
    return dict(Counter(names).most_common())


def count(tensors: list[Tensor]) -> int:
    """How many numbers tensors have together."""
    return sum(math.prod(size or 0 for size in tensor.shape) for tensor in tensors)


def _size(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.size_bytes for tensor in tensors)


def _block(title: str, rows: Sequence[tuple[str, ...]]) -> Table:
    """A small table; what a file says of itself is shown as it is."""
    others = [Column(is_prose=True)] * (len(rows[0]) - 1 if rows else 0)
    return Table([Column(is_name=True), *others], rows, title)


def _flat(told: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as rows: the way to each, and what it is."""
    for name, value in told.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def as_text(content: bytes | str | None) -> str:
    """What should be UTF-8; protobuf gives bytes where it is not."""
    return content if isinstance(content, str) else (content or b"").decode("utf-8", errors="replace")
