from __future__ import annotations

import pytest

from edgesqz.models.specification import EXAMPLE, Specification


@pytest.mark.parametrize("name", [EXAMPLE, "squeezenet-32-16x48-32x96x2.24x96-40x160x4", "squeezenet-8p-4x8"])
def test_a_name_contains_every_width(name: str) -> None:
    found = Specification.parse(name)
    assert found and found.name == name


def test_widths_are_read_in_the_order_of_the_stages() -> None:
    found = Specification.parse("squeezenet-32-16x48-32x96x2.24x96")
    assert found == Specification(32, False, (((16, 48),), ((32, 96), (32, 96), (24, 96))))


@pytest.mark.parametrize(
    "name", ["squeezenet", "squeezenet-1.0", "squeezenet-nano", "squeezenet-16p", "squeezenet-0-4x8"]
)
def test_other_names_are_not_specifications(name: str) -> None:
    assert Specification.parse(name) is None
