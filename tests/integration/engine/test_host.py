"""Engines on another machine, through a real OpenSSH server on this machine if it is installed."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.benchmarking import evaluation
from edgesqz.benchmarking.candidate import Candidate
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.engine import Engine, engine
from edgesqz.engine.host import Host
from tests.rows import errors_of


@dataclass
class Server:
    """An ssh server for this user on this machine."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def address(self) -> str:
        return self.with_python(sys.executable)

    def with_python(self, python: Path | str) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}?python={python}"


def python_after(commands: str, folder: Path) -> Path:
    """Write a command that runs shell commands before it starts Python."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\n{commands}\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return script


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server here: Debian has it as openssh-server")
    keys, port = tmp_path / "keys", free_port()
    keys.mkdir(mode=0o700)
    for name in ("of_host", "of_user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    (keys / "known").write_text(f"[127.0.0.1]:{port} {(keys / 'of_host.pub').read_text()}")
    config = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {keys / 'of_host'}",
        f"AuthorizedKeysFile {keys / 'of_user.pub'}",
        f"PidFile {keys / 'pid'}",
        "StrictModes no",
        "UsePAM no",
    ]
    (keys / "sshd_config").write_text("\n".join(config) + "\n")
    with contextlib.suppress(PermissionError):
        Path("/run/sshd").mkdir(exist_ok=True)
    # ssh has no environment variable for its files, so a wrapper of the same name adds them.
    real, wrapper = shutil.which("ssh"), tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    files = f"-F none -i {keys / 'of_user'} -o UserKnownHostsFile={keys / 'known'}"
    wrapper.write_text(f'#!/bin/sh\nexec {real} {files} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    with subprocess.Popen([sshd, "-D", "-e", "-f", keys / "sshd_config"], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        else:
            pytest.skip("the OpenSSH server does not start here")
        yield Server(process, port)
        process.terminate()


def test_a_bench_on_a_board_has_the_same_rows_as_a_local_one(server: Server, alone: Callable[[str], Path]) -> None:
    files = [alone("colors.int8.tflite"), alone("colors.fp32.onnx")]
    here = edgesqz.bench(files, rounds=1)
    there = edgesqz.bench(files, rounds=1, host=server.address)
    assert len(there.measured) == 2
    for one, other in zip(here.measured, there.measured, strict=True):
        assert (one.artifact, one.runtime_version, one.accuracy) == (
            other.artifact,
            other.runtime_version,
            other.accuracy,
        )
        assert other.performance is not None and other.performance.memory_bytes is not None
    assert there.machine.host == f"{getpass.getuser()}@127.0.0.1"
    assert there.machine.cpu == here.machine.cpu


def test_an_unknown_host_key_is_refused(server: Server, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "keys" / "known").write_text("")
    with pytest.raises(EdgesqzError, match="Host key verification failed"):
        edgesqz.bench(workspace=exported, host=server.address)


def test_an_unauthorized_user_is_refused(server: Server, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "keys" / "of_user.pub").write_text("")
    with pytest.raises(EdgesqzError, match="Permission denied"):
        edgesqz.bench(workspace=exported, host=server.address)


def test_a_missing_python_is_reported(server: Server, exported: Path) -> None:
    with pytest.raises(EdgesqzError, match=f"cannot run {sys.executable}-of-nobody with NumPy on"):
        edgesqz.bench(workspace=exported, host=server.address + "-of-nobody")


def test_a_shell_that_prints_a_greeting_is_reported(server: Server, exported: Path, tmp_path: Path) -> None:
    chatty = python_after("echo Welcome", tmp_path)
    with pytest.raises(EdgesqzError, match="expected a shell on .* that prints nothing, got 'Welcome'"):
        edgesqz.bench(workspace=exported, host=server.with_python(chatty))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as above
def test_a_board_that_hangs_before_an_engine_starts_affects_only_its_rows(
    server: Server, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ANSWER_TIMEOUT_S", 3)
    hangs_later = python_after(f"[ -e {tmp_path}/checked ] && sleep 30; touch {tmp_path}/checked", tmp_path)
    options: dict[str, Any] = {"rounds": 1, "limit": 6, "host": server.with_python(hangs_later), "workspace": exported}
    report = edgesqz.bench(["colors.int8.tflite"], **options)
    assert ["its process could not be started" in (error or "") for error in errors_of(report)] == [True, True]


def test_nothing_remains_on_a_board(server: Server, exported: Path, tmp_path: Path) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    python = python_after(f"export HOME={home} TMPDIR={scratch}; unset KERAS_HOME", tmp_path)
    names = ["colors.keras", "colors.int8.tflite", "colors.fp32.onnx"]
    report = edgesqz.bench(names, rounds=1, limit=6, workspace=exported, host=server.with_python(python))
    assert not report.failures()
    assert [*home.rglob("*"), *scratch.rglob("*")] == []


# execnet leaves the pipes of a process that never answered to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_board_that_disconnects_before_an_engine_starts_affects_only_its_rows(
    server: Server, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Host.check

    def check_and_end(host: Host) -> None:
        check(host)
        server.process.terminate()
        server.process.wait()

    monkeypatch.setattr(Host, "check", check_and_end)
    report = edgesqz.bench(["colors.int8.tflite"], rounds=1, limit=6, workspace=exported, host=server.address)
    error = f"its process could not be started on {getpass.getuser()}@127.0.0.1"
    assert errors_of(report) == [error] * 2


def test_a_missing_board_is_reported(server: Server, exported: Path) -> None:
    with pytest.raises(EdgesqzError, match="Connection refused"):
        edgesqz.bench(workspace=exported, host=f"ssh://127.0.0.1:{free_port()}")


def test_a_version_cannot_be_chosen_for_a_board(server: Server, alone: Callable[[str], Path]) -> None:
    options: dict[str, Any] = {"runtimes": "onnxruntime==1.23.2", "rounds": 1, "limit": 6, "host": server.address}
    (error,) = errors_of(edgesqz.bench(alone("colors.fp32.onnx"), **options))
    assert "runs the version of onnxruntime that is installed there" in (error or "")


def test_a_board_that_disconnects_affects_only_its_rows(
    server: Server, alone: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    examine = evaluation.evaluate

    def drop_off(candidate: Candidate, engine: Engine, evaluation_set: EvaluationSet) -> None:
        for child in psutil.Process(server.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        examine(candidate, engine, evaluation_set)

    monkeypatch.setattr(evaluation, "evaluate", drop_off)
    files = [alone("colors.int8.tflite"), alone("colors.fp32.onnx")]
    report = edgesqz.bench(files, rounds=1, limit=6, host=server.address)
    assert errors_of(report) == ["the engine's process ended unexpectedly while running this model"] * 2
