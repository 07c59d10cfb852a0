"""Changes between two reports: which differences are significant, and which limits they violate."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.benchmarking import Bench
from edgesqz.benchmarking.budget import Violation
from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Latency, Measured, Performance, Row
from edgesqz.cli import app
from edgesqz.comparing.changes import Change
from edgesqz.comparing.result import CompareResult
from edgesqz.machine import Machine
from tests.rows import evaluated, failed, measured, performance
from tests.rows import report as rows_report

BOARD = Machine("A board", 4)


def timed(p50: float, noise: float = 0.01, drift: float = 0.2, rounds: int = 30) -> Performance:
    """A performance whose rounds differ by up to ``noise`` and, alike in all rows, by up to ``drift``."""
    spread = noise * np.linspace(-1, 1, rounds)[np.random.default_rng(0).permutation(rounds)]
    durations = p50 * (1 + spread) * (1 + drift * np.sin(np.arange(rounds)))
    return performance(p50, latency_us=Latency.of([[round(1000 * each)] for each in durations]))


def row(name: str, correct: int | None = 900, p50: float = 100, *, shift: int = 0, **others: Any) -> Measured:
    """A file that classifies ``correct`` images correctly, beginning with image number ``shift``."""
    figures = {"evaluation": None if correct is None else evaluated(correct, shift), "performance": timed(p50)}
    return measured(name, None, None, **(figures | others))


def report(*rows: Row, images: str | None = "a", machine: Machine | None = None, **options: Any) -> Report:
    """A report on test images with the checksum ``images``."""
    found = rows_report(*rows, **options)
    assert found.dataset
    on = machine or found.machine
    return dataclasses.replace(found, dataset=dataclasses.replace(found.dataset, sha256=images), machine=on)


def compare(old: Row, new: Row, **limits: float) -> CompareResult:
    return edgesqz.compare(report(old), report(new), **limits)


def change(old: Row, new: Row, **limits: float) -> Change:
    (found,) = compare(old, new, **limits).changes
    return found


# Accuracy


def test_accuracies_on_the_same_images_are_compared_image_by_image() -> None:
    found = change(row("m", 920), row("m", 900))
    assert found.accuracy and found.accuracy.is_significant
    assert (found.accuracy.gained, found.accuracy.lost) == (0, 20)
    assert found.accuracy.drop_pp == 2


def test_the_same_drop_is_not_significant_if_other_images_are_wrong() -> None:
    found = change(row("m", 920), row("m", 900, shift=500), max_accuracy_drop=1)
    assert found.accuracy and found.accuracy.drop_pp == 2
    assert not found.accuracy.is_significant
    assert found.violations == ()
    assert found.within_noise == (Violation("accuracy_drop_pp", 2, 1),)


@pytest.mark.parametrize("images", ["b", None])
def test_accuracies_on_other_images_are_compared_by_intervals(images: str | None) -> None:
    for correct, is_significant in ((900, False), (800, True)):
        result = edgesqz.compare(report(row("m", 920)), report(row("m", correct), images=images))
        (found,) = result.changes
        assert found.accuracy and (found.accuracy.mcnemar_p, found.accuracy.is_significant) == (None, is_significant)
        assert "not known to be the same" in result.notes()[0]


def test_accuracies_on_other_classes_are_not_compared() -> None:
    animals = report(row("m"), labels=("cat", "dog"))
    result = edgesqz.compare(report(row("m")), animals, max_accuracy_drop=50)
    assert result.changes[0].accuracy is None
    assert result.misses() == ["m: drop unknown, at most 50.00 pp"]


@pytest.mark.parametrize(("allowed", "violated"), [(1.9, True), (2.0, False), (0.0, True)])
def test_a_significant_drop_violates_a_smaller_limit(allowed: float, violated: bool) -> None:
    found = compare(row("m", 920), row("m", 900), max_accuracy_drop=allowed)
    assert found.misses() == [f"m: drop 2.00 pp, at most {allowed:.2f} pp"] * violated


def test_an_untrained_file_has_no_accuracy_to_lose() -> None:
    assert compare(row("m", None), row("m", None), max_accuracy_drop=0).misses() == []


# Latency


def test_on_one_machine_medians_are_compared() -> None:
    old, new = (row("m", sha256=str(p50), performance=timed(p50, drift=0)) for p50 in (100, 120))
    found = compare(old, new, max_slowdown=10)
    assert found.misses() == ["m: slowdown 20.0 %, at most 10.0 %"]
    assert found.baseline is None and "medians on the same machine" in found.notes()[1]
    assert "noise" not in found.notes()[1]


def test_on_two_machines_latencies_are_relative_to_a_common_file() -> None:
    """The new machine is three times slower. Only the second file became slower beyond that."""
    old = report(row("base"), row("a", p50=50, sha256="1"), row("b", p50=50, sha256="2"))
    rows = row("base", p50=300), row("a", p50=150, sha256="3"), row("b", p50=195, sha256="4")
    result = edgesqz.compare(old, report(*rows, machine=BOARD), max_slowdown=10)
    assert result.baseline == "base"
    ratios = {found.label: found.latency.ratio.median for found in result.changes if found.latency}
    assert ratios == {"base": 1, "a": pytest.approx(1, abs=0.01), "b": pytest.approx(1.3, abs=0.01)}
    assert [found.label for found in result.changes if found.violations] == ["b"]


def test_the_named_baseline_is_used_if_it_qualifies() -> None:
    rows = row("steady", performance=timed(100, drift=0)), row("named"), row("m", sha256="1")
    for baseline, used in (("named", "named"), (None, "steady"), ("m", "steady")):
        new = report(*rows[:2], row("m", sha256="2"), machine=BOARD, baseline=baseline)
        assert edgesqz.compare(report(*rows), new).baseline == used


@pytest.mark.parametrize("other", [{"runtime_version": "2.4"}, {"threads": 2}, {"sha256": "1"}])
def test_a_file_on_another_engine_is_not_a_baseline(other: dict[str, Any]) -> None:
    result = edgesqz.compare(report(row("m")), report(row("m", **other), machine=BOARD), max_slowdown=10)
    assert result.baseline is None and result.changes[0].latency is None
    assert result.misses() == ["m: slowdown unknown, at most 10.0 %"]
    assert "the machines differ" in result.notes()[1]


def test_a_slowdown_within_the_noise_violates_no_limit() -> None:
    noisy = row("m", sha256="1", performance=timed(100, noise=0.5)), row("m", performance=timed(115, noise=0.5))
    result = compare(*noisy, max_slowdown=10)
    (found,) = result.changes
    assert found.violations == ()
    assert [violation.limit for violation in found.within_noise] == ["slowdown_percent"]
    assert result.notes()[1].endswith("; noise: too uncertain to show a ratio")


def test_an_unchanged_file_shows_the_noise_between_the_runs() -> None:
    """The unchanged file seems 30 % slower, so that a changed one on the same runtime must be slower than that."""
    old = [row("base", performance=timed(100, drift=0)), *(row(name, sha256=name) for name in ("same", "a", "b"))]
    slower = {"same": 130, "a": 128, "b": 150}
    new = [old[0], *(row(name, p50=p50, sha256=name if name == "same" else "2") for name, p50 in slower.items())]
    result = edgesqz.compare(report(*old), report(*new, baseline="base"), max_slowdown=10)
    assert [found.label for found in result.changes if found.violations] == ["b"]
    assert [line[:11] for line in result.within_noise()] == ["same: slowd", "a: slowdown"]


def test_limits_apply_to_the_named_files() -> None:
    rows = row("m.keras", size_bytes=2000), row("m", size_bytes=2000, named=True)
    result = edgesqz.compare(report(row("m.keras"), row("m")), report(*rows), max_growth=10)
    assert result.misses() == ["m: growth 100.0 %, at most 10.0 %"]


def test_with_few_rounds_a_slowdown_is_unknown() -> None:
    rows = (row("m", sha256=str(p50), performance=timed(p50, rounds=5)) for p50 in (100, 120))
    assert change(*rows, max_slowdown=10).violations == (Violation("slowdown_percent", None, 10),)


def test_an_engine_that_is_not_timed_has_no_latency_to_lose() -> None:
    rows = (row("m", sha256=name, performance=None) for name in "12")
    assert compare(*rows, max_slowdown=10).misses() == []


# Sizes


def test_growth_is_limited() -> None:
    assert compare(row("m"), row("m", size_bytes=1100), max_growth=10).misses() == []
    too_large = compare(row("m"), row("m", size_bytes=1101), max_growth=10)
    assert too_large.misses() == ["m: growth 10.1 %, at most 10.0 %"]


def test_the_arena_is_limited_and_memory_is_only_shown() -> None:
    old = row("m", arena_bytes=1000)
    new = row("m", arena_bytes=2000, performance=dataclasses.replace(timed(100), memory_bytes=90_000_000))
    result = compare(old, new, max_growth=10)
    assert result.misses() == ["m: arena growth 100.0 %, at most 10.0 %"]
    assert result.changes[0].memory and result.changes[0].memory.growth_percent == 80
    assert compare(old, row("m"), max_growth=10).misses() == ["m: arena growth unknown, at most 10.0 %"]


# Rows


def test_rows_are_matched_by_name_and_runtime() -> None:
    old = report(row("a"), row("a", runtime="onnxruntime"), row("gone"), failed("mended"))
    new = report(row("a", sha256="1"), row("a", runtime="keras"), row("mended"), failed("gone", "no memory"))
    result = edgesqz.compare(old, new)
    assert [(found.artifact, found.runtime, found.same_file) for found in result.changes] == [("a", "litert", False)]
    assert result.unmatched() == [
        "only in old: a on onnxruntime",
        "only in new: a on keras",
        "only in new: mended",
        "failed in new: gone: no memory",
    ]


def test_a_file_that_can_no_longer_be_measured_violates_every_limit() -> None:
    assert compare(row("m"), failed("m")).misses() == []
    assert compare(row("m"), failed("m"), max_growth=50).misses() == ["m: failed"]


def test_reports_without_a_common_file_are_refused() -> None:
    with pytest.raises(EdgesqzError, match="no file was measured in both reports: old has a on litert, new has b on"):
        compare(row("a"), row("b"))


def test_another_result_is_refused() -> None:
    with pytest.raises(EdgesqzError, match="expected a report of the bench, got a ModelListing"):
        edgesqz.compare(report(row("a")), edgesqz.list_models())


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_limits_are_checked(value: float) -> None:
    with pytest.raises(EdgesqzError, match="^max_slowdown must be at least 0, got"):
        edgesqz.compare("old.json", "new.json", max_slowdown=value)


# Output


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["compare", "old.json", "new.json", *arguments])


@pytest.fixture
def saved() -> None:
    """Two report files on the same images. The file in the new one is worse in everything."""
    better, worse = row("m", 920, sha256="1"), row("m", 900, p50=150, sha256="2", size_bytes=2000)
    for name, each in (("old.json", better), ("new.json", worse)):
        Path(name).write_text(report(row("same.tflite"), each).to_json())


def test_violations_are_one_line_each_and_exit_with_3(saved: None) -> None:
    result = run("--max-accuracy-drop", "0.5", "--max-slowdown", "10", "--max-growth", "10")
    assert result.exit_code == 3
    assert [line[:31] for line in result.stderr.splitlines()] == [
        "regression: m: drop 2.00 pp, at",
        "regression: m: slowdown 50.0 %,",
        "regression: m: growth 100.0 %, ",
    ]
    assert "new.json compared with old.json" in result.stdout
    assert "relative to same.tflite" in result.stdout
    assert run("--max-slowdown", "60").exit_code == 0
    assert run().exit_code == 0


def test_the_table_shows_every_change(saved: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    line = next(line for line in run().stdout.splitlines() if line.startswith("m "))
    assert line.split() == ["m", "litert", "new", "2.0", "+100.0", "90.00", "-2.00*", "<0.001", "1.50*", "0"]


def test_the_markdown_contains_the_table_and_the_violations(saved: None) -> None:
    assert run("--max-growth", "10", "--markdown", "changes.md").exit_code == 3
    text = Path("changes.md").read_text()
    assert "| artifact | runtime | file | size kB | growth % |" in text
    assert "Regressions:\n- m: growth 100.0 %, at most 10.0 %\n" in text
    printed = run("--max-growth", "10", "--markdown", "-")
    assert (printed.exit_code, printed.stdout) == (3, text)
    Path("new.json").write_text(report(row("same.tflite"), row("another")).to_json())
    assert "\n\nNot compared:\n- only in old.json: m\n- only in new.json: another\n" in run("--markdown", "-").stdout


def test_the_json_has_the_figures(saved: None) -> None:
    found = json.loads(run("--json", "--max-growth", "10").stdout)
    assert (found["old"], found["new"], found["same_images"]) == ("old.json", "new.json", 10_000)
    same, changed = found["changes"]
    assert (same["same_file"], changed["same_file"]) == (True, False)
    assert changed["size"] == {"old_bytes": 1000, "new_bytes": 2000}
    assert changed["violations"] == [{"limit": "size_growth_percent", "found": 100.0, "allowed": 10.0}]


def test_bench_says_only_that_an_earlier_report_has_none_of_the_files(
    saved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "run", lambda plan, console: report(row("another")))
    result = CliRunner().invoke(app, ["bench", "--against", "old.json", "--max-growth", "10"])
    assert result.exit_code == 3
    assert "regression: no file was measured in both old.json and this report" in result.stderr
    assert "not compared" not in result.stdout


def test_bench_compares_with_an_earlier_report(saved: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "run", lambda plan, console: Report.read(Path("new.json")))
    options = ["--against", "old.json", "--max-growth", "10", "--markdown", "bench.md"]
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 3
    assert "regression: m: growth 100.0 %, at most 10.0 %" in result.stderr
    assert "this report compared with old.json" in result.stdout
    assert "this report compared with old.json" in Path("bench.md").read_text()


@pytest.mark.parametrize(("allowed", "code"), [("3", 0), ("1", 3)])
def test_a_file_without_its_source_model_is_compared_with_an_earlier_report_only(
    allowed: str, code: int, saved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = report(row("m", 900, p50=150, sha256="2", named=True), max_accuracy_drop=float(allowed))
    monkeypatch.setattr(Bench, "run", lambda plan, console: worse)
    options = ["--against", "old.json", "--max-accuracy-drop", allowed, "--json", "bench.json"]
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == code
    assert not Report.read(Path("bench.json")).misses()  # the saved report has the same verdict
    assert "drop unknown" not in result.stderr
    assert ("regression: m: drop 2.00 pp, at most 1.00 pp" in result.stderr) == (code == 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-slowdown", "10"], "--max-slowdown and --max-growth limit changes since an earlier report; add"),
        (["--against", "missing.json"], "cannot read missing.json: No such file"),
        (["--against", "old.json", "--max-growth", "-1"], "--max-growth must be at least 0, got -1"),
    ],
)
def test_an_earlier_report_is_checked_before_any_work(options: list[str], message: str, saved: None) -> None:
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1


def test_an_unreadable_report_is_one_clear_line(saved: None) -> None:
    Path("new.json").write_text("{}")
    result = run()
    assert (result.exit_code, result.stderr) == (1, "error: new.json is not a report from edgesqz bench --json\n")


def test_records_are_flat() -> None:
    (record,) = compare(row("m", 920), row("m", 900), max_accuracy_drop=1).records
    assert record["accuracy_drop_pp"] == 2 and record["violations"] == "accuracy_drop_pp"
    assert all(isinstance(value, str | int | float | bool | None) for value in record.values())
