"""The report: its values, its JSON, and a table that fits a terminal."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console

from edgesqz import EdgesqzError
from edgesqz.benchmarking.render.columns import columns, legend, measured_on
from edgesqz.benchmarking.report import Report, save
from edgesqz.benchmarking.rows import Comparison, Evaluation, Latency, Measured, Ratio, Row
from edgesqz.cli.output import BenchOutput
from edgesqz.stats import Interval, median_interval, share_interval
from edgesqz.workspace import check_writable
from tests.rows import failed, measured, performance
from tests.rows import report as rows_report

SPREAD = tuple(12000.0 + 500 * k for k in range(21))
MEASURED = measured(
    "squeezenet-nano.int8.tflite",
    runtime_version="2.1.0",
    size_bytes=73_512,
    gzipped_bytes=60_000,
    evaluation=Evaluation(
        accuracy=0.8765,
        accuracy_interval=(0.8701, 0.8829),
        top5=0.9911,
        class_accuracies=(0.9, 0.85, None),
        confusion=((9, 1, 0), (0, 17, 3), (0, 0, 0)),
        correct=np.ones(30, bool),
    ),
    comparison=Comparison(agreement=0.991, accuracy_drop_pp=-0.25, gained=60, lost=35, mcnemar_p=0.0136),
    performance=performance(
        12345.6,
        latency_us=Latency(12345.6, 12400.0, 22345.6, 600, SPREAD, (1.0, 2.0)),
        latency_ratio=Ratio("squeezenet-nano.keras", 0.126, (0.116, 0.14)),
        peak_rss_bytes=1_173_400_000,
        memory_bytes=1_123_400_000,
    ),
    layer_sqnr_db={"normalize": None, "stem": 37.25, "logits": 14.0},
)
FAILED = failed(
    "squeezenet-nano.fp16.onnx",
    "the engine gave up",
    format="onnx",
    variant=None,
    runtime="onnxruntime",
    runtime_version="1.22.0",
    size_bytes=101_000,
    gzipped_bytes=90_000,
)


def with_(row: Measured, part: str, **figures: Any) -> Measured:
    """The row with other figures in its evaluation, comparison or performance."""
    changed: dict[str, Any] = {part: dataclasses.replace(getattr(row, part), **figures)}
    return dataclasses.replace(row, **changed)


def report(*rows: Row, max_size_bytes: int | None = None, name: str = "cifar10", **options: Any) -> Report:
    labels = ("cat", "dog [old]", "frog")
    return rows_report(*rows, labels=labels, name=name, max_size=max_size_bytes, **options)


def shown(of: Report, width: int = 100) -> list[str]:
    """The lines of the table on a terminal."""
    terminal = io.StringIO()
    Console(file=terminal, width=width, color_system=None).print(of.table(), soft_wrap=True)
    return [line.rstrip() for line in terminal.getvalue().splitlines()]


def whole_table(of: Report) -> list[dict[str, str]]:
    """The text of every row in every column, by the column's head."""
    return [{column.head: column.cell(entry) for column in columns(of)} for entry in of.entries]


def line_of(row: Row, lines: list[str]) -> list[str]:
    """The cells of a row. It takes exactly one line, so no name is folded."""
    (line,) = (line for line in lines if row.artifact in line.split()[:2] and "ratio:" not in line)
    return line.removeprefix("•").split()


# Figures


def test_latency_is_reported_as_percentiles_in_microseconds() -> None:
    durations = [1000 * number for number in range(100, -1, -1)]
    latency = Latency.of([durations[:60], durations[60:]])
    assert (latency.p50, latency.p90, latency.p99, latency.n) == (50, 90, 99, 101)
    assert latency.every_5th == pytest.approx([5 * k for k in range(21)])


def test_one_inference_is_enough_for_a_latency() -> None:
    assert Latency.of([[2500]]) == Latency(2.5, 2.5, 2.5, 1, (2.5,) * 21, rounds_p50=(2.5,))


def test_batches_show_the_median_but_no_percentiles_of_single_inferences() -> None:
    latency = Latency.of([[1000, 2000, 3000]], batch=100)
    assert (latency.p50, latency.p90, latency.p99, latency.n) == (2, None, None, 300)
    shown = report(MEASURED, measured("net.int8.onnx", None, performance=performance(2, latency_us=latency)))
    (row,) = (row for row in shown.records if row["artifact"] == "net.int8.onnx")
    assert (row["latency_p50_us"], row["latency_p45_us"], row["latency_p99_us"]) == (2, None, None)
    assert "no p90 or p99: not measurable, because batches of 100 were timed" in shown.to_markdown()


def test_the_interval_of_the_median_is_of_the_rounds_medians() -> None:
    rounds = [[1000 * number, 1000 * number, 10**9] for number in range(1, 31)]
    interval = Latency.of(rounds).p50_interval
    assert interval is not None
    assert interval == median_interval(range(1, 31))


def test_a_ratio_is_stable_while_the_machine_drifts() -> None:
    others = [[1000 * drift, 1010 * drift, 990 * drift] for drift in range(1, 31)]
    ours = [[number // 2 for number in numbers] for numbers in others]
    ratio = Ratio.of(Latency.of(ours), "net.keras", Latency.of(others))
    assert (ratio.to, ratio.median, ratio.interval) == ("net.keras", 0.5, (0.5, 0.5))
    assert not ratio.is_noise


@pytest.mark.parametrize("rounds", [3, 30])
def test_a_ratio_that_may_be_due_to_chance_is_noise(rounds: int) -> None:
    durations = np.random.default_rng(0).lognormal(5, 1, (2, rounds, 1)).astype(int).tolist()
    assert Ratio.of(Latency.of(durations[0]), "net.keras", Latency.of(durations[1])).is_noise


def rows_of(found: Report) -> list[dict[str, Any]]:
    """The rows of a report's JSON."""
    rows: list[dict[str, Any]] = json.loads(found.to_json())["rows"]
    return rows


def test_a_measured_row_has_figures_and_no_error() -> None:
    (row,) = rows_of(report(MEASURED))
    assert "error" not in row
    assert row["performance"]["latency_us"] == {
        "p50": 12345.6,
        "p90": 12400.0,
        "p99": 22345.6,
        "n": 600,
        "every_5th": list(SPREAD),
        "p50_interval": [1.0, 2.0],
        "rounds_p50": [],
        "batch": 1,
    }
    assert (row["label"], row["evaluation"]["accuracy"]) == ("squeezenet-nano.int8.tflite", 0.8765)
    assert (row["comparison"]["agreement"], row["evaluation"]["correct"]) == (0.991, "1" * 30)


@pytest.mark.parametrize(("interval", "is_noise"), [((0.116, 0.14), False), ((0.05, 0.2), True), (None, True)])
def test_a_row_in_json_says_that_its_ratio_is_noise(interval: Interval | None, is_noise: bool) -> None:
    row = with_(MEASURED, "performance", latency_ratio=Ratio("squeezenet-nano.keras", 0.126, interval))
    assert rows_of(report(row))[0]["performance"]["latency_ratio"] == {
        "to": "squeezenet-nano.keras",
        "median": 0.126,
        "interval": None if interval is None else list(interval),
        "is_noise": is_noise,
    }


def test_a_failed_row_has_an_error_and_no_figures() -> None:
    (row,) = rows_of(report(FAILED))
    assert not {"evaluation", "comparison", "performance"} & set(row)
    assert row["error"] == "the engine gave up"
    assert (row["artifact"], row["size_bytes"], row["variant"]) == ("squeezenet-nano.fp16.onnx", 101_000, None)


# JSON


@pytest.mark.parametrize("max_size_bytes", [None, 70_000])
def test_the_json_has_the_documented_keys(max_size_bytes: int | None) -> None:
    found = report(MEASURED, FAILED, max_size_bytes=max_size_bytes)
    text = found.to_json()
    as_data = json.loads(text)
    assert set(as_data) == {
        *(
            "schema",
            "created",
            "command",
            "plan",
            "machine",
            "versions",
            "dataset",
            "no_accuracy",
            "allows_unknown_drop",
        ),
        *("budget", "pareto_front", "selection", "rows"),
    }
    assert as_data["pareto_front"] == ["squeezenet-nano.int8.tflite"]
    assert as_data["schema"] == 3
    assert as_data["machine"]["cpu"] == "A processor"
    labels = ["cat", "dog [old]", "frog"]
    expected = {"name": "cifar10", "split": "test", "images": 10_000, "labels": labels, "sha256": None}
    assert as_data["dataset"] == expected
    assert as_data["budget"]["size_bytes"] == max_size_bytes == as_data["plan"]["max_size"]
    missed = {"limit": "size_bytes", "found": 73_512, "allowed": max_size_bytes}
    assert as_data["rows"][0]["violations"] == ([missed] if max_size_bytes else [])
    assert [row["within_budget"] for row in as_data["rows"]] == ([False, False] if max_size_bytes else [None, None])
    assert text.endswith("}\n")


def test_records_are_flat_for_pandas() -> None:
    good, bad = report(MEASURED, FAILED).records
    assert (good["latency_p50_us"], good["size_bytes"]) == (12345.6, 73_512)
    assert (good["accuracy"], good["accuracy_low"], good["accuracy_high"]) == (0.8765, 0.8701, 0.8829)
    assert (good["latency_p45_us"], good["latency_p90_us"], good["latency_p95_us"]) == (16_500, 12_400, 21_500)
    assert (good["class_accuracy.cat"], good["class_accuracy.frog"], good["layer_sqnr_db.stem"]) == (0.9, None, 37.25)
    assert (bad["error"], bad["accuracy"], bad["class_accuracy.cat"]) == ("the engine gave up", None, None)
    assert not [value for value in good.values() if isinstance(value, (dict, list, tuple))]


def test_a_record_has_every_figure_that_is_known() -> None:
    (found,) = report(MEASURED).records
    unknown = {"error", "no_accuracy", "arena_bytes", "flips", "within_budget", "not_chosen"}
    assert {name for name, value in found.items() if value is None} == {
        *unknown,
        "class_accuracy.frog",
        "layer_sqnr_db.normalize",
    }


def test_all_records_have_the_same_fields_in_the_same_order() -> None:
    one, other = report(FAILED, MEASURED).records
    assert list(one) == list(other) == list(report(MEASURED, FAILED).records[0])


def test_a_notebook_shows_the_table() -> None:
    assert "squeezenet-nano.int8.tflite" in report(MEASURED)._repr_html_()
    assert repr(report(MEASURED)).startswith("Report(plan=<Bench>, machine=<Machine>, versions=<1>")


def test_a_saved_report_is_its_json(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("an older report, and a longer one" * 1000)
    check_writable(path)
    save(report(MEASURED).to_json(), path)
    assert path.read_text(encoding="utf-8") == report(MEASURED).to_json()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "missing/report.json",
        "file/report.json",
    ],
)
def test_a_report_needs_a_path_that_can_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    with pytest.raises(EdgesqzError, match=f"cannot write {path}; choose a file in an existing folder"):
        check_writable(path)
    with pytest.raises(EdgesqzError, match=f"cannot write {path}: "):
        save("text", path)
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "report.json")
    assert not list(tmp_path.iterdir())


# The table


@pytest.mark.parametrize(
    "max_size_bytes",
    [
        None,
        100_000,
    ],
)
def test_the_table_fits_a_hundred_columns_with_each_row_in_one_line(max_size_bytes: int | None) -> None:
    lines = shown(report(MEASURED, FAILED, max_size_bytes=max_size_bytes))
    assert max(map(len, lines)) <= 100
    figures = ["73.5", "87.65±.64", "-0.25*", "99.10", "12346", "0.13±.01", "1123"]
    verdict = [] if max_size_bytes is None else ["ok"]
    cells = [cell for cell in line_of(MEASURED, lines) if cell != "22346"]  # the p99, where there is room
    assert cells == ["squeezenet-nano.int8.tflite", "litert", *figures, *verdict]


def test_the_table_has_the_failed_row() -> None:
    lines = shown(report(MEASURED, FAILED))
    assert line_of(FAILED, lines) == ["squeezenet-nano.fp16.onnx", "onnxruntime", "101.0", "failed"]


def test_the_table_shows_what_fits_only_with_a_size_limit() -> None:
    without, within = (shown(report(MEASURED, FAILED, max_size_bytes=limit), 120) for limit in (None, 100_000))
    assert not any("budget" in line for line in without)
    assert "budget: size 100.0 kB" in " ".join(" ".join(within).split())
    assert line_of(MEASURED, within)[-1] == "ok"
    assert line_of(FAILED, within)[-2:] == ["failed", "failed"]


def test_a_wide_table_shows_every_figure_and_the_reasons_for_a_verdict() -> None:
    found = report(MEASURED, max_size_bytes=1000)
    (shown,) = whole_table(found)
    figures = {
        "gzip kB": "60.0",
        "top-5 %": "99.11",
        "gained": "60",
        "lost": "35",
        "p50 ± µs": "±.5",
        "p90 µs": "12400",
        "p99 µs": "22346",
        "clock µs": "0.05",
        "load ms": "12",
        "first µs": "345.6",
        "budget": "size 73.5 kB, at most 1.0 kB",
    }
    assert {head: shown[head] for head in figures} == figures


def test_no_interval_is_shown_as_exactly_0_wide() -> None:
    latency = Latency(12345.6, 12400.0, 22345.6, 600, SPREAD, (12345.60, 12345.66))
    (shown,) = whole_table(report(with_(MEASURED, "performance", latency_us=latency)))
    assert shown["p50 ± µs"] == "±<.1"


@pytest.mark.parametrize(
    ("correct", "images", "cell"),
    [
        (20, 20, "100.00 (83.9–100)"),
        (0, 20, "0.00 (0–16.1)"),
        (199, 200, "99.50 (97.2–99.9)"),
        (180, 200, "90.00±4.19"),
        (16, 20, "80.00 (58.4–91.9)"),
    ],
)
def test_the_interval_of_an_accuracy_has_both_bounds_if_it_is_not_symmetric(
    correct: int, images: int, cell: str
) -> None:
    row = with_(MEASURED, "evaluation", accuracy=correct / images, accuracy_interval=share_interval(correct, images))
    found = report(row)
    (cells,) = whole_table(found)
    assert cells["top-1 %"] == cell
    assert ("(low–high): 95 % confidence interval" in legend(found)) is ("–" in cell)


@pytest.mark.parametrize(("limit", "is_unknown"), [({"max_accuracy_drop": 0.5}, True), ({"max_latency": "1us"}, False)])
def test_an_unknown_accuracy_over_budget_comes_with_what_to_do(
    limit: dict[str, Any], is_unknown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(dataclasses.replace(MEASURED, evaluation=None, comparison=None, named=True), **limit)
    assert found.misses_unknown_accuracy is is_unknown
    with pytest.raises(typer.Exit):
        BenchOutput().show(found)
    said = capsys.readouterr().err
    assert ("name the test images with --data-dir or --dataset" in said) is is_unknown


def test_a_narrow_table_says_how_to_see_the_hidden_columns() -> None:
    said = " ".join(shown(report(MEASURED), 80))
    assert re.search(r"1\d columns hidden: .*gzip, .*; widen the terminal, or use --html or --csv", said)


def test_a_file_that_no_runtime_supports_has_a_row() -> None:
    unknown = dataclasses.replace(FAILED, artifact="net.gguf", runtime=None, runtime_version=None)
    lines = shown(report(unknown))
    assert line_of(unknown, lines) == ["net.gguf", "101.0", "90.0", "failed"]
    assert not any("None" in line for line in lines)


def test_rows_of_one_file_are_distinguished_by_engine_and_version() -> None:
    older = dataclasses.replace(with_(MEASURED, "evaluation", accuracy=0.8), runtime_version="2.0.9", named=True)
    other = failed(MEASURED.artifact, "died", runtime="tflite-runtime")
    found = report(MEASURED, older, other, FAILED, max_size_bytes=1000)
    name = MEASURED.artifact
    assert found.misses() == [f"{name} on litert 2.0.9: size 73.5 kB, at most 1.0 kB"]
    assert found.failures()[0] == f"{name} on tflite-runtime: died"
    assert [row["runtime"] for row in whole_table(found)] == [
        "litert 2.1.0",
        "litert 2.0.9",
        "tflite-runtime",
        "onnxruntime",
    ]
    without = report(dataclasses.replace(MEASURED, runtime="keras"), dataclasses.replace(older, runtime="keras"))
    assert json.loads(without.to_json())["pareto_front"] == [f"{name} on keras 2.1.0"]


def test_a_long_verdict_does_not_shorten_the_name() -> None:
    limits: dict[str, Any] = {"max_latency": "1us", "max_memory": 1, "min_accuracy": 1, "max_accuracy_drop": 0}
    lines = shown(report(MEASURED, max_size_bytes=1, **limits))
    assert max(map(len, lines)) <= 100
    assert "size, latency, memory," in " ".join(line_of(MEASURED, lines))


def test_unknown_figures_are_empty_cells() -> None:
    alone = with_(MEASURED, "performance", latency_ratio=None, memory_bytes=None)
    (cells,) = whole_table(report(dataclasses.replace(alone, comparison=None)))
    assert not set(cells) & {"drop pp", "p", "agree %", "ratio", "mem MB"}
    assert (cells["top-1 %"], cells["p50 µs"]) == ("87.65±.64", "12346")


def test_an_insignificant_difference_has_no_mark() -> None:
    even = with_(MEASURED, "comparison", mcnemar_p=0.06)
    assert "-0.25" in line_of(even, shown(report(even)))


@pytest.mark.parametrize(
    ("ratio", "cell"),
    [
        (Ratio("squeezenet-nano.int8.tflite", 1.0, (1.0, 1.0)), "1"),
        (Ratio("squeezenet-nano.int8.tflite", 1.0, None), "1"),  # of too few rounds
        (Ratio("net.keras", 0.5, (0.3, 0.7)), "noise"),
        (Ratio("net.keras", 0.5, None), "noise"),
    ],
)
def test_the_ratio_is_shown_only_if_it_is_meaningful(ratio: Ratio, cell: str) -> None:
    row = with_(MEASURED, "performance", latency_ratio=ratio)
    assert whole_table(report(row))[0]["ratio"] == cell
    assert f"ratio: latency relative to {ratio.to}" in legend(report(row))
    assert ("noise: ratio too uncertain" in legend(report(row))) is (cell == "noise")


def test_a_legend_explains_the_columns_that_are_shown() -> None:
    wide, narrow = (" ".join(shown(report(MEASURED), width)) for width in (300, 80))
    for name in ("clock", "load", "first", "gained"):
        assert f" {name}: " in wide and f" {name}: " not in narrow
    for text in (wide, narrow):
        assert "p50: median latency" in text and " arena: " not in text


@pytest.mark.parametrize(("threads", "machine"), [(1, "A processor, 1 thread;"), (2, "A processor, 2 threads;")])
def test_the_table_says_what_was_measured_and_on_which_machine(threads: int, machine: str) -> None:
    lines = shown(report(MEASURED, FAILED, threads=threads))
    assert lines[0] == "10,000 test images of cifar10"
    assert " ".join(lines).split(machine)[1].split()[:4] == ["litert", "2.1.0,", "onnxruntime", "1.22.0"]


def test_an_engine_that_never_answered_has_no_version() -> None:
    silent = dataclasses.replace(FAILED, runtime="tflite-micro", runtime_version=None)
    assert "tflite-micro" not in measured_on(report(MEASURED, silent))


def test_a_file_name_is_shown_verbatim() -> None:
    marked = dataclasses.replace(MEASURED, artifact="net[bold].tflite")
    assert line_of(marked, shown(report(marked)))[0] == "net[bold].tflite"


@pytest.mark.parametrize("name", ["images [v2]", "images[/v2]"])
def test_a_folder_name_is_shown_verbatim(name: str) -> None:
    assert shown(report(MEASURED, name=name))[0] == f"10,000 test images of {name}"


def test_failures_are_printed_one_per_line() -> None:
    other = dataclasses.replace(FAILED, artifact="other.onnx", error="another reason")
    assert report(FAILED, MEASURED, other).failures() == [
        "squeezenet-nano.fp16.onnx: the engine gave up",
        "other.onnx: another reason",
    ]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_accuracy_against_size_is_an_image(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"plot.{suffix}"
    report(MEASURED, FAILED, max_size_bytes=100_000).plot(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in content[:500]


def test_without_an_accuracy_there_is_nothing_to_plot(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="nothing to plot"):
        report(FAILED).plot(tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())


def test_the_csv_has_a_column_for_every_figure() -> None:
    good, bad = csv.DictReader(io.StringIO(report(MEASURED, FAILED).to_csv()))
    assert (good["artifact"], good["accuracy"], good["error"]) == (MEASURED.artifact, "0.8765", "")
    assert (good["latency_p50_us"], good["latency_ratio"]) == ("12345.6", "0.126")
    assert (bad["artifact"], bad["accuracy"], bad["error"]) == (FAILED.artifact, "", "the engine gave up")


def test_the_markdown_is_the_table() -> None:
    odd = dataclasses.replace(MEASURED, artifact="a|b.tflite")
    title, _, heads, bars, first, second, _, *caption = (
        report(odd, FAILED, max_size_bytes=1000).to_markdown().splitlines()
    )
    assert title == "10,000 test images of cifar10"
    assert heads.startswith("| • | artifact | runtime | size kB | gzip kB | top-1 % |")
    assert heads.count("|") == bars.count("|") == second.count("|") == first.replace("\\|", "").count("|")
    assert first.startswith(r"| • | a\|b.tflite | litert | 73.5 | 60.0 | 87.65±.64 |")
    assert second.endswith("| failed |")
    assert "A processor, 1 thread;" in caption[0]
    assert "Chosen: none; no file is within the budget" in caption
    assert r"- not a|b.tflite: size 73.5 kB, at most 1.0 kB" in caption


def test_each_layer_has_its_row_and_a_mark_where_the_error_grows() -> None:
    other = dataclasses.replace(MEASURED, artifact="other.onnx", layer_sqnr_db={"stem": 38.0, "fire": 36.0})
    table = report(MEASURED, other, FAILED).layer_table()
    assert [column.head for column in table.columns] == ["layer", MEASURED.artifact, "other.onnx"]
    assert table.rows == [
        ["normalize", "exact ", ""],
        ["stem", "37.2 ", "38.0 "],
        ["fire", "", "36.0 "],
        ["logits", "14.0<", ""],
    ]


def test_a_table_without_layers_gives_the_reason() -> None:
    table = report(dataclasses.replace(MEASURED, layer_sqnr_db=None)).layer_table()
    assert "its source model in the same folder or in the zoo" in table.caption
    assert "its source model" not in report(MEASURED).layer_table().caption


def test_a_reason_for_no_accuracy_is_given_once() -> None:
    rows = [measured(name, None, no_accuracy="it is a detector") for name in ("a.onnx", "b.onnx")]
    found = report(*rows, measured("c.onnx"))
    assert found.without_accuracy() == ["a.onnx, b.onnx: it is a detector"]
    found = dataclasses.replace(found, dataset=None, no_accuracy="it is a detector")
    assert found.without_accuracy() == []
    assert found.title() == "no accuracy: it is a detector"


def test_a_blank_drop_has_a_reason() -> None:
    alone = dataclasses.replace(MEASURED, artifact="alone.tflite", comparison=None)
    foreign = dataclasses.replace(alone, artifact="foreign.tflite", variant=None)
    note = "no drop for alone.tflite: the source model is neither in the same folder nor in the zoo"
    assert note in " ".join(shown(report(MEASURED, alone, foreign)))
    assert "no drop for" not in " ".join(shown(report(MEASURED, foreign)))


def test_each_class_has_its_row() -> None:
    table = report(MEASURED, FAILED).class_table()
    assert [column.head for column in table.columns] == ["class", MEASURED.artifact]
    assert table.rows == [["cat", "90.0"], ["dog [old]", "85.0"], ["frog", ""]]
