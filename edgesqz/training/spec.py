"""Read a specification: a TOML file with a network and its recipe, such as a sweep writes for its best trial."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeAlias

from edgesqz.errors import EdgesqzError, suggestion

Kind: TypeAlias = type | UnionType

NETWORK: dict[str, Kind] = {"model": str, "input_size": int | str}
RECIPE: dict[str, Kind] = {
    "epochs": int,
    "batch_size": int,
    "learning_rate": int | float,
    "weight_decay": int | float,
    "label_smoothing": int | float,
    "preprocessing": str,
    "optimizer": str,
    "average": int | float,
    "branches": bool,
    "teacher": str,
    "teacher_views": int,
    "init": str,
    "freeze": int,
    "quantize_aware": str,
    "seed": int,
}
DESCRIPTIONS: dict[Kind, str] = {
    int: "an integer",
    int | float: "a number",
    int | str: "a number or text",
    str: "text",
    bool: "true or false",
}


def read_spec(path: Path) -> dict[str, Any]:
    """Read the options of ``Train`` that a specification sets.

    Raises:
        EdgesqzError: The file does not exist, is not valid TOML, sets an unknown option, or sets an option to a value
            of the wrong type.
    """
    sections = read_toml(path, "specification")
    found: dict[str, Any] = {}
    for section, known in (("network", NETWORK), ("recipe", RECIPE)):
        values = sections.pop(section, {})
        if not isinstance(values, dict):
            raise EdgesqzError(f"{path}: expected a section [{section}], got {section} = {values!r}")
        for name, value in values.items():
            _check(path, f"{section}.{name}", name, value, known)
        found |= values
    if sections:
        raise EdgesqzError(f"{path}: expected the sections [network] and [recipe], got {', '.join(sections)}")
    return found


def _check(path: Path, label: str, name: str, value: Any, known: Mapping[str, Kind]) -> None:
    if name not in known:
        hint = suggestion(name, known) or f"choose from {', '.join(known)}"
        raise EdgesqzError(f"{path}: unknown option {label}; {hint.strip()}")
    if not is_of_kind(value, known[name]):
        raise EdgesqzError(f"{path}: expected {DESCRIPTIONS[known[name]]} for {label}, got {value!r}")


def is_of_kind(value: Any, kind: Kind) -> bool:
    """Return whether a value is of a kind. In Python, True and False are also integers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def read_toml(path: Path, what: str, advice: str = "") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        what: What the file contains, for messages.
        advice: What to try if the file cannot be read, for the message.

    Raises:
        EdgesqzError: The file cannot be read, or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgesqzError(f"cannot read the {what} {path}: {error.strerror}{advice}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgesqzError(f"expected TOML in {path}: {error}") from error
