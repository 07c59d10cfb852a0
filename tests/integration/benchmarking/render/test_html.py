"""The page in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from edgesqz.benchmarking.render.html import page
from tests.full_report import FULL


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (768, False), (500, True)])
def test_a_browser_shows_the_page_without_errors(width: int, dark: bool, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: Debian has it as chromium")
    (tmp_path / "report.html").write_text(page(FULL), encoding="utf-8")
    image = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--v=0"]
    look = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    size = [f"--window-size={width},1400", f"--screenshot={image}", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, *quiet, *look, *size, (tmp_path / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    with Image.open(image) as shown:
        corner = shown.convert("RGB").getpixel((2, 2))
        assert shown.width == width
    assert isinstance(corner, tuple)
    assert (sum(corner) < 3 * 60) == dark
