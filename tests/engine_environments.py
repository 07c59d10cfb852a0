"""Separate environments of engines and readers, which cannot be installed without a network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pytest

from edgesqz import plugins
from edgesqz.engine import environments
from edgesqz.errors import EdgesqzError


def python_or_skip(requirements: Sequence[str], python: str | None) -> list[str]:
    """Return the command that runs Python with packages, after installing them if necessary, or skip the test."""
    try:
        return shlex.split(environments.python_with(requirements, python))
    except EdgesqzError as error:
        pytest.skip(f"{requirements[0]} cannot be installed here: {error}")


def environment_or_skip(runtime: str) -> None:
    """Install the environment of a runtime if it is missing, or skip the test."""
    choice = plugins.Choice.parse(runtime)
    python_or_skip(choice.requirements, choice.runtime.PYTHON)


def reader_or_skip(name: str) -> None:
    """Install the environment of a reader if it is missing, or skip the test."""
    reader = plugins.readers()[name]
    python_or_skip(reader.REQUIREMENTS, reader.PYTHON)
