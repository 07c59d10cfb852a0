"""The engine in ``fake_engine``, installed for a test, and model files for it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgesqz import plugins
from edgesqz.artifact import Artifact, Images, Manifest, PixelRange, Tensor, Verification, sha256, stored_form

INSTALLED = Path(__file__).parent / "fake_engine"
CLASSES = ("blue", "green", "red")
SIDE = 32
SIZES = {"keras": 40_000, "fp32.onnx": 36_000, "int8.onnx": 15_000, "fp32.tflite": 34_000, "int8.tflite": 12_000}


@contextlib.contextmanager
def fake_engine() -> Iterator[None]:
    """Install the engine for this process and the commands that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(INSTALLED))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(INSTALLED), os.environ.get("PYTHONPATH")])))
        plugins.runtimes.cache_clear()
        yield
    plugins.runtimes.cache_clear()
    for name in ("edgesqz_fake", "edgesqz_missing"):
        sys.modules.pop(name, None)


def content(
    *,
    dtype: str = "float32",
    size: tuple[int, int] = (SIDE, SIDE),
    classes: int = 3,
    size_bytes: int = 0,
    **habits: Any,
) -> bytes:
    """Return the content of a model file. ``habits`` configure the engine's ``Session``."""
    scale = {"scale": 1 / 64, "zero_point": 0} if dtype == "int8" else {"scale": None, "zero_point": None}
    pixels = {"shape": [1, *size, 3], "dtype": dtype} | scale
    probabilities = {"shape": [1, classes], "dtype": "float32", "scale": None, "zero_point": None}
    return json.dumps({"input": pixels, "output": probabilities} | habits).encode().ljust(size_bytes)


def write(path: Path, model: bytes, **facts: Any) -> Artifact:
    """Write a model file and its manifest, which also contains ``facts``."""
    name, *variant, suffix = path.name.split(".")
    fields = json.loads(model)
    takes = Tensor(**fields["input"])
    described: dict[str, Any] = {
        "name": name,
        "variant": variant[0] if variant else "fp32",
        "format": suffix,
        "size_bytes": len(model),
        "sha256": sha256(model),
        "input": takes,
        "output": Tensor(**fields["output"]),
        "pixels": PixelRange() if takes.scale is None else PixelRange(scale=takes.scale, offset=-2),
        "labels": CLASSES,
        "versions": {"edgesqz": "0.1.0"},
    }
    manifest = Manifest(**described | facts)
    for file_name, part in stored_form(model, manifest, path.name).items():
        path.with_name(file_name).write_bytes(part)
    return Artifact(path, manifest)


def write_workspace(home: Path, images: Path, name: str = "squeezenet-nano") -> None:
    """Write a trained model and its four common exports. The int8 exports make a few mistakes."""
    dataset = str(images)
    seen = Images(dataset=dataset, split="train", count=50, seed=0)
    source = content(size_bytes=SIZES["keras"])
    write(home / f"{name}.keras", source, dataset=dataset, training={"recipe": {}, "epochs": []})
    for kind, size_bytes in SIZES.items():
        if kind == "keras":
            continue
        is_int8 = kind.startswith("int8")
        dtype, mistakes = ("int8", 0.03) if kind == "int8.tflite" else ("float32", 0.02 * is_int8)
        write(
            home / f"{name}.{kind}",
            content(dtype=dtype, size_bytes=size_bytes, mistakes=mistakes),
            dataset=dataset,
            source_sha256=sha256(source),
            calibration=seen if is_int8 else None,
            verification=Verification(images=seen, agreement=1 - mistakes, max_error=0.1, mean_error=0.01),
        )
