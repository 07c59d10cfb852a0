"""Start Ray on this machine for one command, or connect to a running cluster."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgesqz import backend, stopping
from edgesqz.errors import EdgesqzError, first_line, option

RAY_BYTES = 50_000_000  # limit for Ray's own files, which count against the quota if they are in the workspace
CONNECT_TIMEOUT_S = 5
# The longest path of a socket within Ray's folder. Linux allows 107 bytes for the full path of a socket.
SOCKET_PATH = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
MAX_SOCKET_PATH = 107
MIN_STORE_BYTES = 100_000_000  # Ray refuses much smaller object stores
INSTALL = "pip install 'edgesqz[sweep]'"

# A gRPC server such as Ray's answers the first bytes of HTTP/2 with a frame of settings (RFC 9113, section 3.4). Ray
# itself would wait for minutes where another service closes the connection.
HTTP2_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HTTP2_SETTINGS
WAIT_FOR_CLUSTER = ("RAY_gcs_server_port_wait_time_s", "5")  # for an existing cluster, instead of 20 s
# Ray then writes and prints little, leaves Ctrl-C to edgesqz, and accepts a trial that fails before its first epoch.
SETTINGS = {
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ROTATION_MAX_BYTES": "1000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # that handler prints a stack trace on SIGTERM
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}
QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}


def require_ray() -> None:
    """Check that Ray is installed, and import it with the settings that edgesqz needs.

    Raises:
        EdgesqzError: Ray is not installed.
    """
    os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise EdgesqzError(f"this needs Ray, which is not installed; try {INSTALL}") from error


@contextlib.contextmanager
def started(address: str | None, store_bytes: int) -> Iterator[None]:
    """Start Ray on this machine, or connect to a cluster, and disconnect at the end of the ``with`` block.

    If Ray is started here, it keeps its own files in the folder for temporary files.

    Args:
        address: The cluster's ``HOST:PORT``, or None to start Ray on this machine.
        store_bytes: Capacity that the object store needs.

    Raises:
        EdgesqzError: No cluster answers, or its nodes run other versions.
    """
    require_ray()
    import ray

    try:
        with stopping.handler_kept():
            if address:
                _connect(address)
                _check_versions()
            else:
                _start(store_bytes)
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    import ray

    _check_reachable(address)
    os.environ.setdefault(*WAIT_FOR_CLUSTER)
    with _errors_of(f"the cluster at {address}"), backend.hush():  # Ray logs every attempt
        ray.init(address=address, **QUIET)


def _start(store_bytes: int) -> None:
    import ray

    folder = Path(tempfile.gettempdir()) / "ray"
    _check_length(folder)
    with _errors_of("Ray"):
        ray.init(
            include_dashboard=False,
            object_store_memory=max(store_bytes, MIN_STORE_BYTES),
            _temp_dir=str(folder),
            **QUIET,
        )


@contextlib.contextmanager
def _errors_of(place: str) -> Iterator[None]:
    """Report in one line that Ray cannot be used."""
    try:
        yield
    except Exception as error:  # which Ray raises as it is where its processes start too slowly
        raise EdgesqzError(f"cannot use {place}: {first_line(error)}") from error


def _check_length(folder: Path) -> None:
    longest = MAX_SOCKET_PATH - len(SOCKET_PATH)
    if len(str(folder)) > longest:
        raise EdgesqzError(
            f"the path of {option('scratch_dir')} is too long for Ray's sockets: expected at most {longest} "
            f"characters, got {len(str(folder))} in {folder}"
        )


def _check_reachable(address: str) -> None:
    if address.startswith("ray://"):
        raise EdgesqzError(
            f"{option('address')} {address} is a Ray Client address; make this machine a node of the cluster "
            "(ray start --address HOST:PORT) and use HOST:PORT"
        )
    host, _, port = address.rpartition(":")
    problem = (
        f"no Ray cluster answers at {address}; expected {option('address')} HOST:PORT, as printed by ray start --head"
    )
    if not host or not port.isdecimal():
        raise EdgesqzError(problem)
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S) as connection:
            connection.sendall(HTTP2_PREFACE)
            answer = connection.recv(len(HTTP2_SETTINGS))
    except OSError as error:
        raise EdgesqzError(f"{problem} ({error})") from error
    if answer[3:4] != HTTP2_SETTINGS[3:4]:
        raise EdgesqzError(f"{problem} (another service answers there)")


def versions() -> dict[str, str]:
    """Return the versions that must be the same on every node."""
    from importlib.metadata import version

    return {"python": platform.python_version(), "edgesqz": version("edgesqz"), "ray": version("ray")}


def _check_versions() -> None:
    """Check that every node runs the same versions as this machine."""
    import ray

    for node in ray.nodes():
        if node["Alive"]:
            task = ray.remote(num_cpus=0)(versions).options(scheduling_strategy=on_node(node["NodeID"]))
            check_same(versions(), ray.get(task.remote()), node["NodeManagerAddress"])


def check_same(here: Mapping[str, str], there: Mapping[str, str], node: str) -> None:
    """Check that a node runs the same versions as this machine.

    Raises:
        EdgesqzError: Some versions differ.
    """
    different = [f"{name} {there[name]} instead of {here[name]}" for name in here if there[name] != here[name]]
    if different:
        raise EdgesqzError(f"the node {node} runs {', '.join(different)}; install the same versions there")


def cores() -> int:
    """Return the number of cores of the cluster."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def check_cores(count: int, cores: int, what: str) -> None:
    """Check that there is a core for every worker.

    Args:
        count: Number of workers.
        cores: Number of cores.
        what: Name of the option in messages.

    Raises:
        EdgesqzError: There are fewer cores than workers.
    """
    if cores < count:
        raise EdgesqzError(f"{what} needs one core per worker; expected at most {cores}, got {count}")


def on_node(node_id: str) -> Any:
    """Return the scheduling strategy that runs a task or an actor on one node only."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=False)
