"""Labels and the pixel range inside a .tflite file, as TFLite Metadata for MediaPipe, Android Studio and other tools.

The metadata is a second flatbuffer, stored in a buffer of the first under the name ``TFLITE_METADATA``. The files that
it names are in a zip archive after the first. Its tables are those of tflite-support's ``metadata_schema.fbs``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types

from edgesqz.artifact import Manifest
from edgesqz.tflite import flatbuffer

ENTRY = "TFLITE_METADATA"
RUNTIME_VERSION = "min_runtime_version"
FILE_IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"
PARSER_VERSION = "1.0.0"  # the oldest that knows every field written here


class _Model(IntEnum):
    """The fields of ModelMetadata that are used here, as for the tables below."""

    NAME, DESCRIPTION, SUBGRAPHS, MIN_PARSER_VERSION = 0, 1, 3, 7


class _Graph(IntEnum):
    INPUTS, OUTPUTS = 2, 3


class _Tensor(IntEnum):
    NAME, DESCRIPTION, CONTENT, PROCESS_UNITS, FILES = 0, 1, 3, 4, 6


class _Content(IntEnum):
    KIND, PROPERTIES = 0, 1


class _Image(IntEnum):
    COLOR_SPACE = 0


class _Unit(IntEnum):
    KIND, OPTIONS = 0, 1


class _Normalization(IntEnum):
    MEAN, STD = 0, 1


class _File(IntEnum):
    NAME, DESCRIPTION, KIND = 0, 1, 2


FEATURE, IMAGE = 1, 2  # types of a tensor's content
NORMALIZATION = 1  # type of a process unit
AXIS_LABELS = 2  # type of a file
COLOR_SPACES = {3: 1, 1: 2}  # channels: RGB, gray


def with_metadata(content: bytes, manifest: Manifest, labels: Sequence[str]) -> bytes:
    """Add the labels and the pixel range of a .tflite file to its metadata.

    Args:
        content: The file, with one image input and one output.
        manifest: Its manifest.
        labels: Names of the classes in the order of the output, one per line of ``labels.txt``.

    Returns:
        A file with the same outputs that contains the metadata and, after the flatbuffer, the labels.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_written(manifest), np.uint8)
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    file = io.BytesIO(flatbuffer.serialized(model))
    with zipfile.ZipFile(file, "a") as archive:  # a zip archive may be appended to any file
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "".join(f"{' '.join(label.split())}\n" for label in labels))
    return file.getvalue()


def without_runtime_version(content: bytes) -> bytes:
    """Remove from the metadata of a .tflite file the oldest TensorFlow version that can run it.

    LiteRT's quantizer copies this entry and the versions of the operators from the float file, where they are correct.
    A file with int4 weights, for example, claimed to run on 1.6.0, although 2.11 still rejects it.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.metadata = [entry for entry in model.metadata or [] if entry.name.decode() != RUNTIME_VERSION]
    return flatbuffer.serialized(model)


def describe(content: bytes, entries: Mapping[str, bytes]) -> dict[str, Any]:
    """Describe the metadata of a .tflite file: TFLite Metadata as nested values, other entries as text or their size.

    Args:
        content: The file, for the archive after the flatbuffer.
        entries: Its metadata by name.

    Raises:
        ValueError: The metadata or the archive is damaged.
    """
    facts: dict[str, Any] = {}
    for name, entry in entries.items():
        if name == ENTRY:
            facts[name] = _read(entry) | {"files": _archived(content)}
        else:
            text = entry.rstrip(b"\0").decode("ascii", errors="replace")
            facts[name] = text if text.isprintable() and "\ufffd" not in text else f"{len(entry)} bytes"
    return facts


def _archived(content: bytes) -> dict[str, list[str]]:
    """Return the lines of the files in the archive after a flatbuffer."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            return {name: archive.read(name).decode("utf-8", errors="replace").splitlines() for name in names}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"the archive after it: {error}") from error


def _written(manifest: Manifest) -> bytes:
    builder = flatbuffers.Builder(1024)
    pixels, channels = manifest.pixels, manifest.input.shape[-1]
    normalization = _table(
        builder,
        {
            # (pixel - mean) / std is the inverse of the manifest's scale and offset.
            _Normalization.MEAN: _floats(builder, -pixels.offset / pixels.scale),
            _Normalization.STD: _floats(builder, 1 / pixels.scale),
        },
    )
    image = _table(builder, {}, {_Image.COLOR_SPACE: COLOR_SPACES[channels or 3]})
    content = _table(builder, {_Content.PROPERTIES: image}, {_Content.KIND: IMAGE})
    unit = _table(builder, {_Unit.OPTIONS: normalization}, {_Unit.KIND: NORMALIZATION})
    image = _table(
        builder,
        {
            _Tensor.NAME: builder.CreateString("image"),
            _Tensor.DESCRIPTION: builder.CreateString("one image, rows from the top, channels last"),
            _Tensor.CONTENT: content,
            _Tensor.PROCESS_UNITS: _offsets(builder, [unit]),
        },
    )
    labels = _table(
        builder,
        {
            _File.NAME: builder.CreateString(LABELS_FILE),
            _File.DESCRIPTION: builder.CreateString("names of the classes, in the order of the output"),
        },
        {_File.KIND: AXIS_LABELS},
    )
    feature = _table(builder, {_Content.PROPERTIES: _table(builder, {})}, {_Content.KIND: FEATURE})
    probability = _table(
        builder,
        {
            _Tensor.NAME: builder.CreateString("probability"),
            _Tensor.DESCRIPTION: builder.CreateString("probability of each class"),
            _Tensor.CONTENT: feature,
            _Tensor.FILES: _offsets(builder, [labels]),
        },
    )
    graph = _table(
        builder, {_Graph.INPUTS: _offsets(builder, [image]), _Graph.OUTPUTS: _offsets(builder, [probability])}
    )
    model = _table(
        builder,
        {
            _Model.NAME: builder.CreateString(f"{manifest.name} {manifest.variant}"),
            _Model.DESCRIPTION: builder.CreateString("classifies images"),
            _Model.SUBGRAPHS: _offsets(builder, [graph]),
            _Model.MIN_PARSER_VERSION: builder.CreateString(PARSER_VERSION),
        },
    )
    builder.Finish(model, FILE_IDENTIFIER)
    return bytes(builder.Output())


def _table(
    builder: flatbuffers.Builder, offsets: Mapping[IntEnum, int], kinds: Mapping[IntEnum, int] | None = None
) -> int:
    """Write a table of references and enumerations, each by its field."""
    builder.StartObject(max([*offsets, *(kinds or {})], default=-1) + 1)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, kind in (kinds or {}).items():
        builder.PrependUint8Slot(field, kind, 0)
    return int(builder.EndObject())


def _offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, value: float) -> int:
    return int(builder.CreateNumpyVector(np.array([value], np.float32)))


class _Reader:
    """Reads a table of a flatbuffer by its fields."""

    def __init__(self, table: flatbuffers.table.Table) -> None:
        self._table = table

    @classmethod
    def root(cls, content: bytes) -> _Reader:
        if content[4:8] != FILE_IDENTIFIER:
            raise ValueError(f"its {ENTRY} entry is not valid TFLite Metadata")
        place = flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0)
        return cls(flatbuffers.table.Table(content, place))

    def text(self, field: IntEnum) -> str | None:
        at = self._at(field)
        return self._table.String(at).decode("utf-8", errors="replace") if at else None

    def kind(self, field: IntEnum) -> int:
        at = self._at(field)
        return int(self._table.Get(number_types.Uint8Flags, at)) if at else 0

    def table(self, field: IntEnum) -> _Reader | None:
        at = self._at(field)
        return _Reader(flatbuffers.table.Table(self._table.Bytes, self._table.Indirect(at))) if at else None

    def tables(self, field: IntEnum) -> Iterator[_Reader]:
        at = self._at(field)
        if not at:
            return
        offset = at - self._table.Pos
        count, start = self._table.VectorLen(offset), self._table.Vector(offset)
        if 4 * count > len(self._table.Bytes):
            raise ValueError(f"its {ENTRY} entry refers to more tables than it can contain")
        for number in range(count):
            place = self._table.Indirect(start + 4 * number)
            yield _Reader(flatbuffers.table.Table(self._table.Bytes, place))

    def floats(self, field: IntEnum) -> list[float]:
        at = self._at(field)
        if not at:
            return []
        vector = self._table.GetVectorAsNumpy(number_types.Float32Flags, at - self._table.Pos)
        return [float(value) for value in vector]

    def _at(self, field: IntEnum) -> int:
        """Return the position of a field, or 0 if the table does not have it."""
        offset = self._table.Offset(4 + 2 * field)
        return int(self._table.Pos + offset) if offset else 0


def _read(content: bytes) -> dict[str, Any]:
    model = _Reader.root(content)
    graph = next(model.tables(_Model.SUBGRAPHS), None)
    facts: dict[str, Any] = {"name": model.text(_Model.NAME), "description": model.text(_Model.DESCRIPTION)}
    for title, field in (("input", _Graph.INPUTS), ("output", _Graph.OUTPUTS)):
        for number, tensor in enumerate(graph.tables(field) if graph else ()):
            facts |= {f"{title} {number}": _read_tensor(tensor)}
    return {name: fact for name, fact in facts.items() if fact}


def _read_tensor(tensor: _Reader) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": tensor.text(_Tensor.NAME), "description": tensor.text(_Tensor.DESCRIPTION)}
    for unit in tensor.tables(_Tensor.PROCESS_UNITS):
        options = unit.table(_Unit.OPTIONS)
        if options and unit.kind(_Unit.KIND) == NORMALIZATION:
            facts |= {"mean": options.floats(_Normalization.MEAN), "std": options.floats(_Normalization.STD)}
    files = [file.text(_File.NAME) for file in tensor.tables(_Tensor.FILES) if file.kind(_File.KIND) == AXIS_LABELS]
    return {name: fact for name, fact in (facts | {"labels": files}).items() if fact}
