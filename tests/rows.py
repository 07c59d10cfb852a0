"""Rows and reports for tests, with default values."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgesqz.benchmarking.accuracy import evaluation
from edgesqz.benchmarking.plan import Bench
from edgesqz.benchmarking.report import EvaluatedImages, Report
from edgesqz.benchmarking.rows import Comparison, Evaluation, Failed, Latency, Measured, Performance, Ratio, Row
from edgesqz.machine import Machine

IMAGES = 1000
CLASSES = tuple("0123456789")


def evaluated(correct: int, shift: int = 0) -> Evaluation:
    """An evaluation on ten classes with ``correct`` of 1,000 images correct, beginning with image number ``shift``."""
    labels = np.arange(IMAGES) % 10
    is_correct = np.isin(np.arange(IMAGES), np.arange(shift, shift + correct) % IMAGES)
    predicted = np.where(is_correct, labels, (labels + 1) % 10)
    return evaluation(np.eye(10)[predicted], labels)


def latency(p50: float) -> Latency:
    """A latency that is always the same."""
    return Latency(p50, p50, p50, 1, (p50,) * 21)


def performance(p50: float, **others: Any) -> Performance:
    """The performance of an engine with a latency that is always the same."""
    figures: dict[str, Any] = {
        "latency_us": latency(p50),
        "latency_ratio": None,
        "stable": True,
        "overhead_us": 0.05,
        "load_ms": 12.5,
        "first_us": 345.6,
        "peak_rss_bytes": 80_000_000,
        "memory_bytes": 50_000_000,
    }
    return Performance(**(figures | others))


def comparison(**figures: Any) -> Comparison:
    """A comparison with a source model that predicts the same."""
    same: dict[str, Any] = {"agreement": 1.0, "accuracy_drop_pp": 0.0, "gained": 0, "lost": 0, "mcnemar_p": 1.0}
    return Comparison(**(same | figures))


def _file(artifact: str) -> dict[str, Any]:
    return {
        "artifact": artifact,
        "path": artifact,
        "sha256": "0" * 64,
        "format": "tflite",
        "variant": "int8",
        "runtime": "litert",
        "runtime_version": "2.3",
        "size_bytes": 1000,
        "gzipped_bytes": 900,
        "threads": 1,
        "named": False,
        "untrained": False,
    }


def measured(artifact: str, correct: int | None = 900, p50: float | None = 100, **others: Any) -> Measured:
    """A file with ``correct`` of 1,000 images correct; None for one without accuracy or that is not timed."""
    figures: dict[str, Any] = {
        "evaluation": None if correct is None else evaluated(correct),
        "no_accuracy": None,
        "comparison": None,
        "performance": None if p50 is None else performance(p50),
        "arena_bytes": None,
        "layer_sqnr_db": None,
        "may_saturate": False,
        "flips": None,
    }
    return Measured(**(_file(artifact) | figures | others))


def failed(artifact: str, error: str = "it died", **others: Any) -> Failed:
    """A file that could not be measured."""
    return Failed(**(_file(artifact) | {"error": error} | others))


def report(*rows: Row, labels: tuple[str, ...] = CLASSES, name: str = "cifar10", **options: Any) -> Report:
    """A report of a run of the bench with these options."""
    return Report(
        plan=Bench(**options),
        machine=Machine("A processor", 2),
        versions={"python": "3.11.7"},
        dataset=EvaluatedImages(name, "test", 10_000, labels),
        rows=rows,
        created="2026-01-02T03:04:05+00:00",
    )


def errors_of(found: Report) -> list[str | None]:
    """The error of each row; None for a file that was measured."""
    return [row.error if isinstance(row, Failed) else None for row in found.rows]


def errors_by_name(found: Report) -> dict[str, str | None]:
    """The error of each file; None for a file that was measured."""
    return dict(zip((row.artifact for row in found.rows), errors_of(found), strict=True))


def ratio_of(row: Measured) -> Ratio:
    """The latency ratio of a file that has one."""
    assert row.performance and row.performance.latency_ratio
    return row.performance.latency_ratio
