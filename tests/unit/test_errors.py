"""How messages name parameters."""

from __future__ import annotations

from edgesqz.errors import EdgesqzError, naming, option


def test_a_message_names_parameters_as_python_does() -> None:
    error = EdgesqzError(f"remove {option('pixel_range')} or {option('limit')}")
    assert str(error) == "remove pixel_range or limit"


def test_within_naming_a_message_names_flags_also_inside_another_message() -> None:
    error = EdgesqzError(f"remove {option('limit')}")
    with naming(lambda name: f"--{name}"):
        assert str(error) == "remove --limit"
        outer = EdgesqzError(f"{error}; add {option('all')}")
        assert str(outer) == "remove --limit; add --all"
    assert str(error) == "remove limit"
    assert str(outer) == "remove --limit; add all"
