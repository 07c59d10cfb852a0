"""Read a specification: a TOML file with a network and its recipe, such as a sweep writes for its best trial."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesqz.errors import EdgesqzError, suggestion

NETWORK = ("model", "input_size")
RECIPE = (
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "label_smoothing",
    "preprocessing",
    "teacher",
    "init",
    "freeze",
    "seed",
)


def read_spec(path: Path) -> dict[str, Any]:
    """Read the options of ``Train`` that a specification sets.

    Raises:
        EdgesqzError: The file does not exist, is not valid TOML, or sets an unknown option or an option to more than
            one value.
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


def _check(path: Path, label: str, name: str, value: Any, known: Sequence[str]) -> None:
    if name not in known:
        hint = suggestion(name, known) or f"choose from {', '.join(known)}"
        raise EdgesqzError(f"{path}: unknown option {label}; {hint.strip()}")
    if not isinstance(value, str | int | float):
        raise EdgesqzError(f"{path}: expected one value for {label}, got {value!r}")


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
