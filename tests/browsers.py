"""The installed browser, the npm packages that a user of this machine has downloaded, and a fake browser."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

browser: Any = importlib.import_module("edgesqz.runtimes.browser")

# Answers each call, and each expression as if the model added 1 to its input.
FAKE_BROWSER = """#!{python}
import json, os, signal, sys, urllib.request
commands, answers = open(3, "rb"), open(4, "wb", buffering=0)
address, batch = None, b""
def send(**message):
    answers.write(json.dumps(message).encode() + b"\\0")
def evaluated(expression):
    global batch
    if expression.startswith("set"):
        with urllib.request.urlopen(address + "batch") as answer:
            batch = answer.read()
    if expression.startswith("run"):
        import array
        values = array.array("f", batch)
        return list(array.array("f", [value + 1 for value in values]).tobytes())
    if expression.startswith("time"):
        return int(expression[5:-1]) * [0.25]
    images, classes = (dict(dtype="float32", shape=[None, *shape]) for shape in ((32, 32, 3), (3,)))
    return dict(inputs=[images], outputs=[classes], threads=2, load_ms=7.5, overhead_ms=0.001, isolated={isolated})
content = b""
while part := commands.read1():
    content += part
    while b"\\0" in content:
        text, _, content = content.partition(b"\\0")
        message = json.loads(text)
        number, method, values = message["id"], message["method"], message["params"]
        result = {{}}
        if method == "Browser.getVersion":
            result = dict(product="HeadlessChrome/1.2.3")
        elif method == "Target.createTarget":
            result = dict(targetId="T")
        elif method == "Target.attachToTarget":
            result = dict(sessionId="S")
        elif method == "Page.navigate":
            address = values["url"]
        elif method == "SystemInfo.getProcessInfo":
            result = dict(processInfo=[dict(id=0, type="browser")])
        elif method == "Runtime.evaluate":
            {habit}
            result = dict(result=dict(value=evaluated(values["expression"])))
        send(id=number, result=result)
        if method == "Page.navigate":
            send(method="Page.loadEventFired", params={{}})
"""

OWN_CACHE = os.environ.get("EDGESQZ_CACHE_DIR")  # before the tests are isolated from it


def browser_or_skip() -> str:
    """Return the program of a browser."""
    found = next(filter(None, map(shutil.which, browser.BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium here: Debian has it as chromium")
    return found


def install_or_skip(runtime: str) -> None:
    """Put the package of a runtime into the cache of a test."""
    browser_or_skip()
    archive: Path = browser.PACKAGES[runtime].archive
    with pytest.MonkeyPatch.context() as patch:
        if OWN_CACHE:
            patch.setenv("EDGESQZ_CACHE_DIR", OWN_CACHE)
        else:
            patch.delenv("EDGESQZ_CACHE_DIR", raising=False)
        downloaded: Path = browser.PACKAGES[runtime].archive
        if not downloaded.is_file():
            pytest.skip(f"{runtime} is missing here; try {browser.PACKAGES[runtime].install_command()}")
    archive.parent.mkdir(exist_ok=True)
    archive.symlink_to(downloaded.absolute())


def install_fake(folder: Path, monkeypatch: pytest.MonkeyPatch, habit: str = "pass", isolated: bool = True) -> None:
    """Install the fake browser as the only one. Browsers keep their files in the folder as well."""
    program = folder / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(FAKE_BROWSER.format(python=sys.executable, habit=habit, isolated=isolated))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    monkeypatch.setenv("TMPDIR", str(folder))  # for the processes of engines
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
