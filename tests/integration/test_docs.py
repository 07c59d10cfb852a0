"""The examples in the README and the site run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgesqz.cli import app

ROOT = Path(__file__).parents[2]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


SHORT_TRAINING = ["--epochs", "5", "--batch-size", "16", "--learning-rate", "0.05"]


# A comment before a block says what it needs beyond a test's environment, such as "needs data: CIFAR-10".
BLOCK = re.compile(r"^(?:<!-- (?P<needs>needs [^>]+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)


def blocks(page: Path, *languages: str) -> list[re.Match[str]]:
    return [each for each in BLOCK.finditer(page.read_text()) if each["language"] in languages]


def commands(code: str) -> Iterator[list[str]]:
    """Return the arguments of each line that runs edgesqz, without output and prompts."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        if words[:1] == ["edgesqz"]:
            yield words[1:]


def identified(path: Path) -> str:
    return str(path.relative_to(ROOT))


def ready_pages() -> list[Path]:
    """Return the pages with examples that have no special needs."""
    return [page for page in PAGES if any(not block["needs"] for block in blocks(page, "bash", "python", "console"))]


@pytest.mark.parametrize("page", ready_pages(), ids=identified)
def test_examples_run(page: Path, images: Path, tmp_path: Path) -> None:
    """Run them in order in one folder, as a reader would type them."""
    (tmp_path / "photos").symlink_to(images)
    (tmp_path / "photo.png").symlink_to(next((images / "test").rglob("*.png")))
    for block in blocks(page, "bash", "python", "console"):
        if block["needs"]:
            continue
        if block["language"] == "python":
            exec(compile(block["code"], str(page), "exec"), {})
            continue
        for arguments in commands(block["code"]):
            tiny = SHORT_TRAINING if arguments[0] == "train" else []
            result = CliRunner().invoke(app, [*arguments, *tiny])
            refused = block["code"].rstrip().endswith("# refused")
            assert result.exit_code == (1 if refused else 0), f"{arguments}: {result.output}"
