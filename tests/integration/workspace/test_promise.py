"""The guarantees of the workspace under any operations, by any number of processes, killed at any moment."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgesqz import EdgesqzError
from edgesqz.artifact import ZOO
from edgesqz.workspace import OWN, Workspace, disk

QUOTA = 1000
NAMES = st.sampled_from(["a", "a.json", "b", "b.json", "c"])
FILES = st.dictionaries(NAMES, st.binary(max_size=400), min_size=1, max_size=3)


class Killed(BaseException):
    """Stands for SIGKILL."""


class Accesses:
    """The number of accesses to the disk that this thread has left before it is killed, or None for no limit."""

    left: ClassVar[int | None] = None
    thread: ClassVar[int] = 0

    @classmethod
    def count(cls, event: str, _: object) -> None:
        """Count an access, as a Python audit hook, and kill the thread if it has none left."""
        access = event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
        if access and cls.left is not None and threading.get_ident() == cls.thread:
            cls.left -= 1
            if cls.left < 0:
                raise Killed


sys.addaudithook(Accesses.count)


@contextlib.contextmanager
def killed_after(accesses: int) -> Iterator[None]:
    Accesses.left, Accesses.thread = accesses, threading.get_ident()
    try:
        yield
    finally:
        Accesses.left = None


class Promise(RuleBasedStateMachine):
    """A workspace, and a dictionary of its expected contents."""

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.model: dict[str, bytes] = {}
        self.workspace = Workspace(self.folder, QUOTA)

    def teardown(self) -> None:
        self.place.cleanup()

    def used(self) -> int:
        return sum(map(len, self.model.values()))

    @rule(files=FILES, removing=st.lists(NAMES, max_size=2, unique=True))
    def write(self, files: dict[str, bytes], removing: list[str]) -> None:
        removing = [name for name in removing if name not in files]
        fits = self.used() + sum(map(len, files.values())) <= QUOTA
        try:
            self.workspace.write(files, removing)
        except EdgesqzError:
            assert not fits
            return
        assert fits
        self.model = {name: content for name, content in self.model.items() if name not in removing} | files

    @rule(names=st.lists(NAMES, min_size=1, max_size=3, unique=True))
    def remove(self, names: list[str]) -> None:
        self.workspace.remove(*names)
        self.model = {name: content for name, content in self.model.items() if name not in names}

    @rule(files=FILES, removing=st.lists(NAMES, max_size=2, unique=True), touches=st.integers(0, 20))
    def be_killed(self, files: dict[str, bytes], removing: list[str], touches: int) -> None:
        """Write until killed at a disk operation. Then open the workspace again."""
        removing = [name for name in removing if name not in files]
        new = {name: content for name, content in self.model.items() if name not in removing} | files

        with killed_after(touches), contextlib.suppress(Killed, EdgesqzError):
            self.workspace.write(files, removing)
        self.reopen()
        assert self.found() in (self.model, new)
        self.model = self.found()

    @rule()
    def reopen(self) -> None:
        self.workspace = Workspace(self.folder, QUOTA)

    @rule(size=st.integers(1, QUOTA))
    def claim(self, size: int) -> None:
        """Space that is claimed for one file is not available for another."""
        try:
            with self.workspace.claim(["a"], size):
                room = self.workspace.room_for(())
                assert room is not None and room <= QUOTA - max(self.used(), size)
        except EdgesqzError:
            assert self.used() + size > QUOTA - 200  # the claim itself needs some bytes

    def found(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.name != OWN}

    @invariant()
    def holds(self) -> None:
        assert self.found() == self.model
        assert sum(disk.file_sizes(self.folder).values()) == self.used() <= QUOTA


Promise.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
TestPromise = Promise.TestCase


# With real processes

WRITERS = """
import os, random, signal, sys
from pathlib import Path
from edgesqz.maintenance.integrity import verify
from edgesqz.workspace import disk
from edgesqz.artifact import ZOO
from edgesqz.workspace import Workspace

os.fsync = lambda _: None  # a kill loses nothing that the kernel has
folder, kills, quota = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
model = "squeezenet-nano.int8"
versions = [{name: (ZOO / name).read_bytes() for name in (f"{model}.{suffix}", f"{model}.{suffix}.json")}
            for suffix in ("tflite", "onnx")]

def write_forever(seed, writer):
    chance = random.Random(seed)
    Workspace(folder, quota).write({"checkpoint": bytes(1000)})
    sys.addaudithook(lambda event, _: event in ("open", "os.rename", "os.remove") and os.write(writer, b"."))
    while True:
        home, files = Workspace(folder, quota), chance.choice(versions)
        if chance.random() < 0.3:
            home.remove(*files)
        else:
            home.write(files, chance.choice([(), ("checkpoint",)]))
            home.write({"checkpoint": bytes(1000)})

torn = 0
for kill in range(kills):
    reader, writer = os.pipe()
    if not (child := os.fork()):
        write_forever(kill, writer)
    for _ in range(random.Random(kill).randrange(1, 30)):  # accesses to the disk, however long they take
        os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader), os.close(writer)
    torn += any(name.endswith("-partial") or "/committed" in name for name in disk.file_sizes(folder))
    home = Workspace(folder, quota)
    assert not verify(home).problems, verify(home)
    sizes = home.sizes()
    assert sum(sizes.values()) <= quota
    assert all((name + ".json" in sizes) == (name in sizes) for files in versions for name in files if name[-1] != "n")
print(torn)
"""


def test_two_hundred_kills_leave_no_partial_change(tmp_path: Path) -> None:
    room = 2 * sum((ZOO / f"squeezenet-nano.int8.{suffix}").stat().st_size + 2000 for suffix in ("tflite", "onnx"))
    command = [sys.executable, "-c", WRITERS, str(tmp_path / "workspace"), "200", str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20  # the number of kills in the middle of a change


WRITER = """
import sys, time
from pathlib import Path
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import Workspace

home = Workspace(Path(sys.argv[1]), int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
try:
    home.write({f"{sys.argv[3]}.tflite": bytes(200_000), f"{sys.argv[3]}.tflite.json": bytes(1000)})
except EdgesqzError:
    sys.exit(1)
"""


def test_of_eight_simultaneous_processes_three_succeed(tmp_path: Path) -> None:
    quota, seen = 3 * 201_000 + 100_000, list[int]()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(quota), f"net{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    while True:
        running = any(writer.poll() is None for writer in writers)
        seen.append(sum(disk.file_sizes(tmp_path).values()))
        if not running:
            break
        time.sleep(0.0005)
    for writer in writers:
        writer.communicate()
    assert sorted(writer.returncode for writer in writers) == [0] * 3 + [1] * 5
    assert 0 < max(seen) <= quota
    assert len(list(tmp_path.glob("*.tflite"))) == len(list(tmp_path.glob("*.json"))) == 3
