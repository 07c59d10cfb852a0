"""Choose what to delete from a workspace to free up space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesqz.errors import EdgesqzError, option
from edgesqz.maintenance.contents import CHECKPOINT, COLUMNS, Item, contents, delete
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import format_size


@dataclass(frozen=True, repr=False)
class CleaningPlan(Result):
    """The items to delete so that a workspace shrinks to a given size.

    Attributes:
        folder: The workspace.
        target_bytes: Maximum size of the workspace afterward.
        before_bytes: Size of the workspace before.
        after_bytes: Size of the workspace afterward. It exceeds the target if too little can be deleted.
        items: Items to delete, in this order.
    """

    folder: Path
    target_bytes: int
    before_bytes: int
    after_bytes: int
    items: tuple[Item, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per item to delete."""
        return [asdict(item) for item in self.items]

    def table(self) -> Table:
        """Return one row per item to delete."""
        caption = f"{format_size(self.before_bytes)} before, {format_size(self.after_bytes)} after"
        rows = [[item.name, item.kind, format_size(item.size_bytes), item.origin] for item in self.items]
        return Table([*COLUMNS, Column("from", is_prose=True)], rows, caption=caption)

    def check(self) -> None:
        """Check that the target is reached.

        Raises:
            EdgesqzError: It is not. The message says how far the workspace can shrink.
        """
        if self.after_bytes <= self.target_bytes:
            return
        if self.items:
            problem = f"the files that cannot be reproduced or are in use take {format_size(self.after_bytes)}"
            advice = f"try {option('to')} {self.after_bytes}, or remove some of them with edgesqz workspace rm"
        else:
            problem = "all files are in use or cannot be reproduced"
            advice = "remove some of them with edgesqz workspace rm"
        raise EdgesqzError(
            f"{self.folder} cannot shrink from {format_size(self.before_bytes)} to {format_size(self.target_bytes)}: "
            f"{problem}; {advice}"
        )

    def carry_out(self) -> None:
        """Delete the items, all or none."""
        delete(Workspace(self.folder), self.items)


def plan_cleaning(workspace: Workspace, target_bytes: int) -> CleaningPlan:
    """Choose the fewest files to delete: reproducible files first and, only if needed, checkpoints.

    The checkpoints of a training run are deleted together, because one is useless without the other. Files in use,
    trained models that are not in the zoo, and files from other programs are kept.
    """
    held = contents(workspace)
    excess = held.used_bytes - target_bytes
    idle = [item for item in held.items if not item.in_use]
    reproducible = [(item,) for item in idle if item.reproducible]
    runs = [
        tuple(item for item in idle if item.kind == CHECKPOINT and item.origin == run)
        for run in dict.fromkeys(item.origin for item in idle if item.kind == CHECKPOINT)
    ]
    lost = _fewest(runs, excess - _bytes(reproducible))
    deleted = [item for group in (*_fewest(reproducible, excess - _bytes(lost)), *lost) for item in group]
    after_bytes = held.used_bytes - sum(item.size_bytes for item in deleted)
    return CleaningPlan(workspace.folder, target_bytes, held.used_bytes, after_bytes, tuple(deleted))


def _fewest(groups: Sequence[tuple[Item, ...]], needed_bytes: int) -> list[tuple[Item, ...]]:
    """Return the fewest groups that free enough bytes, or all groups.

    The largest groups are taken until a single group can free the rest. Of the groups that can, the smallest is taken.
    """
    left, chosen = sorted(groups, key=lambda group: _bytes([group])), list[tuple[Item, ...]]()
    while left and needed_bytes > 0:
        group = next((group for group in left if _bytes([group]) >= needed_bytes), left[-1])
        left.remove(group)
        chosen.append(group)
        needed_bytes -= _bytes([group])
    return chosen


def _bytes(groups: Sequence[tuple[Item, ...]]) -> int:
    return sum(item.size_bytes for group in groups for item in group)
