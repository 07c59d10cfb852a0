"""Shared fixtures of the unit tests: no engine but a fake one, whose files stand in for trained models.

Here ``exported`` and ``workspace`` hold files with the same names as in the integration tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fakes

ENGINES = ("ai_edge_litert", "keras", "onnx", "onnxruntime", "tensorflow", "tf2onnx")


@pytest.fixture(autouse=True)
def no_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that imports an engine: it takes seconds, and belongs to the integration tests."""
    for name in ENGINES:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def fake_engine() -> Iterator[None]:
    """Install the fake engine, which runs the files of every format."""
    with fakes.fake_engine():
        yield


@pytest.fixture
def exported(images: Path, tmp_path: Path, fake_engine: None) -> Path:
    """A workspace with ``squeezenet-nano.keras`` and its four common exports, for the fake engine."""
    home = tmp_path.with_name(f"{tmp_path.name}-exported")
    home.mkdir()
    fakes.write_workspace(home, images)
    return home
