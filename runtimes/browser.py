"""Run models with WebAssembly engines in a page of headless Chromium or Chrome.

A server on the loopback address serves the page, with the headers that allow threads and a clock of 5 µs. The DevTools
protocol controls the browser over pipes. When this process ends, however that happens, the browser is killed and its
files are removed. The engines are npm packages whose archives the user has downloaded into edgesqz's cache.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import itertools
import json
import os
import shlex
import shutil
import struct
import sys
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ENGINE = "onnxruntime-web"  # or another key of PACKAGES; the worker sets it

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# Kills the browser and its processes, and removes its files, once standard input closes.
JANITOR = 'read -r _; kill -9 "-$1"; rm -rf "$2"'
BATCH = 100  # inferences per reading of the clock
ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}

Served = dict[str, tuple[str, bytes]]  # content type and content by path


class Package(NamedTuple):
    """An npm package.

    Attributes:
        name: Name in npm's registry.
        version: The version that edgesqz was tested with.
        sha512: SHA-512 of the archive in Base64, as in npm's field ``integrity``.
        files: The files that a page needs. The first one is the module to import.
        adapter: JavaScript that loads the engine, and exports ``load(threads)``, ``set(bytes, shape)`` and ``run()``.
    """

    name: str
    version: str
    sha512: str
    files: tuple[str, ...]
    adapter: str

    @property
    def archive(self) -> Path:
        """Path where ``npm pack`` puts the archive."""
        return cache_dir() / f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    def installed_version(self) -> str | None:
        """Return the version, or None if the archive is missing."""
        return self.version if self.archive.is_file() else None

    def install_command(self) -> str:
        """Return the command that downloads the archive."""
        folder = shlex.quote(str(self.archive.parent))
        return f"mkdir -p {folder} && npm pack {self.name}@{self.version} --pack-destination {folder}"

    def read(self) -> dict[str, bytes]:
        """Return the contents of the files by name, without their folders.

        Raises:
            RuntimeError: The archive is missing, or its SHA-512 is not the expected one.
        """
        try:
            content = self.archive.read_bytes()
        except OSError as error:
            raise RuntimeError(f"the engine {self.name} is not installed; try {self.install_command()}") from error
        if base64.b64encode(hashlib.sha512(content).digest()).decode() != self.sha512:
            raise RuntimeError(
                f"expected {self.archive} to be {self.name} {self.version}, but its SHA-512 differs; "
                f"remove it and try {self.install_command()}"
            )
        wanted, found = {f"package/{name}" for name in self.files}, {}
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if member.name in wanted:
                    found[Path(member.name).name] = archive.extractfile(member).read()  # type: ignore[union-attr]
                if len(found) == len(wanted):
                    break
        return found


PACKAGES = {
    "onnxruntime-web": Package(
        "onnxruntime-web",
        "1.30.0",
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        ("dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"),
        """
import * as ort from "./ort.wasm.min.mjs";
let session, feeds;
const tensor = ({type, shape}) => ({dtype: type, shape: shape.map(size => typeof size === "number" ? size : null)});
export async function load(threads) {
    ort.env.logLevel = "fatal";
    ort.env.wasm.numThreads = threads;
    session = await ort.InferenceSession.create("./model", {executionProviders: ["wasm"]});
    return {
        inputs: session.inputMetadata.map(tensor),
        outputs: session.outputMetadata.map(tensor),
        threads: ort.env.wasm.numThreads,
    };
}
const arrays = {float32: Float32Array, float16: Uint16Array, uint8: Uint8Array, int8: Int8Array};
export function set(bytes, shape) {
    const type = session.inputMetadata[0].type;
    feeds = {[session.inputNames[0]]: new ort.Tensor(type, new arrays[type](bytes), shape)};
}
export async function run() {
    return (await session.run(feeds))[session.outputNames[0]].data;
}
""",
    ),
    "@tensorflow/tfjs-tflite": Package(
        "@tensorflow/tfjs-tflite",
        "0.0.1-alpha.10",
        "/qmqsRBTg+XCWgNomJ/gdZIKFMpGiTEAwMhqk/7cOZEp/fTV69GuknOoSQjloYGWasQIDIriQO3bpi6T4PTEnA==",
        (
            "wasm/tflite_web_api_client.js",
            *(f"wasm/tflite_web_api_cc_simd{kind}" for kind in (".js", ".wasm")),
            *(f"wasm/tflite_web_api_cc_simd_threaded{kind}" for kind in (".js", ".wasm", ".worker.js")),
        ),
        """
const script = Object.assign(document.createElement("script"), {src: "./tflite_web_api_client.js"});
await new Promise((resolve, reject) => {
    Object.assign(script, {onload: resolve, onerror: reject});
    document.head.append(script);
});
let model, input, output;
const tensor = ({dataType, shape}) => ({dtype: dataType, shape: shape.split(",").map(Number)});
export async function load(threads) {
    tfweb.tflite_web_api.setWasmPath("./");
    model = await tfweb.TFLiteWebModelRunner.create("./model", {numThreads: threads});
    if (!model) throw new Error("the engine rejects the file");
    const inputs = model.getInputs(), outputs = model.getOutputs();
    [input, output] = [inputs[0], outputs[0]];
    return {inputs: inputs.map(tensor), outputs: outputs.map(tensor), threads};
}
export function set(bytes) {
    const values = input.data();
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(new Uint8Array(bytes));
}
export function run() {
    if (!model.infer()) throw new Error("the inference failed");
    return output.data();
}
""",
    ),
}

# Import the adapter, and define what the session calls.
PAGE = """
(async () => {
    const engine = await import("./adapter.mjs");
    const started = performance.now(), loaded = await engine.load(THREADS), load_ms = performance.now() - started;
    const timed = async (call) => {
        const start = performance.now();
        for (let k = 0; k < BATCH; k++) await call();
        return (performance.now() - start) / BATCH;
    };
    globalThis.set = async (shape) => engine.set(await (await fetch("./batch")).arrayBuffer(), shape);
    globalThis.run = async () => {
        const {buffer, byteOffset, byteLength} = await engine.run();
        return Array.from(new Uint8Array(buffer, byteOffset, byteLength));
    };
    globalThis.time = async (readings) => {
        const taken = [];
        for (let k = 0; k < readings; k++) taken.push(await timed(engine.run));
        return taken;
    };
    let overhead_ms;
    for (let k = 0; k < 20; k++) overhead_ms = await timed(async () => {});  // until it is compiled
    return {...loaded, load_ms, overhead_ms, isolated: crossOriginIsolated};
})()
"""


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise RuntimeError if the engine rejects it, or if the engine or a browser is missing."""
    package = PACKAGES[ENGINE]
    files = package.read()
    types = {"js": "text/javascript", "mjs": "text/javascript", "wasm": "application/wasm"}
    served = {f"/{name}": (types[name.rpartition(".")[2]], content) for name, content in files.items()} | {
        "/": ("text/html", b"<!doctype html><title>edgesqz</title>"),
        "/adapter.mjs": (types["mjs"], package.adapter.encode()),
        "/model": ("application/octet-stream", model_bytes),
    }
    browser = Browser(find_browser())
    try:
        browser.new_page()
        browser.open(serve(served))
        return Session(browser, served, threads, package.version)
    except BaseException:
        browser.close()
        raise


class Session:
    """One model in a page."""

    def __init__(self, browser: Browser, served: Served, threads: int, version: str) -> None:
        self.browser, self.served = browser, served
        idle_rss_bytes = browser.memory_bytes("VmRSS")
        loaded = browser.evaluate(PAGE.replace("THREADS", str(threads)).replace("BATCH", str(BATCH)))
        if not loaded["isolated"]:
            raise RuntimeError(f"{browser.version} refused the isolation that threads and a precise clock need")
        scales = _tflite_scales(served["/model"][1]) if ENGINE == "@tensorflow/tfjs-tflite" else (None, None)
        self.inputs, self.outputs = (
            [tensor | (scale or {"scale": None, "zero_point": None}) for tensor in loaded[kind]]
            for kind, scale in zip(("inputs", "outputs"), scales, strict=True)
        )
        count = loaded["threads"]
        self.facts = {
            "version": f"{version} ({browser.version}, SIMD, {count} thread{'s' * (count > 1)})",
            "load_ms": loaded["load_ms"],
            "overhead_ns": loaded["overhead_ms"] * 1e6,
            "idle_rss_bytes": idle_rss_bytes,
            "batch": BATCH,
        }

    def set_input(self, batch: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` and ``time`` use."""
        self.served["/batch"] = ("application/octet-stream", batch.tobytes())
        self.browser.evaluate(f"set({list(batch.shape)})")

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run stored input values and return stored output values."""
        self.set_input(batch)
        return np.frombuffer(self.run_once(), self.outputs[0]["dtype"]).reshape(len(batch), -1)

    def run_once(self) -> bytes:
        """Run one inference on the values that ``set_input`` set, and return the bytes of the output."""
        return bytes(self.browser.evaluate("run()"))

    def time(self, count: int) -> list[int]:
        """Time at least ``count`` inferences in batches. Return the mean nanoseconds of each batch."""
        return [round(ms * 1e6) for ms in self.browser.evaluate(f"time({-(-count // BATCH)})")]

    def peak_rss_bytes(self) -> int | None:
        """Return the peak resident memory of the page's process, or None if the system does not report it."""
        return self.browser.memory_bytes("VmHWM")


class Browser:
    """A headless browser with one page, controlled through the DevTools protocol.

    Args:
        program: The browser's program.
    """

    def __init__(self, program: str) -> None:
        profile = tempfile.mkdtemp(prefix="edgesqz-browser-")
        commands, ours = os.pipe()
        theirs, answers = os.pipe()
        until, self.lifeline = os.pipe()
        arguments = [
            program,
            "--headless",
            "--remote-debugging-pipe",  # reads from descriptor 3 and writes to 4
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",  # /dev/shm is small in containers
            "--disable-extensions",
            "--disable-gpu",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # the sandbox does not work for root
        ]
        environment = os.environ | {"TMPDIR": profile}  # for its socket
        placed = [(os.POSIX_SPAWN_DUP2, commands, 3), (os.POSIX_SPAWN_DUP2, answers, 4)]
        # A process group of its own, which the janitor kills.
        browser = os.posix_spawn(program, arguments, environment, file_actions=placed, setpgroup=0)
        janitor = ["sh", "-c", JANITOR, "sh", str(browser), profile]
        placed = [(os.POSIX_SPAWN_DUP2, until, 0)]
        self.processes = os.posix_spawn("/bin/sh", janitor, os.environ, file_actions=placed, setpgroup=0), browser
        os.close(until)
        os.close(commands)
        os.close(answers)
        self.commands, self.answers = os.fdopen(ours, "wb"), os.fdopen(theirs, "rb")
        self.numbers, self.received, self.page, self.version = itertools.count(), bytearray(), "", ""

    def new_page(self) -> None:
        """Add the page that later calls refer to."""
        self.version = self.call("Browser.getVersion")["product"].replace("Headless", "").replace("/", " ")
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.page = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Inspector.enable")  # reports a crash
        self.call("Page.enable")

    def open(self, url: str) -> None:
        """Navigate the page and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page, or the result of its promise."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raised = details.get("exception", {})
            text = raised.get("description") or raised.get("value") or details["text"]
            raise RuntimeError(str(text).splitlines()[0])
        return found["result"].get("value")

    def memory_bytes(self, name: str) -> int | None:
        """Return what Linux reports about the memory of the page's process, or None on other systems."""
        processes = self.call("SystemInfo.getProcessInfo", of_page=False)["processInfo"]
        found = [_status_bytes(each["id"], name) for each in processes if each["type"] == "renderer"]
        return max((size for size in found if size is not None), default=None)

    def call(self, method: str, *, of_page: bool = True, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.page and of_page:
            message["sessionId"] = self.page
        try:
            self.commands.write(json.dumps(message).encode() + b"\0")
            self.commands.flush()
        except OSError as error:
            raise RuntimeError("the browser ended unexpectedly") from error
        while (answer := self._receive()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def close(self) -> None:
        """Kill the browser and remove its files."""
        os.close(self.lifeline)
        for process in self.processes:
            os.waitpid(process, 0)
        with contextlib.suppress(BrokenPipeError):  # the browser has exited, and a command is still in the buffer
            self.commands.close()
        self.answers.close()

    def _receive(self) -> dict[str, Any]:
        """Return the next response or event."""
        while b"\0" not in self.received:
            part = self.answers.read1()
            if not part:
                raise RuntimeError("the browser ended unexpectedly")
            self.received += part
        text, _, self.received = self.received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Inspector.targetCrashed":
            raise RuntimeError("the page crashed in the browser")
        return message


def serve(files: Served) -> str:
    """Serve files by path on the loopback address, each with its type. Return the address of the root."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            kind, content = files.get(self.path, ("text/plain", None))
            self.send_response(404 if content is None else 200)
            for name, value in ISOLATION.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def find_browser() -> str:
    """Return the path of an installed browser.

    Raises:
        RuntimeError: None is installed.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise RuntimeError("no Chromium or Chrome found; install one, or add its folder to PATH")
    return found


def cache_dir() -> Path:
    """Return the folder for downloads, which is the one for datasets."""
    if chosen := os.environ.get("EDGESQZ_CACHE_DIR"):
        return Path(chosen)
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "edgesqz"


def _status_bytes(process: int, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _tflite_scales(content: bytes) -> tuple[dict[str, Any] | None, ...]:
    """Return the scale and zero point of a .tflite file's first input and output, which the engine does not expose.

    None stands for a tensor without quantization. The numbers identify fields in TFLite's FlatBuffer schema.
    """

    def number(kind: str, at: int) -> Any:
        return struct.unpack_from(f"<{kind}", content, at)[0]

    def follow(at: int) -> int:
        return at + int(number("I", at))

    def field(table: int, place: int) -> int | None:
        """Return the position of a field, or None if the table does not have it."""
        layout = table - number("i", table)
        offset = number("H", layout + 4 + 2 * place) if 4 + 2 * place < number("H", layout) else 0
        return table + offset if offset else None

    def vector(table: int, place: int) -> int | None:
        """Return the position of the first element of a vector, or None if the vector is missing or empty."""
        at = field(table, place)
        return None if at is None or not number("I", follow(at)) else follow(at) + 4

    def scale(tensor: int) -> dict[str, Any] | None:
        at = field(tensor, 4)
        scales, zero_points = (at and vector(follow(at), place) for place in (2, 3))
        if not scales or not zero_points:
            return None
        return {"scale": number("f", scales), "zero_point": number("q", zero_points)}

    graph = follow(vector(follow(0), 2) or 0)
    tensors, *ends = (vector(graph, place) or 0 for place in (0, 1, 2))  # the engine has found them
    return tuple(scale(follow(tensors + 4 * number("i", end))) for end in ends)
