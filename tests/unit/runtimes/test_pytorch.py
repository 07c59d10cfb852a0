"""The PyTorch runtime never runs code from a file. A fake PyTorch stands in for the real one, which is large."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from types import SimpleNamespace

import pytest

runtime = importlib.import_module("edgesqz.runtimes.pytorch")


def test_a_pickle_within_a_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(file: object) -> None:
        assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
        raise pickle.UnpicklingError("Weights only load failed.")

    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    fake = SimpleNamespace(set_num_threads=lambda threads: None, export=SimpleNamespace(load=load))
    monkeypatch.setitem(sys.modules, "torch", fake)
    with pytest.raises(ValueError, match="it contains a pickle that can run code; export it again"):
        runtime.load(b"", 1)
