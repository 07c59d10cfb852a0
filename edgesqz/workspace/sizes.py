"""Sizes in bytes as people write them."""

from __future__ import annotations

from edgesqz.errors import EdgesqzError


def parse_size(text: str) -> int:
    """Read a size such as ``500kB``, ``2MB``, ``1MiB`` or ``123456`` as bytes; kB is 1000 bytes, KiB is 1024.

    Raises:
        EdgesqzError: the text is no size, or not above zero.
    """
    from pydantic import ByteSize, TypeAdapter, ValidationError

    problem = f"expected a size above zero such as 500kB, 2MB, 1MiB or a number of bytes, got {text!r}"
    try:
        size = int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except (ValidationError, OverflowError) as error:
        raise EdgesqzError(problem) from error
    if size <= 0:
        raise EdgesqzError(problem)
    return size


def parse_quota(quota: str | int | None) -> int | None:
    """A quota as bytes, from a number, from text as in ``parse_size``, or None for no limit."""
    return None if quota is None else parse_size(str(quota))


def format_size(size_bytes: int) -> str:
    """Write bytes the way quotas are given: ``73.5 kB``, with 1 kB = 1000 bytes."""
    from rich.filesize import decimal

    return decimal(size_bytes)
