"""The installed browser, and the npm packages that a user of this machine has downloaded."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

browser: Any = importlib.import_module("edgesqz.runtimes.browser")

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
