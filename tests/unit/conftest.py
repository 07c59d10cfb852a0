"""Shared fixtures of the unit tests: no engine but a fake one, whose files stand in for trained models.

Here ``exported`` and ``workspace`` hold files with the same names as in the integration tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ENGINES = ("ai_edge_litert", "keras", "litert_quantizer", "onnx", "onnxruntime", "tensorflow", "tf2onnx")


@pytest.fixture(autouse=True)
def no_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that imports an engine: it takes seconds, and belongs to the integration tests."""
    for name in ENGINES:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def exported(fake_exported: Path) -> Path:
    """A workspace for the fake engine."""
    return fake_exported
