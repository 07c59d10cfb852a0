"""Fine-tuning: weights that are copied, kept and replaced, exact resumption, and models that do not fit."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.models import loading
from edgesqz.models.architectures import network_graph
from edgesqz.training import Train
from edgesqz.training.fine_tuning import modules
from edgesqz.training.result import TrainResult
from edgesqz.workspace import Workspace
from tests import small

Weights = dict[str, list[np.ndarray]]


def fine_tune(init: Path, folder: Path, workspace: Path, **options: Any) -> TrainResult:
    chosen: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 0.05,
        "precision": "float32",
        "name": "tuned",
    } | options
    console = chosen.pop("console", Console(quiet=True))
    return Train(dataset=folder, init=init, workspace=workspace, **chosen).run(console)


def weights(path: Path) -> Weights:
    model = loading.find(path, Workspace(path.parent)).model
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def differing(first: Weights, second: Weights) -> set[str]:
    """Return the modules in which any weight differs."""
    pairs = ((name, zip(first[name], second[name], strict=True)) for name in first)
    return {name.partition("_")[0] for name, pair in pairs if not all(np.array_equal(*each) for each in pair)}


def test_frozen_modules_keep_their_weights_and_statistics(trained: Path, images: Path, tmp_path: Path) -> None:
    init, shown = trained / "colors.keras", io.StringIO()
    tuned = fine_tune(init, images, tmp_path, freeze=2, console=Console(file=shown, width=200))
    every = modules(network_graph(small.NETWORK))
    assert differing(weights(init), weights(tuned.path)) == set(every[2:])
    assert f"initial weights: colors ({init}); frozen: stem, fire11\n" in shown.getvalue()
    assert tuned.manifest.training
    recipe = tuned.manifest.training["recipe"]
    assert (recipe["model"], recipe["freeze"]) == (small.NETWORK, 2)
    assert recipe["init"] == edgesqz.artifact.sha256(init.read_bytes())


def test_other_classes_get_a_new_classifier(trained: Path, bright_and_dark: Path, tmp_path: Path) -> None:
    init, shown = trained / "colors.keras", io.StringIO()
    # The learning rate is so low that only the statistics and the new classifier differ visibly.
    tuned = fine_tune(
        init, bright_and_dark, tmp_path, freeze=3, learning_rate=1e-9, console=Console(file=shown, width=200)
    )
    assert f"initial weights: colors ({init}) with a new classifier; frozen: stem, fire11, fire21\n" in shown.getvalue()
    before, after = weights(init), weights(tuned.path)
    assert after["classifier"][0].shape[-1] == 2 != before["classifier"][0].shape[-1]
    del before["classifier"], after["classifier"]
    assert not differing(before, after)
    assert tuned.manifest.labels == ("bright", "dark")


def test_a_resumed_run_gives_the_same_network(bright_and_dark: Path, tmp_path: Path) -> None:
    init = tmp_path / "init.keras"
    network_graph(small.ONE_FIRE, classes=2, input_size=16).to_keras().save(init)
    options: dict[str, Any] = {"model": small.ONE_FIRE, "input_size": 16, "epochs": 2, "freeze": 1}
    options |= {"quantize_aware": "int4", "average": 0.9, "optimizer": "muon"}
    whole = fine_tune(init, bright_and_dark, tmp_path, name="whole", **options)

    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    from edgesqz.training.run import run

    plan = Train(
        dataset=bright_and_dark,
        init=init,
        workspace=tmp_path,
        name="halves",
        batch_size=32,
        learning_rate=0.05,
        precision="float32",
        **options,
    )
    with pytest.raises(KeyboardInterrupt):
        run(plan, Console(quiet=True), after_epoch=stop)
    with pytest.raises(EdgesqzError, match=r"was started with init init\.keras; specify it again"):
        edgesqz.train(resume=True, name="halves", workspace=tmp_path)
    halves = edgesqz.train(resume=True, name="halves", init=init, workspace=tmp_path)
    assert not differing(weights(whole.path), weights(halves.path))


def test_a_model_that_does_not_fit_is_rejected(trained: Path, images: Path, tmp_path: Path) -> None:
    init = trained / "colors.keras"
    with pytest.raises(EdgesqzError, match=r"init .*colors.keras does not fit squeezenet: its layer stem has weights"):
        fine_tune(init, images, tmp_path, model="squeezenet")
    unnamed = Path(shutil.copy(init, tmp_path / "unnamed.keras"))
    with pytest.raises(EdgesqzError, match="unnamed.keras has no manifest that names its network; set model"):
        fine_tune(unnamed, images, tmp_path)
    with pytest.raises(EdgesqzError, match="freeze must be at most 3"):
        fine_tune(init, images, tmp_path, freeze=4)
