"""Fixtures of tests that run real engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import in_process


@pytest.fixture
def tensorflow_in_process() -> Iterator[None]:
    """Run TensorFlow's engines and readers in this process, because starting other processes takes seconds."""
    with in_process.tensorflow():
        yield
