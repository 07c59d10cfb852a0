"""The HTML report in a browser."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.render.html import page
from edgesqz.benchmarking.report import Latency, Report, Row
from edgesqz.machine import Machine

HOSTILE = '<script>alert(1)</script>&".tflite'


LABELS = ("cat", "<b>dog</b>", "frog")


def row(name: str, size_bytes: int, accuracy: float | None, p50: float, runtime: str = "litert") -> Row:
    return Row(
        artifact=name,
        format="tflite",
        variant="int8",
        runtime=runtime,
        runtime_version="2.3.0",
        size_bytes=size_bytes,
        gzipped_bytes=size_bytes,
        threads=1,
        accuracy=accuracy,
        accuracy_interval=None if accuracy is None else (accuracy - 0.02, accuracy + 0.02),
        class_accuracies=None if accuracy is None else (0.9, 0.85, None),
        confusion=None if accuracy is None else ((9, 1, 0), (0, 17, 3), (0, 0, 0)),
        latency_us=Latency(p50, p50, p50, 100, tuple(p50 * (0.9 + k / 60) for k in range(21)), (p50 * 0.9, p50 * 1.1)),
    )


def report(*rows: Row) -> Report:
    return Report(
        machine=Machine("A processor", 2),
        versions={"python": "3.11.7"},
        dataset={"name": "cifar10", "split": "test", "images": 10_000, "labels": LABELS},
        budget=Budget(size_bytes=500_000, latency_us=1000),
        rows=rows,
        created="2026-01-02T03:04:05+00:00",
        command="edgesqz bench '<a>'",
    )


LAYERS = {"normalize": None, "stem": 37.25, "<logits>": -3.0}


FULL = report(
    row("squeezenet.keras", 1_900_000, 0.9244, 2700, "keras"),
    row("squeezenet.int8.onnx", 520_000, 0.9235, 453, "onnxruntime"),
    dataclasses.replace(row("squeezenet.int8.tflite", 470_000, 0.9231, 376), layer_sqnr_db=LAYERS),
    row(HOSTILE, 87_000, 0.8871, 69),
    row("untrained.tflite", 20_000, None, 40),
    dataclasses.replace(row("broken.onnx", 10, None, 1), error="no <model>", latency_us=None),
)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (768, False), (500, True)])
def test_a_browser_shows_the_page_without_a_complaint(width: int, dark: bool, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: Debian has it as chromium")
    (tmp_path / "report.html").write_text(page(FULL), encoding="utf-8")
    image = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--v=0"]
    look = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    size = [f"--window-size={width},1400", f"--screenshot={image}", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, *quiet, *look, *size, (tmp_path / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    with Image.open(image) as shown:
        corner = shown.convert("RGB").getpixel((2, 2))
        assert shown.width == width
    assert isinstance(corner, tuple)
    assert (sum(corner) < 3 * 60) == dark
