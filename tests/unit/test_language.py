"""The language of the project: texts use the standard terms of the field, in plain American English."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = sorted(
    path
    for folder in ("edgesqz", "converters", "runtimes", "docs", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".jinja", ".c", ".cpp", ".h") and path != Path(__file__)
)
PATHS += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TEXTS = {path: path.read_text(encoding="utf-8") for path in PATHS}

# A pattern that no text may contain, including the names in code, and the term to use instead.
GLOSSARY = {
    r"\bpictures?\b": "image",
    r"\bheld[- ]back\b|\bhold[- ]back\b": "validation split, holdout",
    r"\bgolden\b": "test vectors",
    r"(?<!Q)\bSNR\b": "SQNR",
    r"\bcatalogues?\b": "listing",
    r"\bhousekeeping\b": "maintenance",
    r"\binventory\b": "installation",
    r"\bparity\b": "layer error",
    r"\bexams?\b": "evaluation set",
    r"\bmentors?\b": "teacher",
    r"\b_(?:asked|judged|made|chosen)\b": "a verb: _request, _apply_budget, _export_variant, _select",
    r"(?<![a-z])(?:told|asked)(?![a-z])": "reported, shown, printed, requested; for a name: message, output, options",
    r"\bhas right\b": "correct",
    r"\bso (?:and so )?many (?:bytes|files|images)\b": "a given number of",
    r"\bthe known are\b": "choose from",
    r"\bat rest\b": "interrupted, finished",
    r"\bat hand\b": "available",
    r"\bto be had\b": "available",
    r"\bwhoever\b|\bso that nobody\b|\bsomebody\b": "a user, another process, or the passive",
    r"\banew\b": "again",
    r"\bmade elsewhere\b": "from another tool",
    r"\bgo(?:es)? on (?:with|from|in)\b": "continue",
    r"\bleave out\b|\bleft out\b": "remove, omit, skip",
    r"\bexclude each other\b": "cannot be used together",
    r"\bset aside\b": "reserve",
    r"\bfor ever\b": "forever",
    r"\bdata sets?\b": "dataset",
    r"\bas it were\b|\bfailing that\b|\bof no use\b|\ba hair\b": "say it plainly",
    r"\b(?:that|which) is no\b(?! (?:longer|more|better|worse|larger|smaller))": "is not a",
    r"\b(?:lie|lies|lying) (?:in|on|at|inside|outside|within|between|beside)\b": "is in, is on, is outside",
    r"\b(?:value|line|row|checkpoint|byte|pair|scale)s? an? (?:cell|file|class|image|channel|epoch|round)\b": "per",
    r"\b(?:an?|in) \w+ of (?:its|their) own\b": "its own, separate",
    r"\bworth their bytes\b": "worth their size",
    r"\bthe most bytes\b": "maximum size",
    r"; None if\b": "or None if",
    r"\b(?:colour|behaviour|neighbour|favour|centre|catalogue|grey)s?\b": "American spelling",
    r"\b\w*(?:labell|cancell|modell|travell)(?:ed|ing)\b": "American spelling",
    r"\b\w*(?:normal|optim|initial|serial|standard|general|visual)is(?:e|ed|es|ing|ation)\b": "American spelling",
}


@pytest.mark.parametrize(("wrong", "right"), GLOSSARY.items())
def test_texts_use_the_terms_of_the_field(wrong: str, right: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{len(text[: match.start()].splitlines()) or 1}: {match[0]}"
        for path, text in TEXTS.items()
        for match in re.finditer(wrong, text, re.IGNORECASE)
    ]
    assert not found, f"use: {right}"


def test_all_texts_are_checked() -> None:
    names = {path.name for path in TEXTS}
    assert {"app.py", "litert.py", "tflite.py", "index.md", "README.md", "CONTRACT.md.jinja", "test_app.py"} <= names
