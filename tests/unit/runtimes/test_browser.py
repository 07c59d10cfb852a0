"""The runtimes in a browser, with a program that speaks the DevTools protocol instead of a browser."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import tarfile
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesqz
from edgesqz.artifact import ZOO, Artifact
from edgesqz.data import cache_dir
from tests import browsers
from tests.rows import errors_of

browser: Any = importlib.import_module("edgesqz.runtimes.browser")
PACKAGE = browser.PACKAGES["onnxruntime-web"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package with one file, in the cache."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in ("package/dist/engine.mjs", "package/README.md"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"code"))
    digest = b64encode(hashlib.sha512(content.getvalue()).digest()).decode()
    package = browser.Package("@scope/engine", "1.0.0", digest, ("dist/engine.mjs",), "")
    package.archive.parent.mkdir(exist_ok=True)
    package.archive.write_bytes(content.getvalue())
    monkeypatch.setitem(browser.PACKAGES, "onnxruntime-web", package)
    return package


def test_a_model_runs_in_a_page(package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browsers.install_fake(tmp_path, monkeypatch)
    session = browser.load(b"model", threads=2)
    assert session.inputs == [{"dtype": "float32", "shape": [None, 32, 32, 3], "scale": None, "zero_point": None}]
    assert session.facts == {
        "version": "1.0.0 (Chrome 1.2.3, SIMD, 2 threads)",
        "load_ms": 7.5,
        "overhead_ns": 1000,
        "idle_rss_bytes": None,
        "batch": 100,
    }
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(session.run(values), values + 1)
    assert session.time(3) == [250_000]
    assert session.time(201) == 3 * [250_000]
    assert session.peak_rss_bytes() is None
    assert list(tmp_path.glob("edgesqz-browser-*"))
    session.browser.close()
    assert not list(tmp_path.glob("edgesqz-browser-*"))


@pytest.mark.parametrize(
    ("habit", "message"),
    [
        ("sys.exit()", "the browser ended unexpectedly"),
        ("send(method='Inspector.targetCrashed', params={}); continue", "the page crashed in the browser"),
        (
            "send(id=number, result=dict(result={}, exceptionDetails=dict(text='Uncaught', "
            "exception=dict(description='Error: no such operator\\n    at line 1')))); continue",
            "Error: no such operator$",
        ),
        (
            "send(id=number, result=dict(result={}, exceptionDetails=dict(text='Uncaught', exception=dict(value=7)))); "
            "continue",
            "^7$",
        ),
        ("send(id=number, error=dict(message='not found')); continue", "Runtime.evaluate: not found"),
    ],
)
def test_a_browser_that_fails_says_why(
    habit: str, message: str, package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browsers.install_fake(tmp_path, monkeypatch, habit)
    with pytest.raises(RuntimeError, match=message):
        browser.load(b"model", threads=1)
    assert not list(tmp_path.glob("edgesqz-browser-*"))


def test_a_page_without_isolation_is_refused(package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browsers.install_fake(tmp_path, monkeypatch, isolated=False)
    with pytest.raises(RuntimeError, match=r"Chrome 1.2.3 refused the isolation"):
        browser.load(b"model", threads=1)


def test_without_a_browser_nothing_is_loaded(package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "BROWSERS", ("chromium",))
    with pytest.raises(RuntimeError, match="no Chromium or Chrome found; install one"):
        browser.load(b"model", threads=1)


def test_only_the_named_files_of_a_package_are_read(package: Any) -> None:
    assert package.archive.name == "scope-engine-1.0.0.tgz"
    assert package.read() == {"engine.mjs": b"code"}


def test_another_archive_is_refused(package: Any) -> None:
    package.archive.write_bytes(b"another")
    with pytest.raises(RuntimeError, match=r"expected .* to be @scope/engine 1.0.0, but its SHA-512 differs; remove"):
        package.read()


def test_a_missing_package_costs_its_row_and_the_row_says_how_to_install_it(exported: Path) -> None:
    report = edgesqz.bench(
        "squeezenet-nano.int8.onnx", runtimes=["fake", "onnxruntime-web"], rounds=1, limit=3, workspace=exported
    )
    assert len(report.measured) == 2
    (error,) = filter(None, errors_of(report))
    assert error == f"the engine onnxruntime-web is not installed; try {PACKAGE.install_command()}"


def test_files_are_served_with_the_headers_that_isolate_a_page() -> None:
    address = browser.serve({"/model": ("application/octet-stream", b"abc")})
    with urllib.request.urlopen(f"{address}model") as answer:
        assert answer.read() == b"abc"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    with pytest.raises(urllib.error.HTTPError, match="404") as missing:
        urllib.request.urlopen(f"{address}other")
    missing.value.close()


def test_packages_and_datasets_have_the_same_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser.cache_dir() == cache_dir()
    monkeypatch.delenv("EDGESQZ_CACHE_DIR")
    assert browser.cache_dir() == cache_dir()


def test_the_scales_of_a_tflite_file_are_those_of_its_manifest() -> None:
    artifact = Artifact.open(ZOO / "squeezenet-nano.int8.tflite")
    assert artifact.manifest
    described = (artifact.manifest.input, artifact.manifest.output)
    assert browser._tflite_scales(artifact.path.read_bytes()) == tuple(
        {"scale": tensor.scale, "zero_point": tensor.zero_point} for tensor in described
    )


def test_the_memory_of_a_process_is_read_where_the_system_reports_it() -> None:
    found = browser._status_bytes(os.getpid(), "VmHWM")
    assert found is None or found > 2**20
    assert browser._status_bytes(0, "VmHWM") is None
