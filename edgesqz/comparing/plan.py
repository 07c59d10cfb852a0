"""The options of ``compare``. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option
from edgesqz.results import Result

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.benchmarking.budget import Limit
    from edgesqz.comparing.result import CompareResult


@dataclass(frozen=True, kw_only=True)
class ChangeLimits:
    """Limits on how much worse a file may become."""

    PANEL: ClassVar = "Limits"
    max_accuracy_drop: Annotated[
        float | None,
        Option(
            "Maximum loss of top-1 accuracy since the old report, in percentage points. Only a significant loss "
            "counts.",
            metavar="POINTS",
        ),
    ] = None
    max_slowdown: Annotated[
        float | None,
        Option(
            "Maximum increase in latency since the old report, in percent. Only a significant increase counts.",
            metavar="PERCENT",
        ),
    ] = None
    max_growth: Annotated[
        float | None,
        Option(
            "Maximum growth of the file and of its memory arena since the old report, in percent.",
            metavar="PERCENT",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("max_accuracy_drop", "max_slowdown", "max_growth"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise EdgesqzError(f"{option(name)} must be at least 0, got {value}")

    @property
    def limits(self) -> dict[Limit, float]:
        """The limits that are set, by name."""
        limits: dict[Limit, float | None] = {
            "accuracy_drop_pp": self.max_accuracy_drop,
            "slowdown_percent": self.max_slowdown,
            "size_growth_percent": self.max_growth,
            "arena_growth_percent": self.max_growth,
        }
        return {name: allowed for name, allowed in limits.items() if allowed is not None}


@dataclass(frozen=True)
class Compare(ChangeLimits):
    """Compare two reports of the bench: what became larger, slower or less accurate.

    A file is compared with the file of the same name on the same runtime. Accuracies are compared image by image with
    McNemar's exact test if both reports measured the same test images, and otherwise by their confidence intervals.
    Latencies are compared relative to a file that is the same in both reports, so the reports can come from different
    machines. Measure both with the same `edgesqz bench --baseline`.

    The exit code is 3 if a file violates a limit. A difference that is not significant violates no limit. Limits apply
    to the files that were named for the new report or, if none were, to all files.

    Example: `edgesqz compare old.json new.json --max-accuracy-drop 0.5 --max-slowdown 10`
    """

    old: Annotated[
        str | Path | Result,
        Option("The earlier report, from `edgesqz bench --json`.", metavar="OLD.json", positional=True),
    ]
    new: Annotated[
        str | Path | Result,
        Option("The later report, from `edgesqz bench --json`.", metavar="NEW.json", positional=True),
    ]

    def run(self, console: Console) -> CompareResult:
        """Read and compare the reports.

        Raises:
            EdgesqzError: A report cannot be read, or no file was measured in both.
        """
        from edgesqz.comparing.result import NamedReport, compare_reports

        old, new = NamedReport.of(self.old, "old"), NamedReport.of(self.new, "new")
        result = compare_reports(old, new, self.limits)
        if result.is_empty:
            raise EdgesqzError(
                f"no file was measured in both reports: {old.name} has {old.files}, {new.name} has {new.files}"
            )
        return result


compare = command(Compare)
