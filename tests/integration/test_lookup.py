"""Every command finds models in the same way."""

from __future__ import annotations

from pathlib import Path

import edgesqz
from edgesqz.models import loading
from edgesqz.predicting import predict
from edgesqz.workspace import Workspace


def test_every_command_finds_a_model_in_the_same_way(exported: Path, images: Path) -> None:
    image = next((images / "test").glob("*/*.png"))
    for name in ("colors", "colors.keras"):
        assert loading.find(name, Workspace(exported)).source == str(exported / "colors.keras")
        assert edgesqz.inspect(name, workspace=exported).format == "keras"
    for file in ("colors.fp32.onnx", exported / "colors.fp32.onnx"):
        assert predict(file, [image], workspace=exported).artifact == "colors.fp32.onnx"
        with edgesqz.load(file, workspace=exported) as model:
            assert model.image_format[1] == 3
