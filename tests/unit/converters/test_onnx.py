"""Memory use of the ONNX converter."""

from __future__ import annotations

import gc
import sys
import types
import weakref
from typing import Any

import pytest

from edgesqz import plugins


class Graph:
    """A graph like those of tf2onnx, whose nodes refer to it, so that reference counting alone does not free it."""

    def __init__(self) -> None:
        self.graph = self


def test_each_optimization_frees_the_previous_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    tf2onnx: Any = types.ModuleType("tf2onnx")
    tf2onnx.optimizer = types.SimpleNamespace(_get_optimizers=lambda: {"fold": Graph, "merge": Graph})
    monkeypatch.setitem(sys.modules, "tf2onnx", tf2onnx)
    converter: Any = plugins.converter("onnx")
    gc.disable()
    try:
        with converter.collecting_copies() as optimizers:
            assert list(optimizers) == ["fold", "merge"]
            copy = weakref.ref(Graph())
            assert copy() is not None
            assert isinstance(optimizers["fold"](), Graph)
            assert copy() is None
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
