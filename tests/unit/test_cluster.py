"""Problems with a cluster are reported in one line."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from edgesqz import cluster
from edgesqz.errors import EdgesqzError

HERE = {"python": "3.11.7", "edgesqz": "0.1.0", "ray": "2.60.0"}


def test_nodes_with_the_same_versions_are_accepted() -> None:
    cluster.check_same(HERE, dict(HERE), "10.0.0.2")


def test_a_node_with_other_versions_is_named_with_what_differs() -> None:
    with pytest.raises(
        EdgesqzError, match=r"the node 10\.0\.0\.2 runs python 3\.12\.1 instead of 3\.11\.7; install the same versions"
    ):
        cluster.check_same(HERE, HERE | {"python": "3.12.1"}, "10.0.0.2")


def test_without_ray_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.tune", None)
    monkeypatch.setattr(cluster, "SETTINGS", {})
    with pytest.raises(EdgesqzError, match=r"needs Ray, which is not installed; try pip install 'edgesqz\[sweep\]'"):
        cluster.require_ray()


def test_an_error_of_starting_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nMore about it.")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: None))
    monkeypatch.setitem(sys.modules, "ray.tune", SimpleNamespace())
    monkeypatch.setattr(cluster, "SETTINGS", {})
    with (
        pytest.raises(EdgesqzError, match=r"^cannot use Ray: The current node timed out during startup\.$"),
        cluster.started(None, 0),
    ):
        pytest.fail("Ray has not started")


def test_more_workers_than_cores_are_rejected() -> None:
    cluster.check_cores(2, 2, "workers")
    with pytest.raises(EdgesqzError, match="workers needs one core per worker; expected at most 2, got 3"):
        cluster.check_cores(3, 2, "workers")
