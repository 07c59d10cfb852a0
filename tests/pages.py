"""The pages of the documentation, and the examples in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

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
