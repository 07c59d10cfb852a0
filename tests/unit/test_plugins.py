"""Converters and runtimes are found through entry points, built-in or not, and imports point one way."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgesqz
from edgesqz import EdgesqzError, plugins
from edgesqz.lookup import model_files

PACKAGE = Path(edgesqz.__file__).parent
CORE = sorted(PACKAGE.rglob("*.py"))
RUNTIMES = sorted(Path(inspect.getfile(plugins.runtimes()["litert"].load)).parent.glob("*.py"))

TOY_CONVERTER = """
from edgesqz.plugins import Variant
FORMAT, SUFFIX, PACKAGES = "toy", ".toy", ()
VARIANTS = {"fp32": Variant(bytes_per_parameter=4, exact=True)}
def convert(model, variant, calibration):
    return f"{model} as {variant}".encode()
"""
TOY_RUNTIME = """
ENGINE, REQUIREMENTS, SUFFIXES = "toy-engine", ("toy-engine[fast]>=1", "toy-kernels"), (".bin", ".toy", ".tflite")
PYTHON, TIMED = None, True
def load(model_bytes, threads):
    return "a session"
"""
ENTRY_POINTS = """
[edgesqz.converters]
toy = edgesqz_toy_converter

[edgesqz.runtimes]
toy = edgesqz_toy_runtime
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed distribution with a converter and a runtime."""
    installed = tmp_path / "site-packages"
    about = installed / "edgesqz_toy-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: edgesqz-toy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (installed / "edgesqz_toy_converter.py").write_text(TOY_CONVERTER)
    (installed / "edgesqz_toy_runtime.py").write_text(TOY_RUNTIME)
    monkeypatch.syspath_prepend(installed)
    plugins.converters.cache_clear()
    plugins.runtimes.cache_clear()
    yield
    plugins.converters.cache_clear()
    plugins.runtimes.cache_clear()
    for name in ("edgesqz_toy_converter", "edgesqz_toy_runtime"):
        sys.modules.pop(name, None)


# Discovery


def test_the_built_in_converters_are_found() -> None:
    formats = {name: (found.FORMAT, found.SUFFIX) for name, found in plugins.converters().items()}
    assert formats == {"onnx": ("onnx", ".onnx"), "tflite": ("tflite", ".tflite")}


def test_the_built_in_runtimes_are_found() -> None:
    suffixes = {name: tuple(found.SUFFIXES) for name, found in plugins.runtimes().items()}
    assert suffixes == {
        "keras": (".keras", ".h5", ".hdf5"),
        "litert": (".tflite",),
        "litert-web": (".tflite",),
        "onnxruntime": (".onnx",),
        "onnxruntime-web": (".onnx",),
        "pytorch": (".pt2",),
        "tensorflow": (".savedmodel",),
        "tflite-micro": (".tflite",),
        "tflite-runtime": (".tflite",),
    }


@pytest.mark.parametrize(
    ("format_name", "variants"),
    [
        ("tflite", ["int8", "int4", "mixed", "fp16", "dynamic", "fp32", "int16x8"]),
        ("onnx", ["int8", "fp16", "dynamic", "fp32"]),
    ],
)
def test_a_converter_lists_its_variants(format_name: str, variants: list[str]) -> None:
    found = plugins.converter(format_name).VARIANTS
    assert list(found) == variants
    assert [name for name, variant in found.items() if variant.exact] == ["fp32"]
    calibrated = {name for name, variant in found.items() if variant.needs_calibration}
    assert calibrated == {"int8", "int4", "mixed", "int16x8"} & set(variants)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EdgesqzError, match="unknown format 'gguf'; choose from onnx, tflite"):
        plugins.converter("gguf")


@pytest.mark.parametrize(("suffix", "runtime"), [(".keras", "keras"), (".tflite", "litert"), (".onnx", "onnxruntime")])
def test_a_suffix_has_its_runtime(suffix: str, runtime: str) -> None:
    assert plugins.runtime_for(suffix) == runtime


@pytest.mark.parametrize(("suffix", "described"), [(".gguf", r"\.gguf"), ("", "a file without a suffix")])
def test_an_unknown_suffix_is_refused_with_the_known_ones(suffix: str, described: str) -> None:
    with pytest.raises(
        EdgesqzError, match=f"no runtime for {described}; choose a model in one of the formats "
    ) as refusal:
        plugins.runtime_for(suffix)
    assert all(known in str(refusal.value) for known in (".keras", ".tflite", ".onnx"))


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_converter_is_found_like_the_built_in_ones() -> None:
    assert list(plugins.converters()) == ["onnx", "tflite", "toy"]
    toy = plugins.converter("toy")
    assert toy.SUFFIX == ".toy"
    assert toy.convert("a model", "fp32", None) == b"a model as fp32"


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_runtime_is_found_like_the_built_in_ones(tmp_path: Path) -> None:
    assert list(plugins.runtimes()) == [
        *("keras", "litert", "litert-web", "onnxruntime", "onnxruntime-web", "pytorch", "tensorflow"),
        *("tflite-micro", "tflite-runtime", "toy"),
    ]
    assert plugins.runtime_for(".toy") == "toy"
    assert plugins.runtime_for(".tflite") == "litert"  # the first by name of two runtimes for this suffix
    assert plugins.runtime_source("toy") == TOY_RUNTIME
    for name in ("net.toy", "net.bin", "net.keras", "net.unknown"):
        (tmp_path / name).touch()
    assert [path.name for path in model_files(tmp_path)] == ["net.keras", "net.bin", "net.toy"]


@pytest.mark.usefixtures("third_party")
def test_a_missing_engine_has_no_version_but_an_install_command() -> None:
    toy = plugins.runtimes()["toy"]
    assert plugins.engine_version(toy) is None
    assert plugins.install_command(toy) == "pip install 'toy-engine[fast]>=1' 'toy-kernels'"


@pytest.mark.parametrize("name", ["keras", "litert", "onnxruntime"])
def test_an_engine_that_is_installed_has_a_version(name: str) -> None:
    version = plugins.engine_version(plugins.runtimes()[name])
    assert version
    assert version[0].isdigit()


def test_the_source_of_the_worker_is_a_program() -> None:
    functions = {node.name for node in ast.parse(plugins.worker_source()).body if isinstance(node, ast.FunctionDef)}
    assert "serve" in functions


# Allowed imports


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """Return the dotted names of all imports, each ``from`` import with and without the imported name."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 1 and str(node.module) in {path.stem for path in RUNTIMES}:
                continue  # tflite-runtime uses another runtime's load, and the source of that one is sent
            assert node.level == 0, "the package imports by full names"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", RUNTIMES, ids=lambda path: path.name)
def test_no_runtime_imports_the_package(path: Path) -> None:
    assert not {name for name in imported(ast.walk(parsed(path))) if is_of(name, "edgesqz")}


@pytest.mark.parametrize("path", RUNTIMES, ids=lambda path: path.name)
def test_a_runtime_imports_its_engine_only_when_it_loads(path: Path) -> None:
    at_once = {name.partition(".")[0] for name in imported(parsed(path).body)}
    assert at_once <= {"numpy", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_no_converter_and_no_runtime(path: Path) -> None:
    kept_apart = ("edgesqz.converters", "edgesqz.runtimes", "converters", "runtimes")
    names = imported(ast.walk(parsed(path)))
    assert not {name for name in names if any(is_of(name, package) for package in kept_apart)}


def test_all_files_are_checked() -> None:
    assert {"plugins.py", "step.py", "app.py", "splits.py"} <= {path.name for path in CORE}
    assert {"worker.py", "keras.py", "litert.py", "onnxruntime.py"} <= {path.name for path in RUNTIMES}


# Engines at a version


def test_a_runtime_is_read_with_or_without_a_version() -> None:
    plain, exact = plugins.Choice.parse("litert"), plugins.Choice.parse("onnxruntime==1.23.2")
    assert (plain, exact) == (plugins.Choice("litert"), plugins.Choice("onnxruntime", "1.23.2"))
    assert (str(plain), str(exact)) == ("litert", "onnxruntime==1.23.2")
    assert (plain.lives_apart, exact.lives_apart) == (False, True)
    assert exact.requirements == ["onnxruntime==1.23.2", "numpy"]


def test_an_engine_that_is_not_a_python_package_has_one_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = plugins.runtimes()["onnxruntime-web"]
    monkeypatch.setenv("EDGESQZ_CACHE_DIR", str(tmp_path))
    assert plugins.engine_version(runtime) is None
    (tmp_path / "onnxruntime-web-1.30.0.tgz").touch()
    assert plugins.engine_version(runtime) == "1.30.0"
    assert plugins.install_command(runtime) == (
        f"mkdir -p {tmp_path} && npm pack onnxruntime-web@1.30.0 --pack-destination {tmp_path}"
    )
    with pytest.raises(EdgesqzError, match="only the tested version can run; got 'onnxruntime-web==1.29.0'"):
        plugins.Choice.parse("onnxruntime-web==1.29.0")


def test_an_engine_that_needs_another_python_has_a_separate_environment() -> None:
    choice = plugins.Choice.parse("tflite-runtime")
    assert choice.lives_apart
    assert choice.runtime.PYTHON == "3.11"
    assert choice.requirements == ["tflite-runtime==2.14.0", "numpy<2", "numpy"]


def test_an_unknown_runtime_is_reported() -> None:
    with pytest.raises(
        EdgesqzError, match="unknown runtime 'tensorrt'; choose from keras, litert, litert-web, onnxruntime"
    ):
        plugins.Choice.parse("tensorrt==8")


def test_the_source_that_is_sent_defines_load() -> None:
    source = plugins.runtime_source("tflite-runtime")
    assert source == plugins.runtime_source("litert")
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.level]


def test_if_both_are_installed_the_requested_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    litert = sys.modules[plugins.runtimes()["litert"].load.__module__]
    monkeypatch.setattr(litert, "ENGINE", plugins.runtimes()["tflite-runtime"].ENGINE)
    with pytest.raises(ModuleNotFoundError, match="tflite_runtime"):
        litert.load(b"", 1)  # although LiteRT is installed


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", None),  # ARM
        (None, None),  # another system than Linux
    ],
)
def test_the_worker_knows_whether_its_processor_has_vnni(
    cpuinfo: str | None, expected: bool | None, tmp_path: Path
) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    assert importlib.import_module("edgesqz.runtimes.worker").has_vnni(path) is expected
