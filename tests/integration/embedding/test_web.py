"""The folder for web pages, opened in an installed browser from a plain web server."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgesqz.embedding import embed
from edgesqz.predicting import predict
from tests.browsers import browser, browser_or_skip, install_or_skip
from tests.waiting import wait_for

MODEL = "squeezenet-nano.int8.onnx"
KEEP_STREAMS = """
const ask = MediaDevices.prototype.getUserMedia;
globalThis.streams = [];
MediaDevices.prototype.getUserMedia = async function (wanted) {
    streams.push(await ask.call(this, wanted));
    return streams.at(-1);
};
"""


class Page:
    """A page of the folder, and the addresses that it requested."""

    def __init__(self, folder: Path, program: Path) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{server.server_port}/"
        self.browser = browser.Browser(str(program))
        self.browser.new_page()
        self.requested: list[str] = []
        self.receive = self.browser._receive
        self.browser._receive = self.note
        self.browser.call("Network.enable")

    def note(self) -> Any:
        message = self.receive()
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        return message

    def open(self, query: str, until: str) -> str:
        self.browser.open(self.address + query)
        return self.status(until)

    def status(self, until: str) -> str:
        """Wait until the status contains a text."""
        wait_for(lambda: re.search(f"{until}|FAILED|Error", self.text("#status")) is not None)
        return self.text("#status")

    def text(self, selector: str) -> str:
        found: str = self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def choose(self, image: Path) -> None:
        root = self.browser.call("DOM.getDocument")["root"]["nodeId"]
        node = self.browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        self.browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(image)])

    def drop(self, image: Path) -> None:
        dragged = {"items": [], "files": [str(image)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.browser.call("Input.dispatchDragEvent", type=kind, x=100, y=100, data=dragged)

    def click_camera(self) -> None:
        self.browser.evaluate("document.querySelector('#camera').click()")

    def permit_camera(self, setting: str) -> None:
        self.browser.call("Browser.setPermission", of_page=False, permission={"name": "camera"}, setting=setting)

    def shown(self) -> list[tuple[str, float]]:
        """Return the labels and percentages."""
        return [(label, float(share)) for label, share in re.findall(r"(\w+)\s+([\d.]+) %", self.text("#labels"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder. Do not write to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESQZ_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        install_or_skip("onnxruntime-web")
        return embed(MODEL, "web", out=tmp_path_factory.mktemp("web") / "app").folder


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page for all tests, in a browser with a fake camera."""
    program = tmp_path_factory.mktemp("bin") / "chromium"
    program.write_text(f'#!/bin/sh\nexec {browser_or_skip()} --use-fake-device-for-media-stream "$@"\n')
    program.chmod(0o755)
    opened = Page(folder, program)
    yield opened
    opened.browser.close()


def test_the_self_test_passes_and_fails_at_a_changed_value(page: Page, folder: Path) -> None:
    assert page.open("?self-test", "Self-test") == (
        "Self-test passed: 8 images, every value within 0.001 of "
        + re.search(r'ENGINE = "(.*)"', (folder / "test_vectors.js").read_text())[1]  # type: ignore[index]
    )
    page.browser.evaluate("import('./test_vectors.js').then(({OUTPUTS}) => { OUTPUTS[3] += 0.01; })")
    failed = page.browser.evaluate("import('./app.js').then(app => app.selfTest())")
    assert re.match(r"Self-test FAILED: test vector 0, label 3 \(cat\): expected [\d.e-]+, got [\d.e-]+$", failed)


def test_the_page_predicts_what_predict_prints_for_a_chosen_and_a_dropped_image(page: Page, tmp_path: Path) -> None:
    photos = [tmp_path / "chosen.png", tmp_path / "dropped.png"]
    for seed, photo in enumerate(photos):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 70, 3), np.uint8)).save(photo)
    page.open("", "ready")
    for photo, take, found in zip(photos, (page.choose, page.drop), predict(MODEL, photos).images, strict=True):
        page.browser.evaluate("document.querySelector('#status').textContent = ''")
        take(photo)
        assert re.fullmatch(r"Inference took [\d.]+ ms\.", page.status("Inference"))
        assert len(page.shown()) == 5
        label, percent = page.shown()[0]
        assert label == found.guesses[0].label
        assert percent == pytest.approx(100 * found.guesses[0].probability, abs=0.11)


def test_the_page_classifies_what_the_camera_sees_until_it_is_stopped(page: Page) -> None:
    page.permit_camera("granted")
    page.open("", "ready")
    page.browser.evaluate(KEEP_STREAMS)
    page.click_camera()
    page.click_camera()  # too early
    assert re.fullmatch(r"Inference took [\d.]+ ms\.", page.status("Inference"))
    assert len(page.shown()) == 5
    assert page.text("#camera") == "Stop the camera"
    page.click_camera()
    assert page.browser.evaluate("streams.map((stream) => stream.active)") == [False]
    assert page.text("#camera") == "Use the camera"
    assert page.text("#hint") == "Drop an image here"


def test_a_camera_that_cannot_be_used_says_why(page: Page) -> None:
    page.permit_camera("denied")
    page.open("", "ready")
    page.click_camera()
    assert page.status("camera") == "The camera cannot be used: Permission denied."
    page.browser.evaluate("Object.defineProperty(navigator, 'mediaDevices', {})")  # as without HTTPS
    page.click_camera()
    assert page.status("HTTPS") == "The camera needs a page that is served over HTTPS or from this computer."


def test_images_are_scaled_exactly_as_pillow_does(page: Page) -> None:
    rng = np.random.default_rng(1)
    page.open("", "ready")
    for height, width in ((48, 70), (20, 64), (33, 32)):
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        opaque = np.concatenate([image, np.full((height, width, 1), 255, np.uint8)], axis=2).ravel().tolist()
        fitted = page.browser.evaluate(
            f"import('./image.js').then(({{fit}}) => Array.from(fit({{data: {opaque}, width: {width}, "
            f"height: {height}}}, 32, 32)))"
        )
        expected = np.asarray(ImageOps.fit(Image.fromarray(image), (32, 32)))
        np.testing.assert_array_equal(np.array(fitted).reshape(32, 32, 3), expected)


def test_a_file_that_is_not_an_image_is_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    page.open("", "ready")
    page.choose(tmp_path / "notes.txt")
    assert page.status("browser") == "notes.txt is not an image that this browser can read."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_screen_and_follows_the_color_scheme(scheme: str, page: Page) -> None:
    page.open("", "ready")
    page.browser.call("Emulation.setDeviceMetricsOverride", width=320, height=800, deviceScaleFactor=1, mobile=True)
    page.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    assert page.browser.evaluate("document.documentElement.scrollWidth") <= 320
    (red, *_) = re.findall(r"\d+", page.browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (int(red) > 127) == (scheme == "light")


def test_a_screen_reader_finds_a_name_for_every_control(page: Page) -> None:
    page.open("", "ready")
    nodes = page.browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "heading", "image", "link", "list", "region", "RootWebArea"}
    named = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node.get("ignored")]
    assert {"button", "heading", "link", "region", "status"} <= {role for role, _ in named}
    assert all(name for role, name in named if role in roles), named


def test_no_request_leaves_the_origin_of_the_page(page: Page) -> None:
    page.open("?self-test", "Self-test")
    assert {f"{page.address}{name}" for name in ("app.js", "ort-wasm-simd-threaded.wasm", MODEL)} <= set(page.requested)
    assert not [url for url in page.requested if not url.startswith((page.address, "data:", "blob:"))]
    blocked = """new Promise((resolve) => {
        addEventListener("securitypolicyviolation", ({effectiveDirective}) => resolve(effectiveDirective));
        fetch("http://127.0.0.1:9/").catch(() => setTimeout(() => resolve("not forbidden"), 5000));
    })"""
    assert page.browser.evaluate(blocked) == "connect-src"
