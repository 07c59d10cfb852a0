"""The available networks, for ``edgesqz models``. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgesqz.command import command
from edgesqz.image_size import ImageSize
from edgesqz.models.architectures import ARCHITECTURES
from edgesqz.models.costs import network_costs
from edgesqz.results import Result
from edgesqz.tables import Column, Table
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Entry:
    """A network.

    Attributes:
        name: Name of the network.
        note: Short description of the network.
        input_size: Height and width of the input images that it was designed for.
        classes: Number of classes that it was designed for.
        parameters: Number of parameters.
        macs: Multiply-accumulate operations for one image.
        tflite_fp32_bytes: Estimated size of the fp32 .tflite file.
        tflite_int8_bytes: Estimated size of the int8 .tflite file.
        accuracy: Top-1 accuracy on the test images of the trained network in the zoo, 0..1, or None if it has none.
        dataset: Dataset that the network in the zoo was trained on, or None if the zoo has none.
    """

    name: str
    note: str
    input_size: int | str
    classes: int
    parameters: int
    macs: int
    tflite_fp32_bytes: int
    tflite_int8_bytes: int
    accuracy: float | None
    dataset: str | None


@dataclass(frozen=True, repr=False)
class ModelListing(Result):
    """The networks that can be trained and exported by name."""

    models: tuple[Entry, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """A record for each network."""
        return [asdict(entry) for entry in self.models]

    def table(self) -> Table:
        """Return a row for each network."""
        return Table(
            [
                Column("model", is_name=True),
                Column("pixels", "right", rank=2),
                Column("classes", "right", rank=3),
                Column("parameters", "right", rank=1),
                Column("MACs", "right"),
                Column("fp32\n.tflite", "right"),
                Column("int8\n.tflite", "right"),
                Column("accuracy", "right"),
            ],
            [
                [
                    entry.name,
                    str(ImageSize.parse(entry.input_size)),
                    str(entry.classes),
                    f"{entry.parameters:,}",
                    f"{entry.macs / 1e6:,.1f} M",
                    format_size(entry.tflite_fp32_bytes),
                    format_size(entry.tflite_int8_bytes),
                    "" if entry.accuracy is None else f"{entry.accuracy:.1%}",
                ]
                for entry in self.models
            ],
            caption="estimated file sizes, and costs, for the input size and number of classes that each network was "
            "designed for; accuracy of the trained networks in the zoo, on the test images of their dataset",
        )


@dataclass(frozen=True)
class Models:
    """List the networks, their costs, and the accuracy of those that ship with trained weights.

    Example: `edgesqz models`
    """

    def run(self, console: Console) -> ModelListing:
        """Compute the costs of every network, and look up its accuracy in the zoo."""
        return ModelListing(tuple(_entry(name) for name in ARCHITECTURES))


list_models = command(Models)  # not named models, which is the package


def _entry(name: str) -> Entry:
    from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact

    costs = network_costs(name)
    path = ZOO / f"{name}{KERAS_SUFFIX}"
    manifest = Artifact.open(path).manifest if path.is_file() else None
    return Entry(
        name=name,
        note=ARCHITECTURES[name].note,
        input_size=costs.input_size,
        classes=costs.classes,
        parameters=costs.parameters,
        macs=costs.macs,
        tflite_fp32_bytes=costs.tflite_fp32_bytes,
        tflite_int8_bytes=costs.tflite_int8_bytes,
        accuracy=manifest.test.accuracy if manifest and manifest.test else None,
        dataset=manifest.dataset if manifest else None,
    )
