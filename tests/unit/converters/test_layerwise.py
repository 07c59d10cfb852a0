"""Messages of the quantizer of .tflite files."""

from __future__ import annotations

import pytest

from edgesqz.converters import layerwise
from edgesqz.errors import EdgesqzError


@pytest.mark.parametrize(("kept", "advice"), [(set(), "int8"), ({"stem"}, "int8 without keep_float")])
def test_the_advice_does_not_repeat_the_choice_that_failed(
    kept: set[str], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layerwise, "float_operators", lambda content, kept: ["LEAKY_RELU"])
    with pytest.raises(
        EdgesqzError, match=f"^LiteRT's quantizer has no int8 form of LEAKY_RELU; choose variant {advice}$"
    ):
        layerwise._refuse_float(b"", kept)
