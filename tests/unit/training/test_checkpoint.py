"""Checkpoints of other versions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from edgesqz.training.checkpoint import Checkpoint, Progress
from edgesqz.training.recipe import Recipe
from edgesqz.workspace import Workspace


def test_a_checkpoint_without_the_time_of_the_epoch_can_be_read(tmp_path: Path) -> None:
    """Earlier versions did not record it, nor the learning rate and the speed of each epoch."""
    progress = Progress(step=7, seconds=1.5, epoch_loss=3.25, history=[{"loss": 1.0}])
    checkpoint = Checkpoint("digits", Recipe("digits"), progress, [np.zeros(2)], [])
    ((name, content),) = checkpoint.files().items()
    with np.load(io.BytesIO(content)) as arrays:
        older = dict(arrays)
    facts = json.loads(older["facts"].tobytes())
    assert facts["progress"].pop("epoch_seconds") == 0
    older["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(tmp_path / name, allow_pickle=False, **older)
    assert Checkpoint.read(Workspace(tmp_path), "digits").progress == progress
