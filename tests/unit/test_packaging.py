"""The package list in pyproject.toml: complete, and laid out so that type checkers follow an editable install."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES: list[str] = SETUPTOOLS["packages"]


def test_every_folder_with_modules_is_a_package() -> None:
    places = ("edgesqz", "converters", "readers", "runtimes")
    folders = {path.parent for place in places for path in (ROOT / place).rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert {name if name.startswith("edgesqz") else f"edgesqz.{name}" for name in names} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_in_the_folder_of_its_name(package: str) -> None:
    """Otherwise setuptools maps it with an import hook, which no type checker reads."""
    assert SETUPTOOLS["package-dir"] == {"": "."}
    assert any(ROOT.joinpath(*package.split(".")).glob("*.py"))


@pytest.mark.skipif(not shutil.which("make"), reason="this system has no make")
def test_make_demo_says_that_installing_takes_minutes_and_shows_pips_progress() -> None:
    command = ["make", "--dry-run", "--directory", str(ROOT), "demo", "VENV=missing"]
    steps = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    said = next(number for number, step in enumerate(steps) if "this takes a few minutes" in step)
    assert "pip install" in steps[said + 1] and "--quiet" not in steps[said + 1]
