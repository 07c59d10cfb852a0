"""Folders for device apps: each is compiled or run as a user would, and its self-test must detect errors."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

import edgesqz
from edgesqz import EdgesqzError, backend, data, plugins
from edgesqz.artifact import ZOO, Artifact, Manifest, PixelRange, sha256, stored_form
from edgesqz.cli import app
from edgesqz.embedding import embed
from edgesqz.embedding.result import Embedding
from edgesqz.engine import Engine
from edgesqz.models.normalization import without_normalization
from edgesqz.predicting import predict
from tests.compiling import STRICT, executed, run_make
from tests.engine_environments import python_or_skip

MODEL = "squeezenet-nano.int8.tflite"


STUB = Path(__file__).parent / "tflm_stub"


ARDUINO = Path(__file__).parent / "arduino_stub"


CORE = ARDUINO / "hardware/edgesqz/host/cores/host"  # a console and a main() that calls setup() and loop() twice


LABELS = ('a "quoted" \\ one', "Hündin??/", "1st */ | `x`")


def library() -> str:
    package = importlib.util.find_spec("ai_edge_litert")
    assert package and package.submodule_search_locations
    return f"{package.submodule_search_locations[0]}/libLiteRt.so"


def numbers_of(source: str, array: str) -> list[int]:
    """Return the numbers of an array in a C source file."""
    _, _, behind = source.partition(f"{array}[")
    values, _, _ = behind.partition("= {")[2].partition("};")
    return [int(number) for number in re.findall(r"-?\d+", values)]


def change_number(path: Path, array: str, place: int, mask: int) -> None:
    """Flip bits of one number of an array."""
    before, name, behind = path.read_text().partition(f"{array}[")
    head, brace, values = behind.partition("= {")
    number = list(re.finditer(r"-?\d+", values))[place]
    changed = values[: number.start()] + str(int(number[0]) ^ mask) + values[number.end() :]
    path.write_text(before + name + head + brace + changed)


@pytest.fixture(scope="module")
def for_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled folder for C. Do not write to it."""
    folder = embed(MODEL, "c", out=tmp_path_factory.mktemp("c") / "app").folder
    built = run_make(folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def for_micro(tmp_path_factory: pytest.TempPathFactory) -> Embedding:
    """The folder for microcontrollers. Do not write to it."""
    runtime = plugins.runtimes()["tflite-micro"]
    python_or_skip(runtime.REQUIREMENTS, runtime.PYTHON)
    return embed(MODEL, "micro", out=tmp_path_factory.mktemp("micro") / "app")


@pytest.fixture(scope="module")
def for_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for Python."""
    return embed(MODEL, "python", out=tmp_path_factory.mktemp("python") / "app").folder / "edgesqz_app.py"


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unusual int8 file: grayscale, normalized to -1..1 so that inputs are not shifted pixels, with odd labels.

    Beside it lies an fp32 file with an operator that tflite-micro lacks.
    """
    backend.start_keras()
    import keras

    keras.utils.set_random_seed(1)
    pixels = keras.Input((12, 12, 1))
    features = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    pooled = keras.layers.GlobalMaxPooling2D()(features)
    plain, signed = (
        keras.Model(pixels, keras.layers.Softmax()(keras.layers.Dense(len(LABELS))(values)))
        for values in (pooled, keras.ops.sign(pooled))
    )
    network, normalization = without_normalization(plain, PixelRange())
    drawn = data.with_channels(data.draw(20, 12, seed=3).images, 1).astype(np.float32)
    drawn[0, 0, :2, 0] = 0, 255
    converter = plugins.converter("tflite")
    with backend.hush():
        int8 = converter.convert(network, "int8", [drawn[:, None] * normalization.scale + normalization.offset])
        fp32 = converter.convert(signed, "fp32", None)
    folder = tmp_path_factory.mktemp("gray")
    store(folder / "gray.fp32.tflite", fp32, PixelRange())
    return store(folder / "gray.int8.tflite", int8, normalization)


def store(path: Path, content: bytes, pixels: PixelRange) -> Path:
    """Write a model as an artifact."""
    name, variant, suffix = path.name.split(".")
    with Engine(content, "litert", pixels=pixels) as engine:
        tensors: dict[str, Any] = {"input": engine.input, "output": engine.output}
    facts: dict[str, Any] = {"size_bytes": len(content), "sha256": sha256(content), "labels": LABELS, "versions": {}}
    return write(path, content, Manifest(name=name, variant=variant, format=suffix, pixels=pixels, **tensors, **facts))


def write(path: Path, content: bytes, manifest: Manifest) -> Path:
    for name, part in stored_form(content, manifest, path.name).items():
        (path.parent / name).write_bytes(part)
    return path


# C


def test_the_c_program_passes_the_test_vectors_of_the_bench(for_c: Path) -> None:
    tested = run_make(for_c, "test", f"LITERT_LIBRARY={library()}")
    assert tested.returncode == 0, tested.stderr
    assert "self-test passed: 8 images, every byte as expected from litert" in tested.stdout
    assert [line for line in tested.stderr.splitlines() if "XNNPACK delegate" not in line] == []
    source = (for_c / "test_vectors.c").read_text()
    images = np.array(numbers_of(source, "test_images"), np.uint8).reshape(8, 32, 32, 3)
    with edgesqz.load(ZOO / MODEL) as engine:
        stored = np.round(engine.predict(images) * 256) - 128
    np.testing.assert_array_equal(np.array(numbers_of(source, "expected_outputs")).reshape(8, 10), stored)


@pytest.mark.parametrize("fault", ["an expected byte", "a weight", "a zero point"])
def test_the_self_test_fails_at_the_first_difference(fault: str, for_c: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(for_c, tmp_path / "app"))
    match fault:
        case "an expected byte":
            change_number(folder / "test_vectors.c", "expected_outputs", 0, 1)
        case "a weight":
            change_number(folder / "model.c", "model_data", 60_000, 64)
        case "a zero point":
            header = folder / "model.h"
            header.write_text(header.read_text().replace("(pixel) + (-128)", "(pixel) + (-127)"))
    tested = run_make(folder, "-B", "test", f"LITERT_LIBRARY={library()}")
    assert tested.returncode != 0
    assert re.search(r"self-test FAILED: test vector \d, label \d \(\w+\): expected -?\d+, got -?\d+", tested.stderr)
    assert "passed" not in tested.stdout


def test_a_missing_label_does_not_compile(for_c: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(for_c, tmp_path / "app"))
    model = folder / "model.c"
    model.write_text(model.read_text().replace('    "cat",\n', ""))
    assert "there must be one label per output value" in run_make(folder).stderr


def test_the_array_is_the_file_and_aligned(for_c: Path, tmp_path: Path) -> None:
    for name in ("model", "image"):
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / f"{name}.so", for_c / f"{name}.c"], check=True)
    model = ctypes.CDLL(str(tmp_path / "model.so"))
    size = ctypes.c_size_t.in_dll(model, "model_size").value
    array = (ctypes.c_ubyte * size).in_dll(model, "model_data")
    assert bytes(array) == (ZOO / MODEL).read_bytes()
    assert ctypes.addressof(array) % 16 == 0
    assert f'#define MODEL_SHA256 "{sha256(bytes(array))}"' in (for_c / "model.h").read_text()


@pytest.mark.parametrize("size", [(640, 480), (211, 97), (32, 32), (33, 32), (7, 5), (1, 1)])
def test_a_camera_image_is_scaled_exactly_as_pillow_does(size: tuple[int, int], for_c: Path, tmp_path: Path) -> None:
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "p.so", for_c / "image.c", "-lm"], check=True)
    width, height = size
    fit = ctypes.CDLL(str(tmp_path / "p.so")).image_fit
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    upright = np.ascontiguousarray(data.draw(1, 200, seed=4).images[0][:, :90])
    for wanted in ((32, 32), (48, 36), (40, 17), (24, 32), (9, 31)):
        if width * wanted[1] >= wanted[0] * height:  # for a taller image, Pillow may scale the columns first
            by_pillow = np.asarray(ImageOps.fit(Image.fromarray(pixels), wanted))
            np.testing.assert_array_equal(fitted(fit, pixels, wanted), by_pillow)
        by_pillow = np.asarray(ImageOps.fit(Image.fromarray(upright), wanted)).astype(int)
        assert np.abs(fitted(fit, upright, wanted) - by_pillow).max() <= 1


def fitted(fit: Any, pixels: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    fitted = np.zeros((wanted[1], wanted[0], 3), np.uint8)
    height, width, _ = pixels.shape
    assert fit(pixels.ctypes.data_as(ctypes.c_void_p), width, height, fitted.ctypes.data_as(ctypes.c_void_p), *wanted)
    return fitted


@pytest.mark.parametrize("size", [(32, 32), (160, 120)])
def test_the_c_program_prints_what_predict_prints(size: tuple[int, int], for_c: Path, tmp_path: Path) -> None:
    width, height = size
    pixels = data.draw(1, max(size), seed=5).images[0][:height, :width]
    (tmp_path / "image.rgb").write_bytes(pixels.tobytes())
    Image.fromarray(pixels).save(tmp_path / "image.png")
    form = [] if size == (32, 32) else [str(width), str(height)]
    environment = os.environ | {"LITERT_LIBRARY": library()}
    result = executed(for_c / "edgesqz_app", tmp_path / "image.rgb", *form, env=environment)
    (expected,) = predict(ZOO / MODEL, [tmp_path / "image.png"]).images
    shown = dict(line.strip().split(" %  ")[::-1] for line in result.stdout.splitlines())
    assert len(shown) == 5
    for guess in expected.guesses[:3]:  # the others are ties
        assert float(shown[guess.label]) == pytest.approx(100 * guess.probability, abs=0.06)


def test_the_c_program_rejects_bad_input(for_c: Path, tmp_path: Path) -> None:
    (tmp_path / "short.rgb").write_bytes(bytes(100))
    environment = os.environ | {"LITERT_LIBRARY": library()}
    for arguments, words in (
        (["short.rgb"], "short.rgb: expected 3072 bytes: 32 x 32 RGB pixels"),
        (["missing.rgb"], "missing.rgb: cannot open the file"),
        (["short.rgb", "0", "10"], "0: expected a width or height"),
    ):
        result = executed(for_c / "edgesqz_app", *arguments, env=environment)
        assert result.returncode == 1 and words in result.stderr
    without = os.environ | {"LITERT_LIBRARY": "/missing.so"}
    for arguments in ([], ["--unknown"], ["--self-test", "1", "2"]):
        result = executed(for_c / "edgesqz_app", *arguments, env=without)
        assert result.returncode == 2 and result.stderr.startswith("usage: ")
    result = executed(for_c / "edgesqz_app", "--help", env=without)
    assert (result.returncode, result.stderr) == (0, "") and result.stdout.startswith("usage: ")
    result = executed(for_c / "edgesqz_app", "short.rgb", env=without)
    assert result.returncode == 1 and "set LITERT_LIBRARY" in result.stderr


@pytest.mark.parametrize("kind", ["gray", "fp32", "wide"])
def test_other_models_work_too(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    fixture, name = {
        "gray": ("gray", ""),
        "fp32": ("exported", "colors.fp32.tflite"),
        "wide": ("wide", "colors.int8.tflite"),
    }[kind]
    model = request.getfixturevalue(fixture) / name
    c = embed(model, "c", out=tmp_path / "c")
    height, width = c.contract.size
    assert f", {height}, {width}, " in (c.folder / "CONTRACT.md").read_text()
    tested = run_make(c.folder, "test", f"LITERT_LIBRARY={library()}")
    assert tested.returncode == 0, tested.stderr
    image = data.draw(1, c.contract.size, seed=9).images[0]
    (tmp_path / "image.rgb").write_bytes(image.tobytes())
    Image.fromarray(image).save(tmp_path / "image.png")
    python = embed(model, "python", out=tmp_path / "python").folder / "edgesqz_app.py"
    assert executed(sys.executable, python, "--self-test").returncode == 0
    environment = os.environ | {"LITERT_LIBRARY": library()}
    in_c = executed(c.folder / "edgesqz_app", tmp_path / "image.rgb", env=environment).stdout.splitlines()
    in_python = executed(sys.executable, python, tmp_path / "image.png").stdout.splitlines()[1:]
    assert in_c == in_python
    assert in_c[0].partition("%  ")[2] in c.contract.labels


# Microcontrollers


def compiled_for_micro(folder: Path, tmp_path: Path) -> Path:
    """Compile a copy of a folder against the stub, with the outputs that the stub returns."""
    copy = Path(shutil.copytree(folder, tmp_path / "app"))
    _, _, outputs = (copy / "test_vectors.c").read_text().partition("#if SINGLE_ROUNDING")
    outputs = outputs.replace("const model_value expected_outputs[TEST_IMAGES]", "constexpr model_value kOutputs[]")
    (copy / "outputs.h").write_text(f'#pragma once\n#include "model.h"\n#ifdef STUB_SINGLE_ROUNDING{outputs}')
    shutil.copy(STUB / "tensorflow/lite/micro/micro_log.cpp", copy / "stub_log.cpp")
    return copy


def run_make_for_micro(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    stub = (f"TFLM={STUB}", "LIBRARY=stub_log.o", f"CXXFLAGS={STRICT} -I{folder}")
    return run_make(folder, *stub, "stub_log.o", *arguments)


def test_the_micro_program_compiles_against_the_interface_and_runs(for_micro: Embedding, tmp_path: Path) -> None:
    folder = compiled_for_micro(for_micro.folder, tmp_path)
    tested = run_make_for_micro(folder, "test")
    assert tested.returncode == 0, tested.stderr
    assert "self-test passed: 8 images, every byte as expected from tflite-micro" in tested.stdout
    assert len(re.findall(r"^\d+ % \w+$", tested.stdout, re.MULTILINE)) == 8


def test_the_micro_program_of_an_int4_file_compiles_and_runs(tmp_path: Path) -> None:
    runtime = plugins.runtimes()["tflite-micro"]
    python_or_skip(runtime.REQUIREMENTS, runtime.PYTHON)
    written = embed("squeezenet-nano.int4.tflite", "micro", out=tmp_path / "written")
    tested = run_make_for_micro(compiled_for_micro(written.folder, tmp_path), "test")
    assert "self-test passed: 8 images, every byte as expected from tflite-micro" in tested.stdout, tested.stderr
    contract = (written.folder / "CONTRACT.md").read_text()
    assert "| weights | int4 in 15 layers, int8 in 2 layers |" in contract
    assert "embed the int8 file instead" in contract
    for only_for_int8 in ("instructions per multiply-accumulate", "(recommended) |", "is also that of the device"):
        assert only_for_int8 not in contract


@pytest.mark.skipif(not shutil.which("arduino-builder"), reason="needs the Debian package arduino-builder")
def test_arduino_finds_the_library_and_compiles_the_sketch(for_micro: Embedding, tmp_path: Path) -> None:
    folder, library_folder = compiled_for_micro(for_micro.folder, tmp_path), tmp_path / "libraries/TensorFlowLite"
    (folder / "stub_log.cpp").unlink()
    shutil.copytree(STUB, library_folder / "src")
    shutil.copy(ARDUINO / "library.properties", library_folder)
    (library_folder / "src/TensorFlowLite.h").touch()
    for header in ("outputs.h", "model.h", "test_vectors.h"):  # for the stub's interpreter
        shutil.copy(folder / header, library_folder / "src")
    (tmp_path / "build").mkdir()
    folders = ("-libraries", tmp_path / "libraries", "-tools", tmp_path / "build", "-build-path", tmp_path / "build")
    hardware = (
        "-hardware",
        "/usr/share/arduino-builder",
        "-hardware",
        ARDUINO / "hardware",
        "-fqbn",
        "edgesqz:host:pc",
    )
    built = executed("arduino-builder", "-compile", *hardware, *folders, folder / "app.ino")
    assert built.returncode == 0, built.stderr
    shown = executed(tmp_path / "build/app.ino.elf").stdout
    assert re.search(r"self-test passed: 8 images, .*\n\d+ % \w+\n\d+ % \w+\n", shown)


def test_the_micro_self_test_expects_the_rounding_of_the_library(for_micro: Embedding, tmp_path: Path) -> None:
    folder = compiled_for_micro(for_micro.folder, tmp_path)
    for option, library_flag, engine in (
        ("SINGLE_ROUNDING=0", "", "tflite-micro"),
        ("SINGLE_ROUNDING=1", "-DSTUB_SINGLE_ROUNDING", "litert"),
    ):
        tested = run_make_for_micro(folder, "test", option, f"CXXFLAGS={STRICT} -I{folder} {library_flag}")
        assert tested.returncode == 0, tested.stderr
        assert f"self-test passed: 8 images, every byte as expected from {engine}" in tested.stdout
    mixed = run_make_for_micro(folder, "test", "SINGLE_ROUNDING=1")
    assert mixed.returncode != 0
    assert "is tflite-micro built with the same TFLITE_SINGLE_ROUNDING?" in mixed.stdout


def test_the_micro_self_test_fails_when_a_byte_changes(for_micro: Embedding, tmp_path: Path) -> None:
    folder = compiled_for_micro(for_micro.folder, tmp_path)
    change_number(folder / "test_vectors.c", "expected_outputs", 0, 1)  # with single rounding
    tested = run_make_for_micro(
        folder, "test", "SINGLE_ROUNDING=1", f"CXXFLAGS={STRICT} -I{folder} -DSTUB_SINGLE_ROUNDING"
    )
    assert tested.returncode != 0
    assert "self-test FAILED: test vector 0, label 0 (airplane): expected " in tested.stdout


@pytest.mark.parametrize(
    ("board", "reason"),
    [
        ("-DSTUB_MODEL_HAS_RELU", "resolver lacks an operator of the model; is classifier.cpp up to date?"),
        ("-DSTUB_ALLOCATION_FAILS", "a kernel rejected the model, or optimized kernels need a larger arena; "),
        ("-DSTUB_ALLOCATION_FAILS -DSTUB_GENERIC_CORTEX_M", "arena is too small; increase kArenaBytes"),
    ],
)
def test_a_board_says_again_and_again_why_it_does_nothing(
    board: str, reason: str, for_micro: Embedding, tmp_path: Path
) -> None:
    folder = compiled_for_micro(for_micro.folder, tmp_path)
    if "small" in reason:
        classifier = folder / "classifier.cpp"
        classifier.write_text(
            classifier.read_text().replace("kArenaBytes = kPortableArenaBytes;", "kArenaBytes = 1000;")
        )
    shutil.copy(CORE / "main.cpp", folder / "board.cpp")
    flags = f"CXXFLAGS={STRICT} -I{folder} -I{CORE} -DARDUINO {board}"
    built = run_make_for_micro(folder, "board.o", "edgesqz_app", flags, "LIBRARY=stub_log.o board.o")
    assert built.returncode == 0, built.stderr
    assert executed(folder / "edgesqz_app").stdout.count(f"\nnot running: {reason}") == 2


@pytest.mark.parametrize("goal", ["edgesqz_app", "test"])
def test_make_for_micro_names_what_is_missing(goal: str, for_micro: Embedding) -> None:
    result = run_make(for_micro.folder, goal)
    assert result.returncode != 0
    assert re.fullmatch(r"Makefile:\d+: \*\*\* set TFLM=/path/to/tflite-micro\.  Stop\.\n", result.stderr)
    assert run_make(for_micro.folder, "clean").returncode == 0


def image_fit(folder: Path, tmp_path: Path) -> Any:
    """Compile image.c of a folder for microcontrollers, with checks of integer overflow."""
    options = [*STRICT.split(), "-std=c11", "-fsanitize=undefined", "-fno-sanitize-recover", "-shared", "-fPIC"]
    subprocess.run(["gcc", *options, "-o", tmp_path / "image.so", folder / "image.c"], check=True)
    return ctypes.CDLL(str(tmp_path / "image.so")).image_fit


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def test_micro_scales_camera_images_as_pillow_does(for_micro: Embedding, tmp_path: Path) -> None:
    fit = image_fit(for_micro.folder, tmp_path)
    for width, height in ((320, 240), (211, 97), (32, 32), (7, 5), (640, 1), (1, 1)):
        colors = np.random.default_rng(0).integers(0, (32, 64, 32), (height, width, 3), np.uint16)
        red, green, blue = (colors[..., channel] for channel in range(3))
        rgb565 = red << 11 | green << 5 | blue
        rgb888 = np.dstack([red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]).astype(np.uint8)
        expected = np.asarray(ImageOps.fit(Image.fromarray(rgb888), (32, 32)))
        for layout, image in enumerate((rgb888, rgb565.astype("<u2"), rgb565.astype(">u2"))):
            fitted = np.zeros((32, 32, 3), np.uint8)
            assert fit(address(image), layout, width, height, address(fitted))
            np.testing.assert_array_equal(fitted, expected)
    for width, height in ((641, 480), (0, 480), (480, -1)):
        assert not fit(None, 0, width, height, None)


def test_micro_converts_camera_images_to_gray_for_a_gray_model(gray: Path, tmp_path: Path) -> None:
    runtime = plugins.runtimes()["tflite-micro"]
    python_or_skip(runtime.REQUIREMENTS, runtime.PYTHON)
    fit = image_fit(embed(gray, "micro", out=tmp_path / "app").folder, tmp_path)
    image, fitted = data.draw(1, 40, seed=5).images[0], np.zeros((12, 12), np.uint8)
    assert fit(address(image), 0, 40, 40, address(fitted))
    expected = np.asarray(ImageOps.fit(Image.fromarray(image), (12, 12))) @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(fitted, expected, atol=0.51)


def test_make_for_micro_links_one_library(for_micro: Embedding, tmp_path: Path) -> None:
    libraries = [tmp_path / f"gen/{target}/lib/libtensorflow-microlite.a" for target in ("cortex_m", "linux")]
    missing = run_make(for_micro.folder, "test", f"TFLM={tmp_path}")
    assert f"no library in {tmp_path}/gen; build it there with 'make -f " in missing.stderr
    for library_file in libraries:
        library_file.parent.mkdir(parents=True)
        library_file.touch()
    both = run_make(for_micro.folder, "test", f"TFLM={tmp_path}")
    assert re.search(
        rf"set LIBRARY to one of ({libraries[0]} {libraries[1]}|{libraries[1]} {libraries[0]})", both.stderr
    )
    assert missing.returncode and both.returncode and "g++" not in missing.stdout + both.stdout


def test_the_resolver_has_exactly_the_operators_of_the_file(for_micro: Embedding) -> None:
    source = (for_micro.folder / "classifier.cpp").read_text()
    added = re.findall(r"resolver\.(Add\w+)\(\)", source)
    assert sorted(added) == ["AddAdd", "AddConcatenation", "AddConv2D", "AddMaxPool2D", "AddMean", "AddSoftmax"]
    assert f"MicroMutableOpResolver<{len(added)}>" in source


WITH_ARENA = """
import sys
from tflite_micro.python.tflite_micro import runtime
runtime.Interpreter.from_bytes(open(sys.argv[1], "rb").read(), arena_size=int(sys.argv[2])).invoke()
"""


def test_the_arena_is_enough_for_tflite_micro_and_no_more_than_it_needs(for_micro: Embedding) -> None:
    runtime, arena = plugins.runtimes()["tflite-micro"], for_micro.contract.outputs["tflite-micro"].arena_bytes
    assert arena and f"kPortableArenaBytes = {arena};" in (for_micro.folder / "classifier.cpp").read_text()
    python = python_or_skip(runtime.REQUIREMENTS, runtime.PYTHON)
    for size, works in ((arena, True), (arena - 32, False)):
        ran = executed(*python, "-c", WITH_ARENA, ZOO / MODEL, str(size))
        assert (ran.returncode == 0) is works, ran.stderr


def test_a_small_network_on_large_images_has_an_arena() -> None:
    runtime = plugins.runtimes()["tflite-micro"]
    python_or_skip(runtime.REQUIREMENTS, runtime.PYTHON)
    backend.start_keras()
    import keras

    images = keras.Input((120, 160, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, padding="same")(images))
    with backend.hush():
        content = plugins.converter("tflite").convert(keras.Model(images, features), "fp32", None)
    with Engine(content, "tflite-micro") as engine:
        assert engine.arena_bytes and engine.arena_bytes > 4 * (3 + 4) * 120 * 160
        assert engine.predict(np.zeros((1, 120, 160, 3), np.uint8)).shape == (1, 4)


def test_an_operator_that_tflite_micro_lacks_is_named_with_the_variant_that_works(gray: Path, tmp_path: Path) -> None:
    runtime = plugins.runtimes()["tflite-micro"]
    python_or_skip(runtime.REQUIREMENTS, runtime.PYTHON)
    with pytest.raises(EdgesqzError) as refusal:
        embed(gray.with_name("gray.fp32.tflite"), "micro", out=tmp_path / "app")
    message = str(refusal.value)
    assert "gray.fp32.tflite: tflite-micro cannot run it: " in message and "SIGN" in message
    assert message.endswith("; it can run gray.int8.tflite")
    assert not (tmp_path / "app").exists()


# Python


def test_the_python_program_is_one_file_and_predicts_as_in_the_bench(for_python: Path, tmp_path: Path) -> None:
    alone = shutil.copy(for_python, tmp_path / "alone.py")
    tested = executed(sys.executable, alone, "--self-test", cwd=tmp_path)
    assert tested.returncode == 0, tested.stderr
    assert "self-test passed: 8 images, every byte as expected from litert" in tested.stdout


def test_the_python_program_passes_with_tflite_runtime_too(for_python: Path) -> None:
    runtime = plugins.runtimes()["tflite-runtime"]
    python = python_or_skip([*runtime.REQUIREMENTS, "pillow"], runtime.PYTHON)
    tested = executed(*python, for_python, "--self-test")
    assert tested.returncode == 0, tested.stderr
    assert "self-test passed: 8 images, every byte as expected from tflite-runtime 2.14.0" in tested.stdout


def test_the_python_program_shows_its_usage(for_python: Path) -> None:
    result = executed(sys.executable, for_python, "--help")
    assert result.returncode == 0 and "python edgesqz_app.py --self-test    run the test vectors" in result.stdout
    assert 'install it with "numpy<2"' in result.stdout
    assert 'pip install tflite-runtime "numpy<2" pillow' in (for_python.parent / "CONTRACT.md").read_text()
    for arguments in ([], ["--unknown"], ["--self-test", "cat.png"]):
        result = executed(sys.executable, for_python, *arguments)
        assert result.returncode == 2 and result.stderr.startswith("usage: ")


def test_an_engine_without_expected_outputs_fails_the_self_test(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime = plugins.runtimes()["tflite-runtime"]
    python = python_or_skip([*runtime.REQUIREMENTS, "pillow"], runtime.PYTHON)
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    folder = embed(MODEL, "python", out=tmp_path / "app").folder
    monkeypatch.undo()
    text = " ".join((folder / "CONTRACT.md").read_text().split())
    assert "There are no expected outputs of tflite-runtime" in text
    assert "install uv with `pip install 'edgesqz[tflite-runtime]'` and embed again" in text and "\\" not in text
    tested = executed(*python, folder / "edgesqz_app.py", "--self-test")
    assert tested.returncode == 1
    assert "self-test FAILED: no expected outputs for tflite-runtime" in tested.stderr


@pytest.mark.parametrize(("part", "words"), [("EXPECTED_OUTPUTS", "self-test FAILED"), ("MODEL", "is damaged")])
def test_the_python_program_notices_a_changed_byte(part: str, words: str, for_python: Path, tmp_path: Path) -> None:
    text = for_python.read_text()
    place = text.index('"""\n', text.index(f"\n{part} = ")) + 40
    other = "A" if text[place] != "A" else "B"
    (tmp_path / "torn.py").write_text(text[:place] + other + text[place + 1 :])
    tested = executed(sys.executable, tmp_path / "torn.py", "--self-test")
    assert tested.returncode == 1 and words in tested.stderr and "passed" not in tested.stdout


def test_the_python_program_reads_images_as_predict_does(for_python: Path, tmp_path: Path) -> None:
    pixels = data.draw(1, 90, seed=2).images[0][:60]
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=turned)
    Image.fromarray(np.dstack([pixels, pixels[..., :1]])).save(tmp_path / "transparent.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "grey16.png")
    files = [tmp_path / name for name in ("turned.png", "transparent.png", "grey16.png")]
    result = executed(sys.executable, for_python, *files)
    assert result.returncode == 0, result.stderr
    expected = [
        line
        for prediction in predict(ZOO / MODEL, files).images
        for line in (prediction.image, *(f"{100 * g.probability:5.1f} %  {g.label}" for g in prediction.guesses[:3]))
    ]
    shown = result.stdout.splitlines()
    assert [line for k, line in enumerate(shown) if k % 6 < 4] == expected
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    refused = executed(sys.executable, for_python, tmp_path / "torn.png")
    assert refused.returncode == 1 and "cannot read the image" in refused.stderr


# The contract


def test_the_contract_states_everything_that_a_program_needs(for_c: Path) -> None:
    text = " ".join((for_c / "CONTRACT.md").read_text().split())
    manifest = Artifact.open(ZOO / MODEL).manifest
    assert manifest and manifest.test
    for words in (
        f"{manifest.size_bytes:,} bytes",
        manifest.sha256,
        "`int8` (1, 32, 32, 3): one image, 32 pixels wide and 32 high, top row first, channels last (NHWC), red,",
        f"edgesqz {manifest.versions['edgesqz']}; the model file was written with edgesqz ",
        f"tensorflow {manifest.versions['tensorflow']}, keras {manifest.versions['keras']}",
        "`input = pixel - 128`, for pixels 0..255",
        "`0.015625 * (pixel - 128)`, which is `0.015625 * pixel - 2`",
        "`probability = 0.00390625 * (output + 128)`",
        "set `OUTPUT_TOLERANCE` in `test_vectors.h` to 1",
        "embed the fp32 file for them",
        "0. airplane 1. automobile 2. bird 3. cat 4. deer 5. dog 6. frog 7. horse 8. ship 9. truck",
        "7,819,264 multiply-accumulates per image",
        "sRGB in the full range 0..255",
        "17 `CONV_2D`, 5 `CONCATENATION`, 3 `ADD`, 2 `MAX_POOL_2D`, 1 `MEAN`, 1 `SOFTMAX`",
        f"{100 * manifest.test.accuracy:.2f} % top-1 on 10,000 test images of cifar10, measured with LiteRT on "
        f"{manifest.test.machine}",
        "none; LiteRT allocates memory as needed",
    ):
        assert words in text, words


def test_the_contract_for_micro_states_the_arena_and_what_was_not_tested(for_micro: Embedding) -> None:
    text = " ".join((for_micro.folder / "CONTRACT.md").read_text().split())
    assert f"{for_micro.contract.outputs['tflite-micro'].arena_bytes:,} bytes, aligned to 16" in text
    assert f"| {(ZOO / MODEL).stat().st_size:,} bytes for `model_data`, about 3,000 for the code of the program" in text
    assert "| stack | about 200 bytes for the program" in text
    assert "The test vectors add 24,656 bytes until you remove the self-test" in text
    assert "plus 2,268 for `image_fit()`" in text
    arena = for_micro.contract.outputs["tflite-micro"].arena_bytes
    assert arena and f"{arena:,} bytes for `arena` and 3,072 for `pixels`, the image: {arena + 3072:,} bytes" in text
    assert "with `-DTFLITE_SINGLE_ROUNDING=1` (recommended) | those of litert 2.3.0, the engine of `edgesqz" in text
    micro, bench = (for_micro.contract.outputs[name] for name in ("tflite-micro", "litert"))
    assert f"{micro.differing_values(bench)} of the 80 bytes differ, by up to {micro.max_steps(bench)} steps" in text
    assert "passed its self-test byte for byte on x86-64 and on emulated Cortex-M3" in text
    assert "The program has never run on a board." in text
    assert "`Arduino_TensorFlowLite`, version 2.4.0-ALPHA" in text


def test_unknown_values_are_marked_and_a_report_provides_them(tmp_path: Path) -> None:
    labels = data.load("synthetic").labels
    model = changed(tmp_path / MODEL, (ZOO / MODEL).read_bytes(), test=None, labels=labels, source_sha256=None)
    text = (embed(model, "c", out=tmp_path / "before").folder / "CONTRACT.md").read_text()
    assert (
        "| accuracy | unknown. Measure it with `edgesqz bench squeezenet-nano.int8.tflite --json report.json`, then"
        in text
    )
    report = edgesqz.bench([model], dataset="synthetic", limit=20, rounds=1)
    (tmp_path / "report.json").write_text(report.to_json())
    row = next(row for row in report.measured if row.artifact == MODEL)
    assert row.accuracy is not None and row.p50_us
    embed(model, "c", out=tmp_path / "after", report=tmp_path / "report.json")
    text = (tmp_path / "after" / "CONTRACT.md").read_text()
    assert f"{100 * row.accuracy:.2f} % top-1 on 20 test images of synthetic" in text
    assert f"measured with litert {row.runtime_version} on {report.machine.cpu}" in text
    assert f"| latency | {row.p50_us:.1f} µs" in text


def test_arbitrary_labels_survive_the_round_trip(gray: Path, tmp_path: Path) -> None:
    folder = embed(gray, "c", out=tmp_path / "c").folder
    source = folder / "show.c"
    source.write_text(
        '#include <stdio.h>\n#include "model.h"\n'
        "int main(void) { for (int k = 0; k < MODEL_LABELS; k++) puts(model_labels[k]); return 0; }\n"
    )
    subprocess.run(
        ["gcc", *STRICT.split(), "-trigraphs", "-o", folder / "show", source, folder / "model.c"], check=True
    )
    assert tuple(executed(folder / "show").stdout.splitlines()) == LABELS


# Bad input


def changed(path: Path, content: bytes, **changes: Any) -> Path:
    """Write another model file, with the manifest of MODEL adapted to it."""
    manifest = Artifact.open(ZOO / MODEL).manifest
    assert manifest
    update = {"size_bytes": len(content), "sha256": sha256(content), **changes}
    return write(path, content, manifest.model_copy(update=update))


def test_a_manifest_without_labels_is_embedded_with_numbers_for_them(tmp_path: Path) -> None:
    model = changed(tmp_path / MODEL, (ZOO / MODEL).read_bytes(), labels=())
    assert embed(model, "c", out=tmp_path / "app").contract.labels == tuple(f"class {k}" for k in range(10))


def test_an_existing_folder_is_replaced_only_with_force_and_only_if_embed_wrote_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    app = tmp_path / "app"
    embed(MODEL, "c", out=app)
    (app / "old.txt").touch()
    with pytest.raises(EdgesqzError, match="app already exists; replace it with force"):
        embed(MODEL, "c", out=app)
    assert (app / "old.txt").exists()
    embedding = embed(MODEL, "c", out=app, force=True)
    assert {path.name for path in app.iterdir()} == set(embedding.files)
    for force in (False, True):
        with pytest.raises(EdgesqzError, match="mine was not written by edgesqz embed; choose another out"):
            embed(MODEL, "c", out=mine, force=force)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "app"}


def test_a_failed_write_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = tmp_path / "app"
    before = embed(MODEL, "c", out=app).files
    (app / "mine.c").touch()

    def full(path: Path, content: bytes) -> None:
        if path.name == "test_vectors.c":
            raise EdgesqzError(f"cannot write {path}: No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr("edgesqz.embedding.writing.write_file", full)
    with pytest.raises(EdgesqzError, match="No space left"):
        embed(MODEL, "c", out=app, force=True)
    assert {path.name for path in app.iterdir()} == {"mine.c", *before}
    assert [path.name for path in tmp_path.iterdir()] == ["app"]
    monkeypatch.undo()

    def rename(path: Path, to: Path, really: Any = Path.rename) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return Path(really(path, to))

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(EdgesqzError, match="cannot write .*app: Input/output error"):
        embed(MODEL, "c", out=app, force=True)
    assert {path.name for path in app.iterdir()} == {"mine.c", *before}
    assert [path.name for path in tmp_path.iterdir()] == ["app"]
    with pytest.raises(EdgesqzError, match="cannot write .*missing/too/app: Input/output error"):
        embed(MODEL, "c", out=tmp_path / "missing" / "too" / "app")
    assert [path.name for path in tmp_path.iterdir()] == ["app"]
    with pytest.raises(EdgesqzError, match="cannot write .*mine.c/app: (Not a directory|File exists)"):
        embed(MODEL, "c", out=app / "mine.c" / "app")


def test_parent_folders_are_created(tmp_path: Path) -> None:
    folder = embed(MODEL, "python", out=tmp_path / "of" / "mine" / "app").folder
    assert (folder / "edgesqz_app.py").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["app"]


def test_the_command_prints_what_it_wrote_and_the_next_step(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["embed", MODEL, "--target", "python"])
    assert result.exit_code == 0, result.output
    assert "squeezenet-nano.int8-python: edgesqz_app.py, CONTRACT.md, squeezenet-nano.int8.tflite" in result.stdout
    assert "contains the labels and the pixel range, 818 bytes more" in result.stdout
    assert "python edgesqz_app.py --self-test" in result.stdout
    result = CliRunner().invoke(app, ["embed", MODEL, "--target", "rust"])
    assert result.exit_code == 1
    assert result.stderr == "error: unknown --target 'rust'; choose from c, micro, python, web\n"


def test_an_artifact_that_cannot_be_embedded_is_rejected(tmp_path: Path) -> None:
    content = (ZOO / MODEL).read_bytes()
    (tmp_path / "alone.tflite").write_bytes(content)
    mismatched = changed(tmp_path / "mismatched.tflite", content)
    mismatched.write_bytes(content[:-1] + b"\1")
    manifest = Artifact.open(ZOO / MODEL).manifest
    assert manifest
    other_scale = manifest.output.model_copy(update={"scale": 0.5})
    other_dtype = manifest.input.model_copy(update={"dtype": "uint8"})
    wrong = changed(tmp_path / "wrong.tflite", content, output=other_scale)
    odd = changed(tmp_path / "odd.tflite", content, input=other_dtype)
    few = changed(tmp_path / "few.tflite", content, labels=manifest.labels[:5])
    many = changed(tmp_path / "many.tflite", content, labels=(*manifest.labels, "bus", "tram"))
    torn = changed(tmp_path / "torn.tflite", b"torn")
    for model, words in (
        (ZOO / "squeezenet-nano.int8.onnx", "expected a .tflite file, got .*; use squeezenet-nano.int8.tflite"),
        (tmp_path / "alone.tflite", "has no manifest, which"),
        (mismatched, "does not match its manifest mismatched.tflite.json"),
        (wrong, "its manifest describes .* export it again"),
        (odd, "expected input and output to be both int8 or both float32"),
        (few, "few.tflite: expected 10 labels, but the manifest has 5; export it again"),
        (many, "many.tflite: expected 10 labels, but the manifest has 12; export it again"),
        (torn, "torn.tflite: litert cannot run it"),
        ("missing.tflite", "^missing.tflite does not exist"),
    ):
        with pytest.raises(EdgesqzError, match=words):
            embed(model, "c", out=tmp_path / "app")
    assert not (tmp_path / "app").exists()
