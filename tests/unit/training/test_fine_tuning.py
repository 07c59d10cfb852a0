"""Fine-tuning: the modules of a network, what its manifest says about it, and networks that do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.artifact import ZOO, Artifact, PixelRange
from edgesqz.models.architectures import ARCHITECTURES, network_graph
from edgesqz.models.loading import SourceModel
from edgesqz.training.fine_tuning import frozen_modules, keeps_classifier, mismatch, modules, network_of


def zoo_model(*, manifest: bool = True) -> SourceModel:
    """Describe a network of the zoo without loading its weights."""
    found = Artifact.open(ZOO / "squeezenet-nano.keras").manifest
    return SourceModel("squeezenet-nano", "the zoo", None, None, PixelRange(), found if manifest else None, None)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("squeezenet-nano", ["stem", "fire11", "fire12", "fire21", "fire22", "fire23", "classifier"]),
        ("squeezenet-1.1", ["conv1", *(f"fire{number}" for number in range(2, 10)), "conv10"]),
        ("digits", ["conv1", "conv2", "dense", "logits"]),
    ],
)
def test_modules_are_counted_from_the_input(model: str, names: list[str]) -> None:
    assert modules(network_graph(model)) == names


def test_all_but_the_classifier_can_be_frozen() -> None:
    graph = network_graph("digits")
    assert frozen_modules(graph, 0) == []
    assert frozen_modules(graph, 3) == ["conv1", "conv2", "dense"]
    with pytest.raises(EdgesqzError, match="freeze must be at most 3, because digits has 3 modules before its logits"):
        frozen_modules(graph, 4)


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_every_layer_with_weights_is_named_after_its_module(model: str) -> None:
    graph = network_graph(model)
    weighted = [node.layer.name for node in graph.nodes if node.cost().parameters]
    assert {name.partition("_")[0] for name in weighted} == set(modules(graph))


def test_the_manifest_says_which_network_it_is() -> None:
    assert network_of(zoo_model()) == {"model": "squeezenet-nano", "preprocessing": "scale"}
    assert network_of(zoo_model(manifest=False)) == {}
    source = zoo_model()
    assert source.manifest
    wide = source.manifest.model_copy(update={"training": {"recipe": {"model": "digits", "input_size": "36x24"}}})
    assert network_of(dataclasses.replace(source, manifest=wide)) == {"model": "digits", "input_size": "36x24"}


def test_the_classifier_is_kept_only_for_the_same_classes_in_the_same_order() -> None:
    source = zoo_model()
    assert source.manifest
    labels = source.manifest.labels
    assert keeps_classifier(source, labels)
    assert not keeps_classifier(source, labels[::-1])
    assert not keeps_classifier(zoo_model(manifest=False), labels)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"stem": [(3, 3, 3, 16)], "stem_norm": [(16,), (16,)]}, None),
        ({"stem": [(3, 3, 3, 16)]}, "it has no layer stem_norm"),
        (
            {"stem": [(3, 3, 3, 32), (32,)], "stem_norm": [(16,), (16,)]},
            "its layer stem has weights of shape 3x3x3x32 and 32, expected 3x3x3x16",
        ),
        ({"stem": [(3, 3, 3, 16)], "stem_norm": [(16,), (16,)], "fc": [(2, 2)]}, "it also has a layer fc"),
    ],
)
def test_the_first_difference_is_described(found: dict[str, Sequence[Any]], problem: str | None) -> None:
    assert mismatch({"stem": [(3, 3, 3, 16)], "stem_norm": [(16,), (16,)]}, found) == problem
