"""The package's public names: in one list, imported on first use, and never hidden by a module."""

from __future__ import annotations

import ast
import importlib.resources
import pkgutil
import tomllib
from importlib.metadata import version
from pathlib import Path

import edgesqz


def test_every_public_name_exists() -> None:
    assert all(getattr(edgesqz, name) is not None for name in edgesqz.__all__)
    assert sorted(edgesqz.__all__) == dir(edgesqz)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(edgesqz.__file__).read_text())
    imported = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported - {None} == set(edgesqz.__all__) - {"EdgesqzError", "__version__"}


def test_no_module_hides_a_function() -> None:
    modules = {module.name for module in pkgutil.iter_modules(edgesqz.__path__)}
    assert "models" in modules
    assert not modules & set(edgesqz.__all__)


def test_the_version_is_the_packages() -> None:
    assert edgesqz.__version__ == version("edgesqz")


def test_the_package_ships_its_types() -> None:
    assert importlib.resources.files("edgesqz").joinpath("py.typed").is_file()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["edgesqz"]
