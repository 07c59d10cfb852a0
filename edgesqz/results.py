"""The base class of all results: how they appear in Python, in a notebook, as JSON and in a terminal."""

from __future__ import annotations

import dataclasses
import html
import io
import json
import reprlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

NOTEBOOK_WIDTH = 100  # columns of text


class Result:
    """Base class of the frozen dataclasses that commands return. They are declared with ``repr=False``."""

    @abstractmethod
    def table(self) -> RenderableType:
        """Return the result as Rich prints it."""

    @property
    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """The result as records of plain values, for ``pandas.DataFrame``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dicts, lists and plain values."""
        plain: dict[str, Any] = json.loads(self.to_json())
        return plain

    def to_json(self) -> str:
        """Return the result as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2, default=str) + "\n"  # type: ignore[call-overload]

    def __repr__(self) -> str:
        """Return the fields. Long values are abbreviated to their length."""
        values = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={_abbreviated(value)}' for name, value in values)})"

    def _repr_html_(self) -> str:
        """Return the table as HTML for a notebook."""
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=NOTEBOOK_WIDTH, color_system=None, force_jupyter=False).print(self.table())
        return f"<pre>{html.escape(text.getvalue())}</pre>"


def _abbreviated(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, tuple | list | Mapping):
        return f"<{len(value)}>"
    if dataclasses.is_dataclass(value):
        return f"<{type(value).__name__}>"
    return repr(str(value)) if isinstance(value, Path) else reprlib.repr(value)
