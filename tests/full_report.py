"""A report with every kind of row, and with names that a page must escape."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Evaluation, Latency, Measured, Row
from tests.rows import failed, measured, performance
from tests.rows import report as rows_report

HOSTILE = '<script>alert(1)</script>&".tflite'
LABELS = ("cat", "<b>dog</b>", "frog")


def row(name: str, size_bytes: int, accuracy: float | None, p50: float, runtime: str = "litert") -> Measured:
    spread = tuple(p50 * (0.9 + k / 60) for k in range(21))
    found = accuracy and Evaluation(
        accuracy=accuracy,
        accuracy_interval=(accuracy - 0.02, accuracy + 0.02),
        top5=None,
        class_accuracies=(0.9, 0.85, None),
        confusion=((9, 1, 0), (0, 17, 3), (0, 0, 0)),
        correct=np.ones(30, bool),
    )
    timed = performance(p50, latency_us=Latency(p50, p50, p50, 100, spread, (p50 * 0.9, p50 * 1.1)))
    return measured(name, size_bytes=size_bytes, evaluation=found, performance=timed, runtime=runtime)


def report(*rows: Row) -> Report:
    return rows_report(*rows, labels=LABELS, models=["<a>"], max_size=500_000, max_latency="1ms")


LAYERS = {"normalize": None, "stem": 37.25, "<logits>": -3.0}
FULL = report(
    row("squeezenet.keras", 1_900_000, 0.9244, 2700, "keras"),
    row("squeezenet.int8.onnx", 520_000, 0.9235, 453, "onnxruntime"),
    dataclasses.replace(row("squeezenet.int8.tflite", 470_000, 0.9231, 376), layer_sqnr_db=LAYERS),
    row(HOSTILE, 87_000, 0.8871, 69),
    row("untrained.tflite", 20_000, None, 40),
    failed("broken.onnx", "no <model>", size_bytes=10),
)
