"""The quota of a workspace, as ``edgesqz workspace quota`` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.results import Result
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.text import Text


@dataclass(frozen=True, repr=False)
class QuotaStatus(Result):
    """The effective quota of a workspace, and how much of it is used.

    Attributes:
        folder: The workspace.
        quota_bytes: Quota of the workspace, or None without a quota.
        used_bytes: Total size of its files.
    """

    folder: Path
    quota_bytes: int | None
    used_bytes: int

    @property
    def records(self) -> list[dict[str, Any]]:
        """A single record."""
        return [self.to_dict()]

    def table(self) -> Text:
        """Return the status as a line of text."""
        from rich.text import Text

        quota = "no quota" if self.quota_bytes is None else f"a quota of {format_size(self.quota_bytes)}"
        return Text(f"{self.folder}: {quota}, {format_size(self.used_bytes)} used")
