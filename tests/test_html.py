"""The page: complete in itself, everything escaped, and shown by a real browser without a complaint."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.render.html import page
from edgesqz.benchmarking.report import Latency, Report, Row

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
        fits_quota=None,
        threads=1,
        accuracy=accuracy,
        confusion=None if accuracy is None else ((9, 1, 0), (0, 17, 3), (0, 0, 0)),
        latency_us=Latency(p50, p50, p50, 100, tuple(p50 * (0.9 + k / 60) for k in range(21))),
    )


def report(*rows: Row) -> Report:
    return Report(
        machine={"cpu": "A processor", "cores": 2},
        versions={"python": "3.11.7"},
        dataset={"name": "cifar10", "split": "test", "images": 10_000, "labels": LABELS},
        budget=Budget(size_bytes=500_000, latency_us=1000),
        rows=rows,
    )


LAYERS = {"normalize": None, "stem": 37.25, "<logits>": -3.0}
FULL = report(
    row("squeezenet.keras", 1_900_000, 0.9244, 2700, "keras"),
    row("squeezenet.int8.onnx", 520_000, 0.9235, 453, "onnxruntime"),
    dataclasses.replace(row("squeezenet.int8.tflite", 470_000, 0.9231, 376), layer_snr_db=LAYERS),
    row(HOSTILE, 87_000, 0.8871, 69),
    row("untrained.tflite", 20_000, None, 40),
    dataclasses.replace(row("broken.onnx", 10, None, 1), error="no <model>", latency_us=None),
)


class Reader(HTMLParser):
    """What a browser would be asked to load and run, and whether every element is closed."""

    EMPTY = ("meta", "link", "line", "circle", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def read(of: Report) -> Reader:
    reader = Reader()
    reader.feed(page(of))
    assert not reader.open
    return reader


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    reader = read(FULL)
    assert not reader.tags & {"script", "img", "iframe", "object", "embed"}
    assert reader.addresses == ["data:,"]
    assert "url(" not in page(FULL)


def test_names_and_labels_are_escaped() -> None:
    text = page(FULL)
    assert "<script" not in text
    assert "<b>dog" not in text
    assert "no <model>" not in text
    assert text.count("&lt;script&gt;alert(1)") > 3


def test_every_measured_file_is_in_both_charts_and_its_tip_has_its_figures() -> None:
    text = page(FULL)
    assert text.count("<circle") == 2 * 4 + 2
    assert text.count("<title>squeezenet.int8.tflite on litert: 470.0 kB, 376.0 µs, top-1 92.31%</title>") == 3
    assert text.count('class="limit"') == 2
    assert len(re.findall('class="median"', text)) == 5


def test_layers_are_a_curve_a_file() -> None:
    text = page(FULL)
    assert text.count("<polyline") == 1
    assert "<title>stem: 37.2 dB</title>" in text
    assert "<title>&lt;logits&gt;: -3.0 dB</title>" in text
    assert "Where errors come in" not in page(report(FULL.rows[0]))


def test_no_name_stands_on_another() -> None:
    rows = [row(f"{number}.tflite", 400_000 + number, 0.9 + number / 1e4, 100 + number) for number in range(5)]
    places = [
        (float(x), float(y)) for x, y in re.findall(r'<text x="([^"]+)" y="([^"]+)">\d.tflite', page(report(*rows)))
    ]
    for chart in (places[:5], places[5:10]):
        heights = sorted(y for _, y in chart)
        assert all(below - above >= 13 for above, below in zip(heights, heights[1:], strict=False))


def test_everything_is_drawn_within_its_chart() -> None:
    for name, most in (("cx", 640), ("cy", 340), ("x1", 640), ("x2", 640)):
        places = [float(place) for place in re.findall(rf'{name}="([^"]+)"', page(FULL))]
        assert places
        assert all(0 < place < most for place in places)


@pytest.mark.parametrize("rows", [FULL.rows[5:], FULL.rows[4:5], FULL.rows[:1], (FULL.rows[0], FULL.rows[0])])
def test_few_or_equal_files_make_a_page_too(rows: tuple[Row, ...]) -> None:
    read(report(*rows))


def test_without_a_dataset_the_page_says_so() -> None:
    without = dataclasses.replace(report(FULL.rows[4]), dataset=None, no_accuracy="no <network>")
    assert "<h1>no accuracy: no &lt;network&gt;</h1>" in page(without)


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (420, False)])
def test_a_browser_shows_the_page_without_a_complaint(width: int, dark: bool, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: Debian has it as chromium")
    (tmp_path / "report.html").write_text(page(FULL), encoding="utf-8")
    picture = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--v=0"]
    look = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    size = [f"--window-size={width},1400", f"--screenshot={picture}", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, *quiet, *look, *size, (tmp_path / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    with Image.open(picture) as shown:
        corner = shown.convert("RGB").getpixel((2, 2))
        assert shown.width == width
    assert isinstance(corner, tuple)
    assert (sum(corner) < 3 * 60) == dark
