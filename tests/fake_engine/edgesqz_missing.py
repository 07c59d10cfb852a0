"""A runtime whose engine is not installed."""

from __future__ import annotations

from typing import Any

ENGINE = "edgesqz-missing-engine"
REQUIREMENTS = ("edgesqz-missing-engine>=1",)
SUFFIXES = (".missing",)
PYTHON = None
TIMED = True


def load(model_bytes: bytes, threads: int) -> Any:
    """Raise ModuleNotFoundError."""
    import edgesqz_missing_engine  # type: ignore[import-not-found]

    return edgesqz_missing_engine.Session(model_bytes)
