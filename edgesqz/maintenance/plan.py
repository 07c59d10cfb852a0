"""The commands ``edgesqz workspace …``. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgesqz.command import Option
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.options import LimitedWorkspaceOptions, WorkspaceOptions
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import parse_quota

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.maintenance.cleaning import CleaningPlan
    from edgesqz.maintenance.contents import Contents, Removal
    from edgesqz.maintenance.integrity import Integrity
    from edgesqz.maintenance.quota import QuotaStatus

NO_QUOTA = "none"


@dataclass(frozen=True)
class List(LimitedWorkspaceOptions):
    """List the contents of a workspace: sizes, shares of the quota, and the origin of each file.

    Example: `edgesqz workspace list`
    """

    def run(self, console: Console) -> Contents:
        """List the models, checkpoints and other files."""
        from edgesqz.maintenance.contents import contents

        return contents(Workspace(Path(self.workspace), self.quota, read_only=True))


@dataclass(frozen=True)
class Remove(WorkspaceOptions):
    """Remove models with their manifests, or other files.

    Example: `edgesqz workspace rm squeezenet.fp32.tflite`
    """

    names: Annotated[
        Sequence[str], Option("Names of the files, as in `edgesqz workspace list`.", metavar="NAME", positional=True)
    ]

    def run(self, console: Console) -> Removal:
        """Remove the files, all or none."""
        from edgesqz.maintenance.contents import remove

        return remove(Workspace(Path(self.workspace)), self.names)


@dataclass(frozen=True)
class Clean(WorkspaceOptions):
    """Free up space by deleting as few exports as possible, after showing them.

    Only exports whose source model is in the workspace or the zoo are deleted. If that is not enough, checkpoints of
    unfinished training are deleted too. Trained models are kept, except copies of those in the zoo. If all of this is
    not enough, nothing is deleted, and the error says how far the workspace can shrink.

    Example: `edgesqz workspace clean --to 1MB`
    """

    to: Annotated[
        str | int | None,
        Option("Maximum size of the workspace afterward.", metavar="SIZE", default="its quota"),
    ] = None

    def run(self, console: Console) -> CleaningPlan:
        """Choose what to delete. The ``carry_out`` method of the plan deletes it.

        Raises:
            EdgesqzError: The workspace has no quota and ``to`` is not given, or too little can be deleted.
        """
        from edgesqz.maintenance.cleaning import plan_cleaning

        workspace = Workspace(Path(self.workspace))
        target_bytes = parsed("to", parse_quota, self.to) or workspace.quota_bytes
        if target_bytes is None:
            raise EdgesqzError(f"expected {option('to')} for a workspace without a quota; try {option('to')} 1MB")
        plan = plan_cleaning(workspace, target_bytes)
        plan.check()
        return plan


@dataclass(frozen=True)
class Verify(WorkspaceOptions):
    """Recompute all checksums, and list damaged files and manifests without a model.

    The exit code is 1 if there is any problem.

    Example: `edgesqz workspace verify`
    """

    def run(self, console: Console) -> Integrity:
        """Check every model and checkpoint."""
        from edgesqz.maintenance.integrity import verify

        return verify(Workspace(Path(self.workspace), read_only=True))


@dataclass(frozen=True)
class Quota(WorkspaceOptions):
    """Show the effective quota, or store one in the workspace.

    --quota and EDGESQZ_QUOTA take precedence over a stored quota.

    Example: `edgesqz workspace quota 2MB`
    """

    size: Annotated[
        str | int | None,
        Option(
            "Maximum size of the workspace, or none to remove the stored quota.",
            metavar=f"SIZE|{NO_QUOTA}",
            default="show the effective quota",
            positional=True,
        ),
    ] = None

    def run(self, console: Console) -> QuotaStatus:
        """Store or remove the quota if a size is given, and return the effective quota."""
        from edgesqz.maintenance.quota import QuotaStatus

        folder = Path(self.workspace)
        if self.size == NO_QUOTA:
            Workspace(folder).drop_quota()
        elif self.size is not None:
            Workspace(folder).store_quota(self.size)
        workspace = Workspace(folder, read_only=True)
        return QuotaStatus(folder, workspace.quota_bytes, workspace.used_bytes())
