"""The examples in the README and the site run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgesqz.cli import app
from tests.pages import PAGES, blocks, commands, identified

SHORT_TRAINING = ["--epochs", "5", "--batch-size", "16", "--learning-rate", "0.05"]


def ready_pages() -> list[Path]:
    """Return the pages with examples that have no special needs."""
    return [page for page in PAGES if any(not block["needs"] for block in blocks(page, "bash", "python", "console"))]


@pytest.mark.usefixtures("convert_once")
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
