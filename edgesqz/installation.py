"""Report what is installed and available, for ``edgesqz info``. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.command import command
from edgesqz.errors import EdgesqzError, formats
from edgesqz.options import DataDirOptions, as_path
from edgesqz.results import Result
from edgesqz.tables import Column, Table, stacked

if TYPE_CHECKING:
    from rich.console import Console, Group

    from edgesqz import plugins

PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "numpy", "execnet")


@dataclass(frozen=True)
class Runtime:
    """A runtime and the state of its engine.

    Attributes:
        name: Name of the runtime.
        suffixes: Suffixes of the model files that it runs.
        version: Version of its engine, or None if it is missing.
        install: The command that installs the engine.
    """

    name: str
    suffixes: tuple[str, ...]
    version: str | None
    install: str


@dataclass(frozen=True)
class Reader:
    """A reader of models from other tools.

    Attributes:
        name: Name of the reader.
        suffixes: Suffixes of the model files that it reads.
        package: The package that converts them in its own environment, or None if none is needed.
    """

    name: str
    suffixes: tuple[str, ...]
    package: str | None


@dataclass(frozen=True, repr=False)
class Installation(Result):
    """The facts that ``edgesqz info`` shows.

    Attributes:
        versions: Versions of Python, edgesqz and the packages for training and conversion.
        converters: Variants of each format.
        readers: Readers of models from other tools.
        runtimes: Inference engines.
        models: Networks that can be trained.
        data_dir: The folder to look for datasets in, or None for the download cache.
        datasets: The folder of each dataset, or None if its files are not there.
    """

    versions: dict[str, str]
    converters: dict[str, tuple[str, ...]]
    readers: tuple[Reader, ...]
    runtimes: tuple[Runtime, ...]
    models: tuple[str, ...]
    data_dir: str | None
    datasets: dict[str, str | None]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per runtime."""
        return [asdict(runtime) for runtime in self.runtimes]

    def table(self) -> Group:
        """Return small tables, one below the other."""

        def block(title: str, rows: dict[str, str]) -> Table:
            return Table([Column(), Column(is_prose=True)], list(rows.items()), title)

        def block_by_suffix(title: str, rows: list[tuple[str, str, str]]) -> Table:
            return Table([Column(), Column(rank=1), Column(is_prose=True)], rows, title)

        missing = f"not in {self.data_dir}" if self.data_dir else "not available; downloaded on first use"
        return stacked(
            [
                block("versions", self.versions),
                block("converters", {name: ", ".join(variants) for name, variants in self.converters.items()}),
                block_by_suffix("readers", [_reader_row(reader) for reader in self.readers]),
                block_by_suffix("runtimes", [_runtime_row(runtime) for runtime in self.runtimes]),
                block("models", {name: "edgesqz train --model " + name for name in self.models}),
                block("datasets", {name: place or missing for name, place in self.datasets.items()}),
            ]
        )


def _reader_row(reader: Reader) -> tuple[str, str, str]:
    package = f"{reader.package}, in its own environment" if reader.package else "no package needed"
    return reader.name, formats(reader.suffixes), package


def _runtime_row(runtime: Runtime) -> tuple[str, str, str]:
    return runtime.name, formats(runtime.suffixes), runtime.version or f"missing; {runtime.install}"


@dataclass(frozen=True)
class Info(DataDirOptions):
    """Show versions, converters, readers, runtimes, models and datasets, and the folder of each dataset.

    Nothing is downloaded.

    Example: `edgesqz info`
    """

    def run(self, console: Console) -> Installation:
        """Collect what is installed and available, without importing any engine."""
        from edgesqz import data, plugins
        from edgesqz.artifact import package_versions
        from edgesqz.models import ARCHITECTURES

        data_dir = as_path(self.data_dir)
        return Installation(
            versions={"python": platform.python_version()} | package_versions(*PACKAGES),
            converters={name: tuple(converter.VARIANTS) for name, converter in plugins.converters().items()},
            readers=tuple(_reader(*each) for each in plugins.readers().items()),
            runtimes=tuple(_runtime(plugins.Choice(name)) for name in plugins.runtimes()),
            models=tuple(ARCHITECTURES),
            data_dir=None if data_dir is None else str(data_dir),
            datasets={name: _place(name, data_dir) for name in data.DATASETS},
        )


info = command(Info)


def _reader(name: str, reader: plugins.Reader) -> Reader:
    """Describe a reader."""
    return Reader(name, tuple(reader.SUFFIXES), reader.REQUIREMENTS[0] if reader.REQUIREMENTS else None)


def _runtime(choice: plugins.Choice) -> Runtime:
    """Describe a runtime, whose engine runs in this environment or in a separate one."""
    from edgesqz import plugins
    from edgesqz.engine import environments

    module = choice.runtime
    version, install = plugins.engine_version(module), plugins.install_command(module)
    if choice.lives_apart:
        requirement = module.REQUIREMENTS[0]
        pinned = requirement.partition("==")[2] or requirement
        version = f"{pinned}, in its own environment" if environments.available() else None
        install = environments.INSTALL
    return Runtime(choice.name, tuple(module.SUFFIXES), version, install)


def _place(dataset: str, data_dir: Path | None) -> str | None:
    from edgesqz import data

    if dataset == "synthetic":
        return "drawn by code"
    try:
        place = data.locate(dataset, data_dir)
    except EdgesqzError:  # it is not in data_dir
        return None
    return None if place is None else str(place)
