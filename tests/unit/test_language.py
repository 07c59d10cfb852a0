"""The words of the project: what people read in it uses the field's own terms, in American English."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for folder in ("edgesqz", "converters", "runtimes", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".jinja")
)
TEXTS += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

# A pattern, which is not to be found in any text, and the term to use instead.
GLOSSARY = {
    r"\bpictures?\b": "image",
    r"\bheld[- ]back\b|\bhold[- ]back\b": "validation split, holdout",
    r"\bgolden\b": "test vectors",
    r"(?<!Q)\bSNR\b": "SQNR",
    r"\bso and so many\b": "a given number of",
    r"\bcatalogues?\b": "listing",
    r"\bhousekeeping\b": "maintenance",
    r"\binventory\b": "installation",
    r"\bparity\b": "layer error",
    r"\bexams?\b": "evaluation set",
    r"\bmentors?\b": "teacher",
    r"\b_asked\b": "_request",
    r"\b(?:colour|behaviour|neighbour|favour|centre|catalogue|grey)s?\b": "American spelling",
    r"\b\w*(?:labell|cancell|modell|travell)(?:ed|ing)\b": "American spelling",
    r"\b\w*(?:normal|optim|initial|serial|standard|general|visual)is(?:e|ed|es|ing|ation)\b": "American spelling",
}


@pytest.mark.parametrize(("wrong", "right"), GLOSSARY.items())
def test_texts_use_the_terms_of_the_field(wrong: str, right: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in re.finditer(wrong, line, re.IGNORECASE)
    ]
    assert not found, f"use: {right}"


def test_the_texts_are_all_there() -> None:
    names = {path.name for path in TEXTS}
    assert {"app.py", "litert.py", "tflite.py", "index.md", "README.md", "CONTRACT.md.jinja"} <= names
