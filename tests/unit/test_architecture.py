"""The import rules of docs/explanation/architecture.md."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "edgesqz").rglob("*.py"))
INIT_FILES = sorted((ROOT / "edgesqz").glob("*/**/__init__.py"))


def layers(text: str) -> dict[str, int]:
    """The layer of each package, from the numbered list of the page."""
    listed = re.findall(r"^(\d+)\. (`.*`)$", text, re.MULTILINE)
    return {name: int(number) for number, names in listed for name in re.findall(r"`(\w+)`", names)}


LAYERS = layers((ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")).body for path in CORE}


def imports(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """The modules of the package that are imported at once, not within functions or for type checkers alone."""
    for statement in statements:
        match statement:
            case ast.Import():
                yield from (alias.name for alias in statement.names if alias.name in MODULES)
            case ast.ImportFrom(module=str(module)) if module in MODULES:
                found = (f"{module}.{alias.name}" for alias in statement.names)
                yield from (name if name in MODULES else module for name in found)
            case ast.If() if ast.unparse(statement.test) != "TYPE_CHECKING":
                yield from imports([*statement.body, *statement.orelse])
            case ast.Try():
                handled = [each for handler in statement.handlers for each in handler.body]
                yield from imports([*statement.body, *handled, *statement.orelse, *statement.finalbody])


def package(module: str) -> str:
    return module.split(".")[1]


IMPORTS = {name: set(imports(body)) for name, body in MODULES.items() if name != "edgesqz"}


def test_the_page_lists_every_package_once() -> None:
    assert sorted(LAYERS) == sorted({package(name) for name in IMPORTS})


@pytest.mark.parametrize("name", IMPORTS)
def test_no_module_imports_from_a_higher_layer(name: str) -> None:
    own = LAYERS[package(name)]
    assert not {other for other in IMPORTS[name] if other == "edgesqz" or LAYERS[package(other)] > own}


def test_no_imports_form_a_circle() -> None:
    graphlib.TopologicalSorter(IMPORTS).prepare()


def later_imports(name: str) -> set[str]:
    """The modules that a module imports within functions or for type checkers alone.

    A command is exempt: it imports what it runs when it runs, and the class of its result for type checkers.
    """
    if name.endswith(".plan"):
        return set()
    return set(imports([each for each in ast.walk(ast.Module(MODULES[name], [])) if isinstance(each, ast.stmt)]))


def test_no_imports_within_functions_and_for_type_checkers_form_a_circle() -> None:
    graph = {name: now | later_imports(name) - {"edgesqz"} for name, now in IMPORTS.items()}
    # A report renders itself.
    graph["edgesqz.benchmarking.report"] = IMPORTS["edgesqz.benchmarking.report"]
    graphlib.TopologicalSorter(graph).prepare()


def test_no_imports_of_packages_form_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in LAYERS}
    for name, others in IMPORTS.items():
        graph[package(name)] |= {package(other) for other in others} - {package(name)}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", INIT_FILES, ids=module_name)
def test_init_files_contain_only_imports(path: Path) -> None:
    docstring, *others = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    assert not [ast.unparse(each) for each in others if not isinstance(each, ast.Import | ast.ImportFrom)]


def test_imports_are_found_where_they_run_at_once() -> None:
    source = """
import edgesqz.errors
from edgesqz import tables
from edgesqz.results import Result
if TYPE_CHECKING:
    from edgesqz.artifact import Artifact
try:
    from edgesqz.workspace import disk
except ImportError:
    from edgesqz.workspace import Workspace
def later():
    from edgesqz import stats
"""
    found = {"edgesqz.errors", "edgesqz.tables", "edgesqz.results", "edgesqz.workspace.disk", "edgesqz.workspace"}
    assert set(imports(ast.parse(source).body)) == found
