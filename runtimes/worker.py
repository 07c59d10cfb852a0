"""The loop that runs inside the process that is measured: one model in one engine, asked over a channel.

Needs Python, NumPy and the engine, nothing else: its source is sent to wherever the engine lives.
"""

import contextlib
import gc
import os
import sys
import time
import types

import numpy as np


class Worker:
    """One loaded model that takes uint8 pictures and gives real-valued outputs.

    Args:
        runtime: a runtime module.
        model_bytes: the model file.
        threads: for the engine to use.
        pixel_scale: with ``pixel_offset`` makes a pixel the real value that the input stands for.
        pixel_offset: see ``pixel_scale``.
    """

    def __init__(self, runtime, model_bytes, threads, pixel_scale, pixel_offset):
        started = time.perf_counter_ns()
        self.session = runtime.load(model_bytes, threads)
        self.load_ms = (time.perf_counter_ns() - started) / 1e6
        self.pixel_scale, self.pixel_offset = pixel_scale, pixel_offset
        if len(self.session.inputs) != 1 or len(self.session.outputs) != 1:
            counts = f"{len(self.session.inputs)} inputs and {len(self.session.outputs)} outputs"
            raise ValueError(f"expected a model of one picture input and one output, got {counts}")
        self.input, self.output = self.session.inputs[0], self.session.outputs[0]
        shape = self.input["shape"]
        self.channels_first = len(shape) == 4 and shape[1] == 3 and shape[3] != 3
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise ValueError(f"expected RGB pictures as input, (N, H, W, 3) or (N, 3, H, W), got {tuple(shape)}")

    def facts(self):
        """What the engine says of the model."""
        return {"input": self.input, "output": self.output, "load_ms": self.load_ms}

    def first(self, picture):
        """Set the picture (1, H, W, 3) that is timed from now on; the microseconds of the first inference on it."""
        self.session.set_input(self._encoded(picture))
        return self.time(1)[0] / 1e3

    def time(self, count):
        """Nanoseconds of each of ``count`` inferences."""
        run, clock, durations = self.session.run_once, time.perf_counter_ns, [0] * count
        collecting = gc.isenabled()
        gc.disable()
        try:
            for k in range(count):
                start = clock()
                run()
                durations[k] = clock() - start
        finally:
            if collecting:
                gc.enable()
        return durations

    def predict(self, pictures):
        """Run uint8 pictures (N, H, W, 3); real outputs, float32 (N, classes)."""
        size = self.input["shape"][0] or 100
        parts = []
        for at in range(0, len(pictures), size):
            part = self._encoded(pictures[at : at + size])
            missing = size - len(part) if self.input["shape"][0] else 0  # a fixed batch is filled up, then cut
            full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(self._decoded(self.session.run(full))[: len(part)])
        return np.concatenate(parts)

    def peak_rss_bytes(self):
        """The most memory this process has had resident, or None where the system does not tell.

        Linux's own figure, VmHWM: unlike ``ru_maxrss`` it does not begin with that of the process that started this.
        """
        if not os.path.exists("/proc/self/status"):
            return None
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    def _encoded(self, pictures):
        """uint8 (N, H, W, 3) as the values that the input stores."""
        values = pictures.astype(np.float32) * np.float32(self.pixel_scale) + np.float32(self.pixel_offset)
        dtype = np.dtype(self.input["dtype"])
        if self.input["scale"] is not None:
            values = np.round(values / np.float32(self.input["scale"])) + self.input["zero_point"]
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values = np.clip(np.round(values), limits.min, limits.max)
        if self.channels_first:
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values, dtype)

    def _decoded(self, stored):
        """The values that the output stores as real values, float32 (N, classes)."""
        values = stored.reshape(len(stored), -1).astype(np.float32)
        if self.output["scale"] is None:
            return values
        return (values - self.output["zero_point"]) * np.float32(self.output["scale"])


def serve(channel):
    """Answer questions until the channel closes; the first message says what to load."""
    source, model_bytes, threads, pixel_scale, pixel_offset = channel.receive()
    runtime = types.ModuleType("runtime")
    with silence():
        exec(compile(source, "runtime", "exec"), runtime.__dict__)
        worker = Worker(runtime, model_bytes, threads, pixel_scale, pixel_offset)
        channel.send(worker.facts())
        for verb, argument in channel:
            if verb in ("first", "predict"):
                shape, pixels = argument
                argument = np.frombuffer(pixels, np.uint8).reshape(shape)
            answer = getattr(worker, verb)(*(() if argument is None else (argument,)))
            channel.send((answer.shape, answer.tobytes()) if isinstance(answer, np.ndarray) else answer)


@contextlib.contextmanager
def silence():
    """Send what the engine prints to nowhere; its errors come over the channel."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    yield


if __name__ == "__channelexec__":
    serve(channel)  # noqa: F821  (execnet puts it there)
