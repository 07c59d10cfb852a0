"""The options of ``params``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.models.costs import network_costs
from edgesqz.options import InputSizeOptions
from edgesqz.workspace.sizes import parse_quota

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.models.comparison import ParamsResult

DEFAULT_MODEL = "squeezenet"


@dataclass(frozen=True)
class Params(InputSizeOptions):
    """Show where every parameter, multiply-accumulate and byte of a network comes from.

    The sizes of files are estimates. For exact ones, use `edgesqz export MODEL --untrained --dry-run`.

    Example: `edgesqz params --compare squeezenet alexnet --plot sizes.png`
    """

    PANEL: ClassVar = "Model"
    models: Annotated[
        str | Sequence[str],
        Option(
            "A network from `edgesqz models`. Several networks need --compare.",
            metavar="MODEL",
            default=DEFAULT_MODEL,
            positional=True,
        ),
    ] = ()
    _: KW_ONLY
    classes: Annotated[
        int | None, Option("Number of classes.", default="the number that the network was designed for")
    ] = None
    compare: Annotated[bool, Option("Show networks side by side instead of layer by layer.")] = False
    max_size: Annotated[
        str | int | None,
        Option("Show how much of this size the .tflite files would take, for example 500kB.", metavar="SIZE"),
    ] = None

    def __post_init__(self) -> None:
        """Check the options."""
        InputSizeOptions.__post_init__(self)
        if len(self.names) > 1 and not self.compare:
            raise EdgesqzError(f"expected one network, or {option('compare')}, got {len(self.names)}")

    @property
    def names(self) -> list[str]:
        """The networks."""
        return [self.models] if isinstance(self.models, str) else list(self.models) or [DEFAULT_MODEL]

    def run(self, console: Console) -> ParamsResult:
        """Compute the costs.

        Raises:
            EdgesqzError: A network is unknown, there are fewer than two classes, the images are too small for a
                network, or a size is malformed.
        """
        from edgesqz.models.comparison import ParamsResult

        costs = (network_costs(name, classes=self.classes, input_size=self.input_size) for name in self.names)
        return ParamsResult(tuple(costs), self.compare, parsed("max_size", parse_quota, self.max_size))


params = command(Params)
