"""The language of the project: texts use the standard terms of the field, in plain American English."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = sorted(
    path
    for folder in ("edgesqz", "converters", "readers", "runtimes", "docs", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".jinja", ".c", ".cpp", ".h") and path != Path(__file__)
)
PATHS += [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
TEXTS = {path: path.read_text(encoding="utf-8").lower() for path in PATHS}

# A pattern that no text may contain, including the names in code, and the term to use instead. Texts are in lower case,
# and most patterns begin with a letter, because the search for a literal is many times faster than one for "\b".
GLOSSARY = {
    r"pictures?\b": "image",
    r"held[- ]back\b|(?<!--)hold[- ]back\b": "validation split, holdout",
    r"golden\b": "test vectors",
    r"snr\b": "SQNR",
    r"catalogues?\b": "listing",
    r"housekeeping\b": "maintenance",
    r"inventory\b": "installation",
    r"parity\b": "layer error",
    r"exams?\b": "evaluation set",
    r"mentors?\b": "teacher",
    r"\b_(?:asked|judged|made|chosen)\b": "a verb: _request, _apply_budget, _export_variant, _select",
    r"(?<![a-z])(?:told|asked)(?![a-z])": "reported, shown, printed, requested; for a name: message, output, options",
    r"has right\b": "correct",
    r"so (?:and so )?many (?:bytes|files|images)\b": "a given number of",
    r"the known are\b": "choose from",
    r"at rest\b": "interrupted, finished",
    r"at hand\b": "available",
    r"to be had\b": "available",
    r"whoever\b|so that nobody\b|somebody\b": "a user, another process, or the passive",
    r"anew\b": "again",
    r"made elsewhere\b": "from another tool",
    r"go(?:es)? on (?:with|from|in)\b": "continue",
    r"leave out\b|left out\b": "remove, omit, skip",
    r"exclude each other\b": "cannot be used together",
    r"set aside\b": "reserve",
    r"for ever\b": "forever",
    r"data sets?\b": "dataset",
    r"as it were\b|failing that\b|of no use\b|a hair\b": "say it plainly",
    r"(?:that|which) is no\b(?!\s+(?:longer|more|better|worse|larger|smaller))": "is not a",
    r"\b(?:lie|lies|lying) (?:in|on|at|inside|outside|within|between|beside)\b": "is in, is on, is outside",
    r"(?:value|line|row|checkpoint|byte|pair|scale)s? an? (?:cell|file|class|image|channel|epoch|round)\b": "per",
    r"(?:an?|in) \w+ of (?:its|their) own\b": "its own, separate",
    r"worth their bytes\b": "worth their size",
    r"the most bytes\b": "maximum size",
    r"; none if\b": "or None if",
    r"(?:colour|behaviour|neighbour|favour|centre|catalogue|grey)s?\b": "American spelling",
    r"(?:labell|cancell|modell|travell)(?:ed|ing)\b": "American spelling",
    r"(?:normal|optim|initial|serial|standard|general|visual)is(?:e|ed|es|ing|ation)\b": "American spelling",
}


@pytest.mark.parametrize(("wrong", "right"), GLOSSARY.items())
def test_texts_use_the_terms_of_the_field(wrong: str, right: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{len(text[: match.start()].splitlines()) or 1}: {match[0]}"
        for path, text in TEXTS.items()
        for match in re.finditer(wrong, text)
    ]
    assert not found, f"use: {right}"


def test_all_texts_are_checked() -> None:
    names = {path.name for path in TEXTS}
    folders = {"app.py", "litert.py", "tflite.py", "worker.py", "index.md", "CONTRACT.md.jinja", "test_app.py"}
    assert folders | {"README.md", "CHANGELOG.md"} <= names
    assert ROOT / "readers" / "onnx.py" in TEXTS
