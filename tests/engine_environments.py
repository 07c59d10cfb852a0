"""Engines in separate environments, which cannot be installed without a network."""

from __future__ import annotations

import pytest

from edgesqz import plugins
from edgesqz.engine import environments
from edgesqz.errors import EdgesqzError


def environment_or_skip(runtime: str) -> None:
    """Install the environment of a runtime if it is missing, or skip the test."""
    choice = plugins.Choice.parse(runtime)
    try:
        environments.python_with(choice.requirements, choice.runtime.PYTHON)
    except EdgesqzError as error:
        pytest.skip(f"{runtime} cannot be installed here: {error}")
