"""Parsing of hosts."""

from __future__ import annotations

import pytest

from edgesqz import EdgesqzError
from edgesqz.engine.host import Host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ssh://board", Host("board")),
        ("ssh://pi@10.0.0.7:2222", Host("pi@10.0.0.7", 2222)),
        ("ssh://pi@board/?python=~/venv/bin/python", Host("pi@board", None, "~/venv/bin/python")),
    ],
)
def test_a_host_is_read(text: str, host: Host) -> None:
    assert Host.parse(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "board",
        "http://board",
        "ssh://",
        "ssh://board:port",
        "ssh://board/path",
        "ssh://-oProxyCommand=evil",
        "ssh://board?python=python;evil",
        "ssh://board?python=",
        "ssh://board?shell=sh",
        "ssh://a b",
    ],
)
def test_an_invalid_host_is_refused(text: str) -> None:
    with pytest.raises(EdgesqzError, match=r"expected a host such as ssh://user@board:22\?python="):
        Host.parse(text)
