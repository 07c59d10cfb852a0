"""Run the tutorial "From a PyTorch checkpoint to a firmware folder" from end to end. Takes a few minutes.

It installs PyTorch and LiteRT Torch in a separate environment. Run it with:
python -m pytest -s tests/benchmarks/test_pytorch_tutorial.py
"""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgesqz import plugins
from edgesqz.cli import app
from edgesqz.engine import environments
from tests.pages import ROOT, blocks, commands


def test_the_pytorch_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reader = plugins.readers()["pytorch"]
    python = shlex.split(environments.python_with([*reader.REQUIREMENTS, "numpy", "pillow"], reader.PYTHON))
    for block in blocks(ROOT / "docs" / "tutorial-pytorch.md", "python", "bash"):
        if block["language"] == "python":
            program = Path(block["code"].splitlines()[0].removeprefix("# "))
            program.write_text(block["code"])
            if program.stem != "network":
                subprocess.run([*python, str(program)], check=True)
            continue
        for arguments in commands(block["code"]):
            result = CliRunner().invoke(app, arguments)
            print(f"$ edgesqz {shlex.join(arguments)}\n{result.output}")
            assert result.exit_code == 0, result.output
    source, int8 = json.loads(Path("report.json").read_text())["rows"]
    assert source["evaluation"]["accuracy"] >= 0.9
    assert int8["comparison"]["agreement"] >= 0.95
    assert (tmp_path / "shapes.int8-micro" / "CONTRACT.md").is_file()
