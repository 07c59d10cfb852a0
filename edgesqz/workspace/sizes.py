"""Parse and format sizes in bytes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from decimal import Decimal

from edgesqz.errors import EdgesqzError

_QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})? ?([a-zµμ]*)", re.ASCII | re.IGNORECASE)
_SEPARATOR = re.compile(r"(?<=\d)[,. _'](?=\d{3}(?!\d))", re.ASCII)  # between groups of three digits
_POWERS = "kmgt"


def parse_size(text: str) -> int:
    """Parse a size such as ``500kB``, ``2MB``, ``1MiB`` or ``123456``. 1 kB is 1000 bytes, and 1 KiB is 1024.

    Raises:
        EdgesqzError: The text is not a size, or the size is below one byte, above the largest file, or not a whole
            number of bytes.
    """
    size = _bytes(text)
    if size is None:
        expected = "a size above zero such as 500kB, 2MB, 1MiB or a number of bytes"
        right = right_form(text, lambda form: _bytes(form) is not None)
        raise EdgesqzError(f"expected {expected}, got {text!r}{right}")
    return size


def _bytes(text: str) -> int | None:
    """Return the size in bytes, or None if the text is not a size."""
    number, unit = quantity(text) or (Decimal(0), "")
    parts = re.fullmatch(r"([kmgt]?)(i?)b?", unit.lower())
    if parts is None or (parts[2] and not parts[1]):
        return None
    power = _POWERS.index(parts[1]) + 1 if parts[1] else 0
    size = number * (1024 if parts[2] else 1000) ** power
    is_whole = power > 0 or size == int(size)  # 1.5 without a unit is more likely a mistake than a byte and a half
    return int(size) if 1 <= size <= sys.maxsize and is_whole else None


def quantity(text: str) -> tuple[Decimal, str] | None:
    """Split a text such as ``1.5 MB`` or ``1e6`` into its number and its unit, or None if it is anything else."""
    match = _QUANTITY.fullmatch(text.strip())
    return (Decimal(match[1] + (match[2] or "")), match[3]) if match else None


def right_form(text: str, is_read: Callable[[str], bool]) -> str:
    """Suggest how to write a number with separators, for the end of an error message. Empty without a suggestion."""
    forms = (_SEPARATOR.sub("", text).strip(), text.replace(",", ".").strip())
    return next((f"; write {form}" for form in forms if is_read(form)), "")


def parse_quota(quota: str | int | None) -> int | None:
    """Convert a quota, a number or text as in ``parse_size``, to bytes, or None for no quota."""
    return None if quota is None else parse_size(str(quota))


def format_size(size_bytes: int) -> str:
    """Format a size as quotas are written: ``73.5 kB``, with 1 kB = 1000 bytes."""
    from rich.filesize import decimal

    return decimal(size_bytes)
