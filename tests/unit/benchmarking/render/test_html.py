"""The page: self-contained, escaped, and complete."""

from __future__ import annotations

import dataclasses
import functools
import html
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgesqz.benchmarking.render.columns import columns
from edgesqz.benchmarking.render.html import LETTER, page
from edgesqz.benchmarking.render.labels import Box
from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Row
from tests.full_report import FULL, report, row


class Reader(HTMLParser):
    """Collects what a browser would load and run, and checks that every element is closed."""

    EMPTY = ("wbr", "meta", "link", "line", "circle", "polyline", "br")

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


@functools.cache
def full_page() -> str:
    return page(FULL)


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    reader = read(FULL)
    assert not reader.tags & {"script", "img", "iframe", "object", "embed"}
    assert reader.addresses == ["data:,"]
    assert "url(" not in full_page()


def test_names_and_labels_are_escaped() -> None:
    text = full_page()
    assert "<script" not in text
    assert "<b>dog" not in text
    assert "no <model>" not in text
    assert text.count("&lt;script&gt;alert(1)") > 3


def test_every_measured_file_is_in_both_charts_and_its_tip_has_its_figures() -> None:
    text = full_page()
    assert text.count("<circle") == 2 * 4 + 2
    assert text.count("<title>squeezenet.int8.tflite on litert: 470.0 kB, 376.0 µs, top-1 92.31%</title>") == 3
    assert text.count('class="limit"') == 2
    assert len(re.findall('class="median"', text)) == 5


def test_layers_are_a_curve_a_file() -> None:
    text = full_page()
    assert text.count("<polyline") == 1
    assert "<title>stem: 37.2 dB</title>" in text
    assert "<title>&lt;logits&gt;: -3.0 dB</title>" in text
    assert "Where quantization errors arise" not in page(report(FULL.rows[0]))


MANY = report(
    *(
        row(f"{number:02}-{'long-' * (3 * number % 17)}name.tflite", 400_000 + number, 0.9, 100 + number / 9)
        for number in range(24)
    )
)


def charts(text: str) -> list[tuple[float, float, list[Box]]]:
    """The width and height of each chart, and the boxes of its names, by the letters' width in a monospace font."""
    found = []
    for width, height, content in re.findall(r'<svg viewBox="0 0 (\S+) (\S+)"(.*?)</svg>', text, re.DOTALL):
        names = re.findall(r'<text class="name" x="(\S+)" y="(\S+)">(.*?)</text>', content)
        boxes = [
            Box(float(x), float(y) - 9, float(x) + LETTER * len(html.unescape(name)), float(y) + 3)
            for x, y, name in names
        ]
        found.append((float(width), float(height), boxes))
    return found


@pytest.mark.parametrize("of", [FULL, MANY])
def test_no_name_overlaps_another_or_leaves_its_chart(of: Report) -> None:
    drawn = charts(page(of))
    assert [len(boxes) for *_, boxes in drawn][:2] == [sum(row.accuracy is not None for row in of.measured)] * 2
    for width, height, boxes in drawn:
        assert all(box.is_within(Box(0, 0, width, height)) for box in boxes)
        assert not [1 for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize("of", [FULL, MANY, report(row("one.tflite", 500, 0.5, 0.07))])
def test_no_numbers_on_an_axis_overlap(of: Report) -> None:
    for content in re.findall(r"<svg.*?</svg>", page(of), re.DOTALL):
        numbers = re.findall(r'<text class="soft" x="(\S+)" y="(\S+)" text-anchor="middle">([\d.,e-]+)<', content)
        places = sorted((float(y), float(x), 7 * len(text)) for x, y, text in numbers)
        for (one_y, one_x, one), (other_y, other_x, other) in itertools.pairwise(places):
            assert one_y != other_y or other_x - one_x >= (one + other) / 2


def test_everything_is_drawn_within_its_chart() -> None:
    for content in re.findall(r"<svg.*?</svg>", full_page(), re.DOTALL):
        width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', content)[0])
        for name, most in (("cx", width), ("cy", height), ("x1", width), ("x2", width), ("y1", height), ("y2", height)):
            assert all(0 < float(place) < most for place in re.findall(rf'{name}="([^"]+)"', content))


def test_the_intervals_are_whiskers() -> None:
    text = full_page()
    assert text.count('class="whisker"') == 4 + 2 * 4 + 5  # in size; across and upright in latency; below the medians


def test_every_column_is_in_the_page() -> None:
    text = full_page()
    for column in columns(FULL):
        assert f'<th class="left">{column.head}</th>' in text or f"<th>{column.head}</th>" in text


def test_the_page_shows_budget_choice_date_and_command() -> None:
    text = full_page()
    assert "Budget: size 500.0 kB, latency 1000.0 µs" in text
    assert html.escape(FULL.selection.note, quote=False) in text
    assert FULL.created in text and "&#39;&lt;a&gt;&#39;</span>" in text


def test_contact_sheets_are_linked_from_where_the_page_lies(tmp_path: Path) -> None:
    sheet = tmp_path / "flips" / "a b.flips.png"
    flipped = report(dataclasses.replace(FULL.measured[0], flips=str(sheet)))
    assert '<a href="flips/a%20b.flips.png">squeezenet.keras</a>' in page(flipped, tmp_path)
    assert "<a href" not in page(flipped)


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_has_a_contrast_of_at_least_4_5(dark: bool) -> None:
    light, *darker = re.findall(r":root \{(.*?)\}", full_page(), re.DOTALL)
    colors = dict(re.findall(r"--(\w+): (#\w{6})", light))
    if dark:
        colors |= dict(re.findall(r"--(\w+): (#\w{6})", darker[0]))
    for text, ground in [
        *itertools.product(("text", "soft", "mark"), ("paper", "panel")),
        ("text", "heat"),  # the fullest cell of a matrix
    ]:
        one, other = sorted((luminance(colors[text]), luminance(colors[ground])))
        assert (other + 0.05) / (one + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize("rows", [FULL.rows[5:], FULL.rows[4:5], FULL.rows[:1], (FULL.rows[0], FULL.rows[0])])
def test_few_or_equal_files_make_a_page_too(rows: tuple[Row, ...]) -> None:
    read(report(*rows))


def test_without_a_dataset_the_page_says_so() -> None:
    without = dataclasses.replace(report(FULL.rows[4]), dataset=None, no_accuracy="no <network>")
    assert "<h1>no accuracy: no &lt;network&gt;</h1>" in page(without)
