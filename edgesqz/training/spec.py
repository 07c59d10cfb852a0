"""Read a specification, a TOML file with a network and its recipe. A sweep writes one for its best trial."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesqz.errors import EdgesqzError

NETWORK = ("model", "input_size")
RECIPE = (
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "label_smoothing",
    "preprocessing",
    "teacher",
    "seed",
)


def read_spec(path: Path) -> dict[str, Any]:
    """Read the options of ``Train`` that a specification sets.

    Raises:
        EdgesqzError: The file does not exist, is not valid TOML, has an unknown option, or has a list or range instead
            of a single value.
    """
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgesqzError(f"cannot read the specification {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgesqzError(f"expected TOML in {path}: {error}") from error
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
        nearest = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else f"; choose from {', '.join(known)}"
        raise EdgesqzError(f"{path}: unknown option {label}{hint}")
    if not isinstance(value, str | int | float):
        raise EdgesqzError(f"{path}: expected one value for {label}, got {value!r}")
